"""The options of packet detection: what is gathered before it is sent to the network."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel

from portline.config.delimiters import Delimiters
from portline.config.kinds import Decimal, Switch
from portline.config.measures import Duration, Size
from portline.config.options import Group, Option
from portline.frame.rules import GATHER_LIMIT

__all__ = ["PacketOptions"]

WAIT_MAX: Final = 3600
"""Seconds; an hour is longer than anybody gathers before sending."""


class PacketOptions(BaseModel):
    """Packet detection."""

    packet_size: Annotated[
        int,
        Option(
            Group.PACKETS,
            Size(0, GATHER_LIMIT),
            "Gather this many bytes, then send exactly that block; 0 does not gather by size",
            "what the device sends goes on at once",
        ),
    ] = 0
    packet_delimiter: Annotated[
        tuple[bytes, ...],
        Option(
            Group.PACKETS,
            Delimiters(),
            "Gather until the character with this code, or this text, has arrived, then send up to "
            "and including it",
            "what the device sends goes on at once",
            many=True,
        ),
    ] = ()
    packet_strip: Annotated[
        bool,
        Option(
            Group.PACKETS,
            Switch(),
            "Leave the delimiter out of what is sent",
            "bytes are passed as the device sent them",
        ),
    ] = False
    packet_wait: Annotated[
        float,
        Option(
            Group.PACKETS,
            Duration(0.001, WAIT_MAX, "off"),
            "Gather for this long from the first byte, then send all of it as one packet",
            "what the device sends goes on at once",
        ),
    ] = 0.0
    packet_idle: Annotated[
        float,
        Option(
            Group.PACKETS,
            Decimal(0.5, 1000, "character times"),
            "Gather until the line has been quiet for this many characters, then send; 3.5 is what "
            "Modbus RTU asks for",
            "what the device sends goes on at once",
        ),
    ] = 0.0
    packet_pause: Annotated[
        float,
        Option(
            Group.PACKETS,
            Duration(0.001, WAIT_MAX, "off"),
            "After each packet sent to the network, wait this long before the next",
            "the network is faster than any serial line",
        ),
    ] = 0.0
