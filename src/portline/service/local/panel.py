"""The switches of one port, for whoever operates it from here: signal lines, break and settings.

Theory of operation
-------------------
What is asked goes through the port's queue, behind what the peers have sent, and is looked at when
it has been carried out: what a driver does not do is an error, and what was in force stays.

Nothing that is switched here is written anywhere.  It holds until something else decides it:

=================================  ===============================================================
switched                           until
=================================  ===============================================================
DTR, RTS of a real port            a peer comes or goes whose moment drives them, a controlling peer
                                   asks for something else or leaves
what an application reads          the rules of that line come to another level
settings of a real port            a controlling peer asks for something else or leaves, the
                                   configuration has others
=================================  ===============================================================
"""

from __future__ import annotations

import asyncio
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Final

from portline.errors import PortError, SettingRefused, UsageError
from portline.line import (
    Item,
    LineChange,
    LineFault,
    ModemLines,
    Query,
    SendBreak,
    SetLine,
    SetModem,
)
from portline.plural import plural
from portline.port.base import Ability
from portline.port.tty.rs485 import Rs485Mode

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping, Sequence

    from portline.config.models import ConnectionConfig
    from portline.line import LineSettings, PortState, Request
    from portline.port.base import SerialPort
    from portline.service.local.inputs import Inputs
    from portline.service.local.keeper import PortKeeper
    from portline.service.local.resets import Resets
    from portline.service.peer.session import Session

__all__ = ["INPUTS", "OUTPUTS", "PATIENCE", "Panel"]

OUTPUTS: Final = ("dtr", "rts")
"""The lines that a real port drives."""

INPUTS: Final = tuple(field.name for field in fields(ModemLines))
"""The lines that an application reads."""

PATIENCE: Final = 8.0
"""Seconds for what is asked to come to its turn, behind what waits for the device, and to be done
(a break lasts up to 5 s): less than the control socket gives a caller, who is told why then."""

_LINES: Final = Query(Item.MODEM_LINES)
_CLOSED: Final = "the port is not open now; see `portline status`"
_NO_LINES: Final = "the device has no signal lines; use an adapter that has them"


class Panel:
    """The switches of one port.

    ``ruled`` returns what the configuration drives DTR and RTS to at this moment, ``settled`` is
    told of settings that were put in force, ``concerned`` returns those who want to know of them;
    ``told`` is called with what was carried out.
    """

    def __init__(
        self,
        port: SerialPort,
        keeper: PortKeeper,
        inputs: Inputs,
        resets: Resets,
        log: logging.LoggerAdapter[logging.Logger],
        *,
        config: Callable[[], ConnectionConfig],
        ruled: Callable[[], SetModem],
        settled: Callable[[LineSettings], None],
        concerned: Callable[[], Sequence[Session]],
        told: Callable[[Request, PortState], None],
    ) -> None:
        self._port = port
        self._keeper = keeper
        self._inputs = inputs
        self._resets = resets
        self._log = log
        self._config = config
        self._ruled = ruled
        self._settled = settled
        self._concerned = concerned
        self._told = told

    @property
    def switches(self) -> tuple[str, ...]:
        """The lines that can be driven here."""
        return INPUTS if self._config().is_virtual else OUTPUTS

    @property
    def unseen(self) -> str:
        """Who cannot see these lines, or that there are none, for people; "" where all is seen."""
        if not self._config().is_virtual and not self._keeper.open:
            return _CLOSED
        if not self._port.has_lines:
            return _NO_LINES
        if not self._config().is_virtual or Ability.LINES in self._port.capabilities.abilities:
            return ""
        return "only programs that `portline run` starts can read the lines of a pseudo terminal"

    async def levels(self) -> dict[str, bool]:
        """Return the lines as they are: all of a real port, what is read from a virtual one.

        There are none of a real port that has no lines, or is not open: nobody knows then.
        """
        if self._config().is_virtual:
            return {line: getattr(self._inputs.lines, line) for line in INPUTS}
        if not self._keeper.open or not self._port.has_lines:
            return {}
        state = await self._done(_LINES)
        read = {line: getattr(state.lines, line) for line in INPUTS}
        return {"dtr": state.dtr, "rts": state.rts, **read}

    async def drive(self, wanted: Mapping[str, bool | None]) -> None:
        """Drive lines; None leaves one to the rules of the configuration again.

        Raises UsageError for a line that is not driven here, PortError where the port cannot now.
        """
        for line in wanted:
            if line not in self.switches:
                raise UsageError(self._not_driven(line))
        if not wanted:
            return
        if self._config().is_virtual:
            self._demand_open()
            self._inputs.hold(wanted)
        else:
            await self._drive(wanted)
        levels = {True: "on", False: "off", None: "as configured"}
        said = " ".join(f"{line}={levels[level]}" for line, level in wanted.items())
        self._log.info('switched by hand: "%s"', said)

    def _not_driven(self, line: str) -> str:
        name, shown = self._port.name, line.upper()
        if line not in (*INPUTS, *OUTPUTS):
            known = ", ".join(self.switches)
            return f"{name}: there is no line {line!r} to drive here; there are: {known}"
        if self._config().is_virtual:
            return (
                f"{name}: is a virtual port, whose {shown} is its application's; drive "
                f"{', '.join(map(str.upper, INPUTS))} here, or {shown} of the port at the other end"
            )
        return f"{name}: is a real port, whose {shown} comes from the device; drive DTR or RTS"

    async def _drive(self, wanted: Mapping[str, bool | None]) -> None:
        if "rts" in wanted and self._config().rs485 is not Rs485Mode.OFF:
            raise UsageError(
                f"{self._port.name}: RTS switches the direction of RS-485 here; take rs485 out to "
                "drive it by hand"
            )
        self._demand_open()
        if not self._port.has_lines:
            raise PortError(self._port.name, _NO_LINES)
        ruled = self._ruled()
        levels = {
            line: getattr(ruled, line) if level is None else level for line, level in wanted.items()
        }
        self._resets.release()
        self._resets.stop()  # what a peer had asked for is not how the lines will be
        refused = self._port.refused
        change = SetModem(**levels)
        await self._done(change)
        if self._port.refused > refused:
            raise PortError(self._port.name, "the driver has refused to move DTR or RTS")

    async def send_break(self, seconds: float) -> None:
        """Send a break; an application of a virtual port reads one that has no length.

        Raises UsageError where nobody could notice, PortError where the port cannot now.
        """
        if self._config().is_virtual:
            self._show_break()
        else:
            self._demand_open()
            refused = self._port.refused
            await self._done(SendBreak(seconds))
            if self._port.refused > refused:
                raise PortError(self._port.name, "the driver has refused to send a break")
        self._log.info("a break of %g s by hand", seconds)

    def _show_break(self) -> None:
        port, application = self._port, self._port.application
        if not port.capabilities.abilities & {Ability.BREAK, Ability.FAULTS}:
            raise UsageError(
                f"{port.name}: its application cannot read a break, because a pseudo terminal has "
                "none; choose backend usbip or cuse"
            )
        if application is None or not application.there:
            raise PortError(port.name, "no application has it open to read a break; open it first")
        port.show_fault(LineFault(break_received=True))

    async def set(self, change: SetLine) -> LineSettings:
        """Put settings of a real port in force, and return all that are; no value: change nothing.

        Raises SettingRefused, with what was in force left there, for a value that the driver does
        not do, UsageError for a virtual port, PortError where the port cannot now.
        """
        from portline.port.tty.device import differences, refusal

        port = self._port
        if self._config().is_virtual:
            application = port.application
            if change == SetLine() and application is not None:
                return application.settings
            raise UsageError(
                f"{port.name}: is a virtual port, and the application that opens it decides the "
                "line settings; set them there"
            )
        if change == SetLine():
            return port.state.settings
        self._demand_open()
        (before, after) = await self._each(_LINES, change)
        asked = change.applied_to(before.settings)
        wrong = differences(asked, after.settings)
        error: SettingRefused | None = None
        if wrong:
            error = refusal(port.name, wrong[0], asked, after.settings)
            after = await self._done(_back(change, before.settings))
        self._settled(after.settings)
        if after.settings != before.settings:
            for session in self._concerned():
                session.report(LineChange(after.settings))
        if error is not None:
            raise error
        self._log.info("set by hand: %s; in force: %s", change, after.settings)
        return after.settings

    def _demand_open(self) -> None:
        if not self._keeper.open:
            raise PortError(self._port.name, "is not open now; see `portline status`")

    async def _done(self, request: Request) -> PortState:
        """Have a request carried out, and return what is in force then."""
        return (await self._each(request))[0]

    async def _each(self, *requests: Request) -> list[PortState]:
        """Have requests carried out with nothing between them.  Raises PortError after PATIENCE."""
        loop = asyncio.get_running_loop()
        over: asyncio.Future[list[PortState]] = loop.create_future()
        states: list[PortState] = []

        def done(request: Request, state: PortState) -> None:
            self._told(request, state)
            states.append(state)
            if len(states) == len(requests) and not over.done():
                over.set_result(states)

        for request in requests:
            self._port.submit(request, partial(done, request))
        try:
            return await asyncio.wait_for(over, PATIENCE)
        except TimeoutError:
            raise PortError(
                self._port.name,
                f"the device takes nothing: {plural(self._port.queued, 'byte')} before what was "
                "asked, which will be done in its turn",
            ) from None


def _back(change: SetLine, settings: LineSettings) -> SetLine:
    """Return the change that undoes another one."""
    names = [f.name for f in fields(change) if getattr(change, f.name) is not None]
    names += ["inbound_flow"] if "flow_control" in names else []
    return SetLine(**{name: getattr(settings, name) for name in names})
