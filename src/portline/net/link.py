"""What a session needs of the way to its peer, whether that is a connection or datagrams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from portline.net.tls.channel import Security

__all__ = ["FINISH_LIMIT", "GATHER", "READ_SIZE", "Link", "LinkOwner"]

READ_SIZE: Final = 64 * 1024
"""Bytes read from a socket in one turn of the loop: enough for full speed, and bounded so that a
busy peer cannot starve the others."""

FINISH_LIMIT: Final = 1.0
"""Seconds that a link that is being closed may take to send its rest and see the peer's FIN.  A
close while unread bytes lie in the kernel would send RST and destroy what is still on its way."""

GATHER: Final = 64 * 1024
"""Bytes put together into one write of what has waited."""


class LinkOwner(Protocol):
    """Who a link calls back."""

    def link_data(self, data: bytes) -> None:
        """Take bytes of the peer; never empty."""

    def link_eof(self) -> None:
        """Note that the peer will send nothing more; it may still read."""

    def link_ready(self) -> None:
        """Note that everything written has been taken by the kernel."""

    def link_lost(self, reason: str) -> None:
        """Note that the link is closed by an error or by the peer; ``reason`` is for people."""


class Link(Protocol):
    """The way to one peer, and from it.  Sizes are in bytes."""

    name: str
    """The peer's address, for people."""
    read_size: int
    """Bytes read in one turn, where the link is a stream."""
    received: int
    """Bytes read from the peer."""
    lost: int
    """Bytes that were written and that the peer did not get, as far as that is known yet."""
    login: str
    """How the peer has proved that it knows the password; "" if it was not asked."""
    early: bytes
    """What the peer has said behind the login, before the link had its owner: its first data."""

    @property
    def sent(self) -> int:
        """Bytes taken by the kernel for the peer."""

    @property
    def security(self) -> Security | None:
        """What protects the way; None where everybody on it can read along."""

    @property
    def refusal(self) -> str:
        """Why the peer does not want us, as TLS tells, for people; "" mostly."""

    @property
    def end_point(self) -> bytes:
        """The channel binding ``tls-server-end-point`` (RFC 5929 section 4); b"" without TLS."""

    @property
    def hears(self) -> bool:
        """Whether the peer can be sent anything at all."""

    @property
    def gather(self) -> int:
        """Bytes of waiting packets that may be put together into one write; 1: each on its own."""

    @property
    def closed(self) -> bool:
        """Tell whether nothing more comes of it."""

    @property
    def unsent(self) -> int:
        """Bytes that the kernel has not taken yet."""

    @property
    def acked(self) -> int:
        """Bytes that the other machine has got, as far as can be known."""

    def retain(self, *, doubtful: bool = False) -> None:
        """Remember what is written until the peer has got it, where that can be known.

        Of a peer that is ``doubtful`` also what it has got, within bounds, until ``trust``.
        """

    def trust(self) -> None:
        """Remember what the peer has got no longer."""

    def unacknowledged(self) -> tuple[bytes, int]:
        """Return the end of what was written and retained, and how many bytes at its beginning
        were got."""

    def arrived(self, quiet: float) -> int:
        """Return the bytes that the other machine should have got.

        Nothing was written for ``quiet`` seconds.
        """

    def configure(self, *, nodelay: bool, keepalive: float, retry: float) -> None:
        """Set the options of TCP, where it is spoken."""

    def dead(self, silence: float) -> bool:
        """Tell whether the peer owes an answer for ``silence`` seconds."""

    def stuck_at(self) -> int | None:
        """Return where the data stands that the peer answers and does not take; None if it does."""

    def has_left(self) -> bool:
        """Tell whether the peer has closed its end."""

    def when_closed(self, call: Callable[[], object]) -> None:
        """Have ``call`` called once, when the link is closed; at once if it is already."""

    def start(self, owner: LinkOwner) -> None:
        """Begin to pass on what the peer sends."""

    def write(self, data: bytes) -> bool:
        """Send data; after False the owner should wait for ``link_ready``."""

    def pause(self) -> None:
        """Read no more."""

    def resume(self) -> None:
        """Read again."""

    def finish(self, farewell: bytes = b"", limit: float = FINISH_LIMIT) -> None:
        """Send what waits and ``farewell``, then close; at most ``limit`` seconds."""

    def abort(self) -> None:
        """Close now; what waits is lost."""
