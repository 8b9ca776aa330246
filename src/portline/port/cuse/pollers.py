"""Who polls a device, and when they are to be woken.  Pure.

Theory of operation
-------------------
The kernel asks what is ready, and may ask to be woken: that is remembered per handle, until it is
woken once.  It then asks again if anybody still wants to know.  Level-triggered pollers are woken
when something is ready that was not when they were told; edge-triggered ones also when more comes
of what is ready already (:meth:`Pollers.more`).
"""

from __future__ import annotations

import select
from dataclasses import dataclass
from typing import Final

__all__ = ["HUNG_UP", "IN", "OUT", "Pollers"]

IN: Final = select.POLLIN | select.POLLRDNORM
OUT: Final = select.POLLOUT | select.POLLWRNORM
HUNG_UP: Final = IN | OUT | select.POLLERR | select.POLLHUP
"""What a terminal that hung up says (tty_io.c, ``hung_up_tty_poll``)."""


@dataclass(slots=True)
class _Poller:
    wake: int
    events: int
    told: int


class Pollers:
    """The pollers of one device, by handle; there is at most one for each."""

    def __init__(self) -> None:
        self._pollers: dict[int, _Poller] = {}

    def add(self, handle: int, wake: int, events: int, told: int) -> None:
        """Note who wants to be woken by ``events`` and was told that ``told`` are there.

        Several may poll one handle: what any of them wants, or was not told, counts.
        """
        events |= select.POLLERR | select.POLLHUP
        before = self._pollers.get(handle)
        if before is not None:
            events |= before.events
            told &= before.told
        self._pollers[handle] = _Poller(wake, events, told)

    def forget(self, handle: int) -> None:
        """Note that a handle is closed."""
        self._pollers.pop(handle, None)

    @property
    def wanted(self) -> int:
        """The events that somebody wants."""
        wanted = 0
        for each in self._pollers.values():
            wanted |= each.events
        return wanted

    @property
    def missing(self) -> int:
        """The events of IN and OUT that somebody wants and was not told."""
        missing = 0
        for each in self._pollers.values():
            missing |= each.events & ~each.told
        return missing & (IN | OUT)

    def ready(self, events: int) -> list[int]:
        """Return who is to be woken when these events are there."""
        return self._take([h for h, each in self._pollers.items() if events & _wants(each)])

    def more(self, events: int) -> list[int]:
        """Return who is to be woken when more of these events has come."""
        return self._take([h for h, each in self._pollers.items() if events & each.events])

    def hang_up(self) -> list[int]:
        """Return everybody."""
        return self._take(list(self._pollers))

    def _take(self, handles: list[int]) -> list[int]:
        return [self._pollers.pop(handle).wake for handle in handles]


def _wants(poller: _Poller) -> int:
    return poller.events & ~poller.told
