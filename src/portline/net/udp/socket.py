"""What is particular to UDP: sockets, groups, and what the kernel tells of datagrams that failed.

Theory of operation
-------------------
A socket is not connected, because it sends to many and hears everybody.  Linux tells such a socket
nothing of what becomes of its datagrams unless IP_RECVERR asks for it; then each ICMP error, and
each datagram that is too large for its way, is in the socket's queue of errors with the address
that the datagram was for (man 7 ip).  :func:`returned` reads that queue.

IP_PMTUDISC_DO forbids every router to divide a datagram, and the kernel to divide one that is
larger than it knows the way to take: it is refused with EMSGSIZE and the size that would do.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "ANCILLARY",
    "Returned",
    "Settings",
    "covers_many",
    "dropped",
    "is_group",
    "is_own",
    "join",
    "make",
    "overrun",
    "returned",
    "room",
]

# Python has no names for these; linux/in.h, linux/in6.h, asm-generic/socket.h.
_IP_MTU_DISCOVER, _IP_RECVERR, _IP_MTU = 10, 11, 14
_IP_MULTICAST_ALL, _IP_UNICAST_IF = 49, 50
_IPV6_MTU_DISCOVER, _IPV6_MTU, _IPV6_RECVERR = 23, 24, 25
_IPV6_MULTICAST_ALL, _IPV6_UNICAST_IF = 29, 76
_PMTUDISC_DO: Final = 2
_SO_RXQ_OVFL: Final = 40
_SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("=9I")
"""The last is the number of datagrams dropped (SK_MEMINFO_DROPS, linux/sock_diag.h)."""

_HEADERS: Final = {socket.AF_INET: 20 + 8, socket.AF_INET6: 40 + 8}
"""Bytes of IP and UDP headers in a datagram."""

_ROOM_MIN: Final = {socket.AF_INET: 68 - 28, socket.AF_INET6: 1280 - 48}
"""Bytes of data that every way takes (RFC 791, RFC 8200)."""

_ERROR: Final = struct.Struct("=IBBBxII")
"""struct sock_extended_err: errno, origin, type, code, info, data (linux/errqueue.h)."""

_COUNT: Final = struct.Struct("=I")

ANCILLARY: Final = socket.CMSG_SPACE(_COUNT.size)
"""Room for what :func:`overrun` reads."""

_ERROR_SPACE: Final = socket.CMSG_SPACE(_ERROR.size + 28)  # with the address of who has told


@dataclass(frozen=True, slots=True)
class Settings:
    """How a socket sends: ``interface`` by name, None for the system's choice; see the options."""

    interface: str | None = None
    ttl: int = 1
    loop: bool = False


@dataclass(frozen=True, slots=True)
class Returned:
    """A datagram for ``address`` that did not arrive, why, and how much data would have fitted.

    ``room`` is 0 where size is not the reason.  ``sent`` is False for one that the kernel did not
    even take.
    """

    address: tuple[Any, ...]
    number: int
    room: int
    sent: bool


def make(
    family: int, address: tuple[Any, ...] | None, settings: Settings, *, shared: bool = False
) -> socket.socket:
    """Return a socket that is bound to ``address``, None for any port that is free.

    ``shared`` lets other programs hear the same port, as is usual with groups.  Raises OSError.
    """
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            _set_up_v6(sock, settings)
        else:
            _set_up_v4(sock, settings)
        with suppress(OSError):  # a kernel without it only counts less
            sock.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address or ("", 0))
    except BaseException:
        sock.close()
        raise
    return sock


def _set_up_v4(sock: socket.socket, settings: Settings) -> None:
    ip = socket.IPPROTO_IP
    sock.setsockopt(ip, _IP_RECVERR, 1)
    sock.setsockopt(ip, _IP_MTU_DISCOVER, _PMTUDISC_DO)
    sock.setsockopt(ip, _IP_MULTICAST_ALL, 0)  # only the groups that this socket has joined
    sock.setsockopt(ip, socket.IP_MULTICAST_TTL, settings.ttl)
    sock.setsockopt(ip, socket.IP_MULTICAST_LOOP, settings.loop)
    sock.setsockopt(
        socket.SOL_SOCKET, socket.SO_BROADCAST, 1
    )  # who writes such an address means it
    if settings.interface is not None:
        index = _index(settings.interface)
        request = struct.pack("4s4si", b"", b"", index)  # struct ip_mreqn
        sock.setsockopt(ip, socket.IP_MULTICAST_IF, request)
        sock.setsockopt(ip, _IP_UNICAST_IF, struct.pack("!I", index))  # broadcast, too


def _set_up_v6(sock: socket.socket, settings: Settings) -> None:
    ip = socket.IPPROTO_IPV6
    sock.setsockopt(ip, socket.IPV6_V6ONLY, 1)
    sock.setsockopt(ip, _IPV6_RECVERR, 1)
    sock.setsockopt(ip, _IPV6_MTU_DISCOVER, _PMTUDISC_DO)
    with suppress(OSError):  # since Linux 4.20
        sock.setsockopt(ip, _IPV6_MULTICAST_ALL, 0)
    sock.setsockopt(ip, socket.IPV6_MULTICAST_HOPS, settings.ttl)
    sock.setsockopt(ip, socket.IPV6_MULTICAST_LOOP, settings.loop)
    if settings.interface is not None:
        index = _index(settings.interface)
        sock.setsockopt(ip, socket.IPV6_MULTICAST_IF, index)
        sock.setsockopt(ip, _IPV6_UNICAST_IF, struct.pack("!I", index))


def _index(interface: str) -> int:
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        text = f"there is no network interface {interface}"
        raise OSError(errno.ENODEV, f"{text}; `ip link` lists them") from None


def join(sock: socket.socket, group: str, interface: str | None) -> None:
    """Have a socket hear a group; twice is as good as once.  Raises OSError."""
    index = 0 if interface is None else _index(interface)
    try:
        if sock.family == socket.AF_INET6:
            address = socket.inet_pton(socket.AF_INET6, group.partition("%")[0])
            request = address + struct.pack("@I", index)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        else:
            request = struct.pack("4s4si", socket.inet_aton(group), b"", index)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:  # it is a member already
            raise


def dropped(sock: socket.socket) -> int:
    """Return how many datagrams the kernel has dropped so far, also since the last that was read.

    0 where it does not tell (before Linux 4.12).
    """
    try:
        return int(
            _MEMINFO.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[8]
        )
    except (OSError, struct.error):
        return 0


def overrun(ancillary: list[tuple[int, int, bytes]]) -> int:
    """Return how many datagrams a socket has lost because it was not read fast enough.

    It is the count since the socket was made, 0 where the kernel says nothing.
    """
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_RXQ_OVFL):
            return int(_COUNT.unpack(data)[0])
    return 0


def returned(sock: socket.socket) -> Iterator[Returned]:
    """Yield what the kernel has to tell of datagrams that failed, and forget it."""
    while True:
        try:
            _, ancillary, _, address = sock.recvmsg(0, _ERROR_SPACE, socket.MSG_ERRQUEUE)
        except OSError:  # BlockingIOError: that was all
            return
        for _, _, data in ancillary:
            if len(data) >= _ERROR.size:
                number, origin, _, _, info, _ = _ERROR.unpack(data[: _ERROR.size])
                size = _fitting(sock.family, info) if number == errno.EMSGSIZE else 0
                yield Returned(address, number, size, sent=origin != _LOCAL)


_LOCAL: Final = 1  # SO_EE_ORIGIN_LOCAL


def room(family: int, address: tuple[Any, ...]) -> int:
    """Return how much data the way to an address takes in one datagram, as far as is known."""
    level, option = (
        (socket.IPPROTO_IPV6, _IPV6_MTU)
        if family == socket.AF_INET6
        else (socket.IPPROTO_IP, _IP_MTU)
    )
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.connect(address)
        return _fitting(family, sock.getsockopt(level, option))
    return _ROOM_MIN[socket.AddressFamily(family)]


def _fitting(family: int, mtu: int) -> int:
    known = socket.AddressFamily(family)
    return max(_ROOM_MIN[known], mtu - _HEADERS[known])


def is_group(host: str) -> bool:
    """Tell whether a literal address is that of a multicast group."""
    return ipaddress.ip_address(host).is_multicast


def covers_many(family: int, address: tuple[Any, ...]) -> bool:
    """Tell whether an address means more than one machine: a group, or a broadcast address.

    Only the kernel knows the latter: it lets nobody connect there who has not asked for it.
    """
    if is_group(address[0]):
        return True
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(address)
        except PermissionError:
            return True
        except OSError:
            return False
    return False


def is_own(sock: socket.socket, source: tuple[Any, ...]) -> bool:
    """Tell whether a datagram with this source has been sent by a socket."""
    name = sock.getsockname()
    if source[1] != name[1]:
        return False
    bound = ipaddress.ip_address(name[0].partition("%")[0])
    if not bound.is_unspecified and not bound.is_multicast:
        return bool(source[0] == name[0])
    with socket.socket(sock.family, socket.SOCK_DGRAM) as other:
        try:
            other.bind((source[0], 0, *source[2:]))
        except OSError:
            return False
    return True
