"""What a driver may do beyond settings and lines, switched on at open and put back at close."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from portline.errors import SettingRefused
from portline.port.tty import latency, rs485
from portline.port.tty.rs485 import Rs485, Rs485Mode

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NO_FEATURES", "Engaged", "Features"]


@dataclass(frozen=True, slots=True)
class Features:
    """What is wanted of a port."""

    rs485: Rs485 | None = None
    low_latency: bool = False

    def engage(self, port: str, fd: int, path: str, *, has_rts: bool = True) -> Engaged:
        """Switch everything on; ``has_rts`` tells whether RTS can be switched.

        Raises SettingRefused, with nothing left changed, where the driver does not do it and
        nothing can take its place.
        """
        undo: list[Callable[[], object]] = []
        modes: list[str] = []
        software: Rs485 | None = None
        try:
            if self.rs485 is not None:
                before = None
                if self.rs485.mode is not Rs485Mode.SOFTWARE:
                    before = rs485.engage(port, fd, self.rs485)
                if before is None:
                    _require_rts(port, self.rs485, has_rts)
                    software = self.rs485
                    modes.append("RS-485 (software)")
                else:
                    undo.append(partial(rs485.restore, fd, before))
                    modes.append("RS-485 (driver)")
            if self.low_latency:
                undo.append(latency.engage(port, fd, path))
                modes.append("low latency")
        except BaseException:
            Engaged(tuple(undo)).release()
            raise
        return Engaged(tuple(undo), tuple(modes), software)


def _require_rts(port: str, rs485: Rs485, has_rts: bool) -> None:
    if not has_rts:
        raise SettingRefused(
            port,
            "rs485",
            rs485.mode.value,
            "neither does the driver do RS-485, nor has the port an RTS to switch it with; leave "
            "rs485 out where the adapter switches by itself",
        )


@dataclass(frozen=True, slots=True)
class Engaged:
    """What is on, in words; ``software`` is the RS-485 that Portline has to switch itself."""

    undo: tuple[Callable[[], object], ...] = ()
    modes: tuple[str, ...] = ()
    software: Rs485 | None = None

    def release(self) -> None:
        """Put back what was there, as far as the device still is."""
        for each in reversed(self.undo):
            with suppress(OSError):
                each()


NO_FEATURES: Final = Features()
