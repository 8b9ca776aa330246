"""The options of a real port's hardware: what its driver may do beyond the line settings."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel

from portline.config.kinds import Choice, Switch
from portline.config.measures import Duration
from portline.config.options import Group, Option
from portline.port.tty.rs485 import DELAY_MAX, Rs485Mode

__all__ = ["HardwareOptions"]

_LEVEL: Final = Choice({"high": True, "low": False}, {"on": "high", "off": "low", "1": "high"})


class HardwareOptions(BaseModel):
    """What the driver is to do."""

    rs485: Annotated[
        Rs485Mode,
        Option(
            Group.SERIAL,
            Choice({item.value: item for item in Rs485Mode}, {"driver": "on", "true": "on"}),
            "Switch the direction of an RS-485 line by RTS around everything that is sent: by the "
            "driver, else by Portline (on), or by Portline in any case (software)",
            "most adapters switch by themselves, and RS-232 has nothing to switch",
        ),
    ] = Rs485Mode.OFF
    rs485_rts_on_send: Annotated[
        bool,
        Option(
            Group.SERIAL,
            _LEVEL,
            "What RTS is while sending on RS-485; it is the opposite otherwise",
            "most transceivers send while their DE input is high",
        ),
    ] = True
    rs485_delay_before: Annotated[
        float,
        Option(
            Group.SERIAL,
            Duration(0, DELAY_MAX),
            "How long RS-485 is switched to sending before the first bit; drivers count in "
            "milliseconds",
            "transceivers switch within microseconds",
        ),
    ] = 0.0
    rs485_delay_after: Annotated[
        float,
        Option(
            Group.SERIAL,
            Duration(0, DELAY_MAX),
            "How long RS-485 stays switched to sending after the last bit",
            "the device may answer at once",
        ),
    ] = 0.0
    rs485_rx_during_tx: Annotated[
        bool,
        Option(
            Group.SERIAL,
            Switch(),
            "Pass on what is received while sending on RS-485, which is the own echo",
            "programs do not expect to read what they have written",
        ),
    ] = False
    low_latency: Annotated[
        bool,
        Option(
            Group.SERIAL,
            Switch(),
            "Have the driver tell at once what it receives, where an FTDI adapter otherwise "
            "gathers for 16 ms; what was there before is put back when the port is closed",
            "each interrupt costs, and only short answers gain by it",
        ),
    ] = False
