"""What an open tty is asked to do, beside sending data."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Final

from portline.line import (
    Hold,
    Item,
    Purge,
    Query,
    Request,
    SendBreak,
    SetBreak,
    SetInputs,
    SetLine,
    SetModem,
)
from portline.port.tty.direction import Direction, Turn
from portline.port.tty.watch import SLOW

if TYPE_CHECKING:
    import asyncio

    from portline.port.outlet import Outlet
    from portline.port.tty.device import Tty

__all__ = ["BREAK_LIMIT", "Orders"]

BREAK_LIMIT: Final = 5.0
"""Seconds after which a break is ended: many times what a Break key (0.5 s) or a boot monitor
wants, and short enough that a peer that vanished does not silence the line."""

LOG: Final = logging.getLogger("portline.port")


class Orders:
    """Carries out what the outlet of ``tty`` passes on, from open to ``close``.

    ``name`` is that of the port; ``direction`` switches an RS-485 pair, where software has to.
    """

    def __init__(
        self,
        name: str,
        tty: Tty,
        outlet: Outlet,
        direction: Direction | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._name = name
        self._tty = tty
        self._outlet = outlet
        self._direction = direction
        self._loop = loop
        self._break_timer: asyncio.TimerHandle | None = None
        self._told_slow = False

    def carry_out(self, request: Request) -> float:
        """Do what is asked as far as the driver does; return the seconds of a break."""
        begun = monotonic()
        seconds = self._carry_out(request)
        if (took := monotonic() - begun) > SLOW:
            self.answered_late(took)
        return seconds

    def answered_late(self, seconds: float) -> None:
        """Tell once, until it is opened anew, that everybody waits for this device."""
        if not self._told_slow:
            self._told_slow = True
            LOG.warning(
                "%s: the device took %.1f s to answer its driver, and all other ports waited "
                "meanwhile; replug it, or share it from a Portline of its own",
                self._name,
                seconds,
            )

    def close(self) -> None:
        """End a break."""
        self._end_break()

    def _carry_out(self, request: Request) -> float:
        tty = self._tty
        match request:
            case SetLine():
                tty.configure(request.applied_to(tty.settings))
                self._outlet.character_time = tty.settings.character_time
            case Turn():
                return 0.0 if self._direction is None else self._direction.turn(request)
            case SetModem():
                tty.drive(request)
            case SetBreak(on):
                self._set_break(on)
            case SendBreak(duration):
                if duration > 0 and self._set_break(True):
                    return min(duration, BREAK_LIMIT)
            case Hold(duration):
                return duration
            case Purge(received):
                if received:
                    tty.drop_received()
            case Query(item):
                if item is Item.MODEM_LINES:
                    tty.read_modem_lines()
            case SetInputs():
                pass  # PosixPort.submit() has refused it
        return 0.0

    def _set_break(self, on: bool) -> bool:
        if not on:
            return self._end_break()
        if not self._tty.set_break(True):
            return False
        if self._break_timer is None:
            self._break_timer = self._loop.call_later(BREAK_LIMIT, self._end_break)
        return True

    def _end_break(self) -> bool:
        if self._break_timer is not None:
            self._break_timer.cancel()
            self._break_timer = None
        return self._tty.set_break(False)
