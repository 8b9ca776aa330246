"""Which addresses are let in: lists of networks, by the address that a peer has."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["EVERYBODY", "Network", "Networks"]

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Networks:
    """Who is let in: everybody in ``allow``, or in the world where that is empty, not in ``deny``.

    An IPv4 address that comes mapped into IPv6 (``::ffff:192.0.2.7``) is the IPv4 address, and the
    interface behind ``%`` does not count.  What is no address of IP, a Unix socket, is let in.
    """

    allow: Sequence[Network] = ()
    deny: Sequence[Network] = ()

    @property
    def limited(self) -> bool:
        """Tell whether anybody is kept out."""
        return bool(self.allow or self.deny)

    @property
    def everybody(self) -> bool:
        """Tell whether ``allow`` keeps nobody out who has an address of IPv4, or of IPv6.

        ``deny`` does not count: who is on no list of the unwanted is everybody else.
        """
        allow = self.allow
        four = [network for network in allow if isinstance(network, ipaddress.IPv4Network)]
        six = [network for network in allow if isinstance(network, ipaddress.IPv6Network)]
        whole: tuple[Network, ...] = (
            *ipaddress.collapse_addresses(four),
            *ipaddress.collapse_addresses(six),
        )
        return any(network.prefixlen == 0 for network in whole)

    def admits(self, host: str) -> bool:
        """Tell whether a host, written as an address, is let in."""
        if not self.limited:
            return True
        with suppress(ValueError):
            address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
            mapped = getattr(address, "ipv4_mapped", None)
            address = mapped or address
            if any(address in network for network in self.deny):
                return False
            return not self.allow or any(address in network for network in self.allow)
        return True


EVERYBODY = Networks()
