"""The handshakes of a server that are under way: so many, for so long, and not all from one peer.

Theory of operation
-------------------
Who has connected and is not through with the handshake is nobody yet: it takes no place among the
peers, and neither opens the port nor holds it.  When there are HANDSHAKES of them, the oldest of
the address that has most of them makes room for a newcomer; so a flood from one address takes away
its own places, and others get through.  A network of 64 bits of IPv6 counts as one address.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from portline.auth.throttle import origin
from portline.net.address import host_of
from portline.net.tls.handshake import Handshake, Turns
from portline.net.tls.mistrust import Failure, TlsFault

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from portline.net.stream import StreamLink
    from portline.net.tls.contexts import ServerContext
    from portline.net.tls.link import TlsLink

__all__ = ["HANDSHAKES", "HANDSHAKE_LIMIT", "Handshakes"]

HANDSHAKES: Final = 64
"""Handshakes under way at one connection at the same time: 4 MiB at the very most."""

HANDSHAKE_LIMIT: Final = 10.0
"""Seconds for a handshake: several times what the slowest radio link needs for three ways."""


class Handshakes:
    """The handshakes of one connection.

    ``done(link, protocol)`` is called for each that succeeds; ``failed(peer, fault)`` for the
    others, with the address of the peer.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        done: Callable[[TlsLink, str], object],
        failed: Callable[[str, TlsFault], object],
        limit: float = HANDSHAKE_LIMIT,
    ) -> None:
        self._loop = loop
        self._done = done
        self._failed = failed
        self._limit = limit
        self._turns = Turns(loop)
        self._under_way: dict[Handshake, str] = {}  # with the origin, in the order of beginning
        self._counts: Counter[Failure] = Counter()

    def __len__(self) -> int:
        """Return how many are under way."""
        return len(self._under_way)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many have failed since the start, by the name of the failure; those that have."""
        return {
            failure.value: count
            for failure, count in sorted(
                self._counts.items(), key=lambda item: list(Failure).index(item[0])
            )
        }

    def begin(self, stream: StreamLink, protocol: str, with_: ServerContext) -> None:
        """Begin with one who has connected."""
        if len(self._under_way) >= HANDSHAKES:
            self._make_room()
        handshake = Handshake(
            self._loop,
            stream,
            with_.channel(),
            certificate=with_.certificate,
            limit=self._limit,
            turns=self._turns,
            done=lambda link: self._over(handshake, link, protocol),
            failed=self._fail,
            noted=self._note,
        )
        self._under_way[handshake] = origin(host_of(stream.name))
        handshake.begin()

    def close(self) -> None:
        """End all that are under way."""
        under_way, self._under_way = self._under_way, {}
        for handshake in under_way:
            handshake.stop()

    def _make_room(self) -> None:
        ((place, _),) = Counter(self._under_way.values()).most_common(1)
        oldest = next(each for each, its in self._under_way.items() if its == place)
        said = f"{len(self._under_way)} of them"
        oldest.stop(TlsFault.of(Failure.CROWDED, server=True, said=said))

    def _over(self, handshake: Handshake, link: TlsLink, protocol: str) -> None:
        self._under_way.pop(handshake, None)
        self._done(link, protocol)

    def _fail(self, handshake: Handshake, fault: TlsFault) -> None:
        self._under_way.pop(handshake, None)
        self._note(fault)
        self._failed(handshake.name, fault)

    def _note(self, fault: TlsFault) -> None:
        self._counts[fault.failure] += 1
