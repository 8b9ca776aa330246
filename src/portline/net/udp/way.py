"""One socket for datagrams, and what is found to be sent to by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from portline.net.udp import socket as udp

if TYPE_CHECKING:
    import socket

    from portline.net.udp.link import DatagramLink

__all__ = ["End", "Host", "Place", "Sockaddr", "Way", "anywhere", "end_of", "same_host"]

Place: TypeAlias = tuple[str, int]
"""A host and a port, as they are written."""

Sockaddr: TypeAlias = tuple[Any, ...]
"""An address as the kernel has it."""

End: TypeAlias = tuple[str, int, int]
"""Who sends: a host, a port, and the number of the interface where the host is only known there
(zones of RFC 4007), else 0."""


def end_of(address: Sockaddr) -> End:
    """Return whose an address is: on each link somebody may have the same fe80::1."""
    return (address[0], address[1], address[3] if len(address) > 3 else 0)


def anywhere(end: End) -> End:
    """Return an end as one names it who leaves the interface to the kernel."""
    return (end[0], end[1], 0)


def same_host(named: Sockaddr, source: Sockaddr) -> bool:
    """Tell whether a datagram comes from a host, by whatever port; on its link if one is named."""
    (host, _, link), (other, _, where) = end_of(named), end_of(source)
    return host == other and link in (0, where)


class Way:
    """One socket of an endpoint."""

    __slots__ = ("family", "overrun", "port", "renewing", "sock", "waiting")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.port = sock.getsockname()[1]
        self.family = sock.family
        self.overrun = 0
        self.renewing = False
        self.waiting: list[DatagramLink] = []
        """Links for which the kernel has no room now."""

    def overruns(self, dropped: int) -> int:
        """Return by how many the kernel's count of dropped datagrams has grown, and remember it.

        What a datagram tells that has waited in the queue may be older than what is known.
        """
        grown = (dropped - self.overrun) & 0xFFFFFFFF
        if grown >> 31:
            return 0
        self.overrun = dropped
        return grown

    def reaches(self, address: Sockaddr) -> bool:
        """Tell whether datagrams for an address can be sent from what this one is bound to."""
        bound = self.sock.getsockname()[0]
        if bound in ("0.0.0.0", "::"):
            return True
        return not udp.is_group(bound) and _is_here(bound) == _is_here(address[0])


@dataclass(frozen=True, slots=True)
class Host:
    """One place to send to, found: ``many`` tells whether it stands for more than one machine."""

    place: Place
    address: Sockaddr
    way: Way
    many: bool


def _is_here(host: str) -> bool:
    """Tell whether an address is one of the loopback interface."""
    return host.startswith("127.") or host == "::1"
