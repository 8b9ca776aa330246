"""Makes the parts of a connection from its configuration: the port, and a wire for each peer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import portline
from portline.frame.rules import Packetizer
from portline.hub.policy import Permissions
from portline.wire.base import RawWire

if TYPE_CHECKING:
    import asyncio

    from portline.config.models import ConnectionConfig
    from portline.port.base import PortOwner, SerialPort
    from portline.wire.base import Wire

__all__ = ["make_packetizer", "make_permissions", "make_port", "make_wire"]

LOG: Final = logging.getLogger("portline.port")


def make_port(
    config: ConnectionConfig, *, owner: PortOwner, loop: asyncio.AbstractEventLoop
) -> SerialPort:
    """Return the local port that a connection is about, not yet open."""
    if config.virtual is not None:
        from portline.port.ladder import Wish, choose

        wish = Wish(config.virtual, config.adapter, config.overlap, config.strict_baudrate)
        choice = choose(config.backend, config.adapter)
        port = choice.rung.make(wish, owner, loop)
        LOG.info("%s: backend %s (%s)", config.virtual, choice.rung.backend.value, choice.why)
        return port
    from portline.port.serial import PosixPort

    assert config.port is not None
    return PosixPort(
        config.port,
        config.line_settings(),
        owner=owner,
        loop=loop,
        exclusive=config.exclusive,
    )


def make_wire(protocol: str, name: str, config: ConnectionConfig) -> Wire:
    """Return the protocol for one new peer.

    The side with the real port is the access server; the one with the virtual port asks, and
    serves a peer that asks too (two virtual ports are a null-modem cable).
    """
    if protocol == "raw":
        return RawWire()
    from portline.wire.rfc2217 import Rfc2217Wire

    return Rfc2217Wire(
        serves=True,
        asks=config.virtual is not None,
        signature=f"Portline {portline.__version__} {name}",
    )


def make_permissions(config: ConnectionConfig) -> Permissions:
    """Return what a controlling peer may do."""
    return Permissions(
        settings=config.allow_settings,
        dtr=config.allow_dtr,
        rts=config.allow_rts,
        send_break=config.allow_break,
    )


def make_packetizer(config: ConnectionConfig) -> Packetizer | None:
    """Return the packet rules; None where every chunk goes on at once, and costs nothing."""
    rules = (
        config.packet_size,
        config.packet_delimiter,
        config.packet_wait,
        config.packet_idle,
        config.packet_pause,
    )
    if not any(rules):
        return None
    return Packetizer(
        pause=config.packet_pause,
        wait=config.packet_wait,
        idle=config.packet_idle * config.line_settings().character_time,
        block=config.packet_size,
        delimiters=config.packet_delimiter,
        strip=config.packet_strip,
    )
