"""What guessing costs: each address has some tries, and regains one in a while.

An address is shared: behind it may sit a whole site, with one program among many that has the wrong
password and tries for ever.  So the tries are regained faster than such a program uses them, and
those beside it wait for nothing; only who guesses as fast as he can uses them up, and then there is
a turn every PACE for all who try from there.

Time is an argument.  The addresses are bounded: the one that failed longest ago is forgotten first.
Whoever comes from very many addresses is bounded by the number of logins that may be under way.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from contextlib import suppress
from typing import Final

__all__ = ["ADDRESSES", "PACE", "TRIES", "Throttle", "origin"]

TRIES: Final = 6
"""Wrong passwords that an address may send at once: people mistype, and a site may have several."""

PACE: Final = 2.5
"""Seconds in which an address regains one: 35 000 guesses a day, which find no password that is
worth the name.  Our own clients try again after 3.75 s on average (portline.net.backoff), so one of
them that has the wrong password never uses all up."""

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
        self._paid_at: OrderedDict[str, float] = OrderedDict()
        """Address -> when all of its tries will be regained."""

    def wait(self, host: str, now: float) -> float:
        """Return the seconds for which nobody from there may try; 0 if one may."""
        if not self._paid_at:
            return 0.0
        return _wait(self._paid_at.get(origin(host), now), now)

    def failed(self, host: str, now: float) -> float:
        """Note a wrong password; return the seconds until the next may be sent from there."""
        place = origin(host)
        paid_at = max(self._paid_at.pop(place, now), now) + PACE
        self._paid_at[place] = paid_at
        while len(self._paid_at) > ADDRESSES:
            self._paid_at.popitem(last=False)
        return _wait(paid_at, now)

    def slowed(self, now: float) -> int:
        """Return how many addresses have to wait now."""
        return sum(_wait(paid_at, now) > 0 for paid_at in self._paid_at.values())


def _wait(paid_at: float, now: float) -> float:
    return max(0.0, paid_at - now - (TRIES - 1) * PACE)
