"""What is particular to TCP: Nagle, keepalive, and noticing that a peer has died.

Theory of operation
-------------------
An idle connection is watched by the kernel's keepalive: the first probe after ``interval`` seconds
of silence, then one every ``retry`` seconds, dead after KEEPALIVE_PROBES without an answer.

The kernel sends no keepalive probes while data is on its way, and its own retries last a quarter
of an hour.  The usual cure, TCP_USER_TIMEOUT, also cuts peers that are alive but do not read
(man 7 tcp: "buffered data may remain untransmitted due to zero window size"): a terminal stopped
with Ctrl-S would be thrown out.  So :func:`is_dead` looks at the kernel's books instead: data that
is not acknowledged, or window probes that are not answered, for as long as keepalive would wait.

A machine may also answer without acknowledging anything, for minutes: one whose program was gone
before the connection was made has it in TIME_WAIT, and says so each time the kernel tries again.
:func:`stuck_at` tells where the data has stopped, although the window is open.

For the books to be true in time the kernel has to try often enough.  It waits twice as long after
each try, up to 120 s, also between the probes of a window that an answering peer keeps closed; so
a peer that dies then is asked late.  Linux 6.15 and later have TCP_RTO_MAX_MS, which is set to a
part of the silence that means death (:data:`TRIES`).  Older kernels refuse the option; there that
one case is late, by up to two of the kernel's own waits (docs/explanation/dead-peers.md).
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import Final

__all__ = [
    "KEEPALIVE_PROBES",
    "TRIES",
    "acknowledged",
    "arrived",
    "configure",
    "death_time",
    "give_up",
    "has_left",
    "is_dead",
    "stuck_at",
]

KEEPALIVE_PROBES: Final = 3
"""Unanswered probes after which a peer counts as dead; one lost packet must not end a session."""

TRIES: Final = 4
"""Tries of the kernel within the silence that means death, at least: two that were not answered
are needed to call it silence, and one may be lost.  The kernel gives up by itself after 15 tries
(sysctl net.ipv4.tcp_retries2): later, for any silence up to its usual quarter of an hour."""

_RTO_MAX_MS: Final = 44  # TCP_RTO_MAX_MS (linux/tcp.h, Linux 6.15); Python has no name for it
_RTO_MAX_RANGE: Final = (1.0, 120.0)  # seconds; TCP_RTO_MAX_MIN_SEC and TCP_RTO_MAX_SEC

_INFO: Final = struct.Struct("=8B24I")
"""The head of struct tcp_info (linux/tcp.h): 8 bytes, then 32-bit fields."""

_ACKED: Final = struct.Struct("=120xQ")
"""tcpi_bytes_acked in struct tcp_info, since Linux 4.2.  Of a connection that was accepted it does
not count our SYN; it counts our FIN."""

_WINDOW: Final = struct.Struct("=228xI")
"""tcpi_snd_wnd: what the peer has room for, in bytes (Linux 5.4)."""

_FLIGHT: Final = struct.Struct("=BxB141xII")
"""tcpi_state, tcpi_retransmits, tcpi_notsent_bytes, tcpi_min_rtt in microseconds (Linux 4.6)."""

_RESET: Final = struct.pack("ii", 1, 0)
"""struct linger (man 7 socket): closing sends RST, and what waits is thrown away."""

_STATE_CLOSED: Final = 7  # TCP_CLOSE in net/tcp_states.h: after an RST
_STATE_CLOSE_WAIT: Final = 8  # the peer has sent FIN, we have not
_UNACKED, _LAST_ACK_RECEIVED = 8 + 4, 8 + 12  # places in _INFO
_RETRANSMITS, _PROBES = 2, 3


def death_time(interval: float, retry: float) -> float:
    """Return the seconds of silence after which a peer is dead; 0 means never."""
    return interval + KEEPALIVE_PROBES * retry if interval else 0.0


def configure(sock: socket.socket, *, nodelay: bool, keepalive: float, retry: float) -> None:
    """Set the options of a connected socket.

    ``keepalive`` and ``retry`` are in seconds; the kernel counts in whole ones, at least 1, and the
    options are in whole ones too.
    ``keepalive`` 0 turns it off.  Sockets that are not TCP are left alone.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, nodelay)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, keepalive > 0)
    if keepalive > 0:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, round(keepalive)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, round(retry)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
        lowest, highest = _RTO_MAX_RANGE
        longest = min(max(lowest, death_time(keepalive, retry) / TRIES), highest)
        with suppress(OSError):  # ENOPROTOOPT before Linux 6.15: see the theory of operation
            sock.setsockopt(socket.IPPROTO_TCP, _RTO_MAX_MS, round(longest * 1000))


def is_dead(sock: socket.socket, silence: float) -> bool:
    """Tell whether the peer has not answered for ``silence`` seconds although it should have.

    ``silence`` 0 means that only a connection that the kernel has closed is dead.
    """
    info = _info(sock)
    if info is None:
        return False
    if info[0] == _STATE_CLOSED:
        return True
    waiting = (info[_UNACKED] > 0 and info[_RETRANSMITS] >= 2) or info[_PROBES] >= 2
    return silence > 0 and waiting and info[_LAST_ACK_RECEIVED] >= silence * 1000


def stuck_at(sock: socket.socket) -> int | None:
    """Return how many bytes are acknowledged while the next ones, for which there is room, are not.

    The kernel has sent those three times at least.  None if that is not so, or not known.
    """
    info = _info(sock)
    if info is None or not info[_UNACKED] or info[_RETRANSMITS] < 2:
        return None
    try:
        books = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _WINDOW.size)
        (window,) = _WINDOW.unpack(books)
    except (OSError, struct.error):
        return None
    return acknowledged(sock) if window else None


def has_left(sock: socket.socket) -> bool:
    """Tell whether the peer has closed its end, even if what it sent before is not read yet."""
    info = _info(sock)
    return info is not None and info[0] in (_STATE_CLOSED, _STATE_CLOSE_WAIT)


def acknowledged(sock: socket.socket) -> int | None:
    """Return how many bytes the peer's machine has acknowledged, our FIN counted as one more.

    None where the kernel does not tell.
    """
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED.size)
        return int(_ACKED.unpack(info)[0])
    except (OSError, struct.error):
        return None


def arrived(sock: socket.socket, sent: int, quiet: float) -> int | None:
    """Return how many of ``sent`` bytes the other machine has got, None if the kernel cannot tell.

    A machine may acknowledge late (Linux: 40 ms), and one whose program has closed the connection
    answers data with RST at once.  So what was on its way for longer than there and back, nothing
    was sent for ``quiet`` seconds, has arrived if no RST has come.
    """
    acked = acknowledged(sock)
    if acked is None:
        return None
    try:
        books = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _FLIGHT.size)
        state, retransmits, unsent, round_trip = _FLIGHT.unpack(books)
    except (OSError, struct.error):
        return min(acked, sent)
    waits = state == _STATE_CLOSED or retransmits or unsent
    return min(acked, sent) if waits or quiet <= 2e-6 * round_trip else sent


def give_up(sock: socket.socket) -> None:
    """Let the close that follows tell the peer that data is missing, and send nothing more."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _info(sock: socket.socket) -> tuple[int, ...] | None:
    try:
        return _INFO.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size))
    except (OSError, struct.error):
        return None
