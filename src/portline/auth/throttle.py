"""What guessing costs: an address from which logins failed has to wait, longer each time.

Time is an argument.  The addresses are bounded: the one that failed longest ago is forgotten first.
Whoever comes from very many addresses is bounded by the number of logins that may be under way.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from contextlib import suppress
from typing import Final

__all__ = ["ADDRESSES", "FORGET", "FREE", "LONGEST", "Throttle", "origin"]

FREE: Final = 3
"""Failures that cost nothing yet: people mistype."""

LONGEST: Final = 15.0
"""Seconds that an address waits at most: six thousand guesses a day, which find no password that is
worth the name; and whoever shares the address with the one that fails gets in nevertheless."""

FORGET: Final = 600.0
"""Seconds after which failures are forgotten if no other followed."""

ADDRESSES: Final = 1024
"""Addresses that are remembered."""


def origin(host: str) -> str:
    """Return what counts as one place: an IPv4 address, or a network of IPv6 (64 bits).

    A host of IPv6 has 2**64 addresses to choose from, so one of them means nothing.
    """
    if ":" not in host:
        return host
    text = host.strip("[]").partition("%")[0]
    with suppress(ValueError):
        address = ipaddress.ip_address(text)
        if isinstance(address, ipaddress.IPv6Address):
            mapped = address.ipv4_mapped
            if mapped is not None:
                return str(mapped)
            return str(ipaddress.IPv6Network((address, 64), strict=False))
    return text


class Throttle:
    """The failures of each address.  ``now`` is a monotonic time in seconds."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, host: str, now: float) -> float:
        """Return the seconds for which nobody from there may try; 0 if one may."""
        if not self._failed:
            return 0.0
        count, at = self._failed.get(origin(host), (0, now))
        if now - at >= FORGET:
            return 0.0
        return max(0.0, at + _delay(count) - now)

    def failed(self, host: str, now: float) -> float:
        """Note a failure; return the seconds that it costs."""
        place = origin(host)
        count, at = self._failed.pop(place, (0, now))
        count = 1 if now - at >= FORGET else count + 1
        self._failed[place] = (count, now)
        while len(self._failed) > ADDRESSES:
            self._failed.popitem(last=False)
        return _delay(count)

    def succeeded(self, host: str) -> None:
        """Forget the failures of an address from which somebody has logged in."""
        self._failed.pop(origin(host), None)

    def slowed(self, now: float) -> int:
        """Return how many addresses have to wait now."""
        return sum(self.wait(place, now) > 0 for place in self._failed)


def _delay(count: int) -> float:
    """Return what ``count`` failures in a row cost, in seconds."""
    if count <= FREE:
        return 0.0
    return min(LONGEST, 2.0 ** min(count - FREE - 1, 10))
