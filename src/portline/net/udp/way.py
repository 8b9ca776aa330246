"""One socket for datagrams, and what is found to be sent to by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from portline.net.udp import socket as udp

if TYPE_CHECKING:
    import socket

    from portline.net.udp.link import DatagramLink

__all__ = ["Host", "Place", "Sockaddr", "Way"]

Place: TypeAlias = tuple[str, int]
"""A host and a port, as they are written."""

Sockaddr: TypeAlias = tuple[Any, ...]
"""An address as the kernel has it."""


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
