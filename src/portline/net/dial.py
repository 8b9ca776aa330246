"""Outgoing connections that take care of themselves.

Theory of operation
-------------------
::

    closed --open--> dialing --answered--> handed over --again--+
                      ^   |                                     |
                      |   +--nobody answers--> resting <--------+
                      +------------------------+

One *round* tries all places in order, but those that have just answered and refused at the end.  A
round that fails is a state with a reason and a next time, never an exit.  What is handed over
belongs to whoever was called; it says when it has ended by :meth:`Dialer.again`.

The delays begin anew only after a link that has lasted for longer than the longest of them: a
server that accepts and closes at once is not hammered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from portline.errors import LoginError, NetworkError
from portline.net.address import display
from portline.net.attempts import Attempts
from portline.net.lookup import Lookups
from portline.net.reach import reach
from portline.net.stream import StreamLink

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Sequence

    from portline.auth.password import Password
    from portline.net.backoff import Backoff
    from portline.net.proxy import Proxy
    from portline.net.tls.link import TlsLink

__all__ = ["LEAST", "Dialer", "Secure"]

Secure: TypeAlias = "Callable[[StreamLink, str, int, float], Awaitable[TlsLink]]"
"""Makes a link to a host and port secure within some seconds, or raises NetworkError."""

_Found: TypeAlias = "tuple[StreamLink | TlsLink, int]"
"""A link, and the index of its place."""

LEAST: Final = 0.1
"""Seconds for a handshake, also where reaching the host has taken nearly all the time."""


class Dialer:
    """Dials ``places`` (host and port) until one answers, for ever, and again when asked to.

    ``connected(link, index)`` is called with each link that is made, and the index of its place.
    ``changed(self)`` is called when :attr:`error` has become another, or none.  ``timeout`` is the
    number of seconds after which a place is given up.  With ``secure`` each link is made secure
    before it counts as an answer.  With a ``password``, a server that does not ask for it, or does
    not know it, is as good as one that does not answer.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        places: Sequence[tuple[str, int]],
        *,
        proxy: Proxy | None = None,
        secure: Secure | None = None,
        timeout: float,
        backoff: Backoff,
        password: Password | None = None,
        connected: Callable[[StreamLink | TlsLink, int], None],
        changed: Callable[[Dialer], None] = lambda dialer: None,
    ) -> None:
        self.places = tuple(places)
        self.error: NetworkError | None = None
        """Why the last round failed; None after a success.  Its ``address`` is the first place."""
        self.attempt = 0
        """Rounds since the last success, with the one under way; counted from 1."""
        self.next_at: float | None = None
        """The loop's time at which the next round begins; None while one is under way, and while
        none is wanted."""
        self._loop = loop
        self._proxy = proxy
        self._secure = secure
        self._timeout = timeout
        self._backoff = backoff
        self.password = password
        """What is proved to each server, and asked of it, before a link is handed over."""
        self._connected = connected
        self._changed = changed
        self._lookups = Lookups(loop)
        self._attempts: Attempts[_Found] = Attempts(
            loop, self._begin, ended=self._ended, dropped=lambda found: found[0].abort()
        )
        self._first = 0  # the place at which the next round begins
        self._reached = 0
        self._handed_over_at: float | None = None

    @property
    def dialing(self) -> bool:
        """Tell whether a round is under way."""
        return self._attempts.working

    @property
    def reached(self) -> str:
        """The place that answered last, for people."""
        return display(*self.places[self._reached])

    @property
    def address(self) -> str:
        """All places, for people."""
        return ", ".join(display(*place) for place in self.places)

    def open(self) -> None:
        """Dial now, unless that has begun."""
        self._attempts.open()

    def close(self) -> None:
        """Stop dialing; a link that was handed over stays.  Nothing is called back afterwards."""
        self._attempts.close()
        self._handed_over_at = self.next_at = self.error = None
        self.attempt = self._first = 0
        self._backoff.reset()

    def again(self, *, refused: bool = False) -> None:
        """Dial again after a while, because the link that was handed over has ended.

        Where it was ``refused`` there, the next round begins behind that place, which comes last.
        Without a link, or after a close, this does nothing.
        """
        if self._handed_over_at is None:
            return
        self._first = self._reached + 1 if refused else 0
        if self._loop.time() - self._handed_over_at > self._backoff.highest:
            self._backoff.reset()
        self._handed_over_at = None
        self._rest()

    def _rest(self) -> None:
        """Wait for the next round."""
        self.next_at = self._loop.time() + self._backoff.delay()
        self._attempts.call_at(self.next_at)

    def _begin(self) -> None:
        """Begin a round."""
        self.next_at = None
        self.attempt += 1
        self._attempts.work(self._round())

    async def _round(self) -> _Found:
        """Return what the first place that answers gives; raise NetworkError if none does."""
        faults: list[NetworkError] = []
        count = len(self.places)
        for index in (place % count for place in range(self._first, self._first + count)):
            host, port = self.places[index]
            try:
                link = await self._reached_link(host, port)
                await self._log_in(link, display(host, port))
                return link, index
            except NetworkError as fault:
                faults.append(fault)
        first = faults[0].address
        raise NetworkError(first, "; ".join(map(str, faults)).removeprefix(f"{first}: "))

    async def _reached_link(self, host: str, port: int) -> StreamLink | TlsLink:
        """Return a link to a host, secure where that is wanted."""
        end = self._loop.time() + self._timeout
        sock, name = await reach(
            self._loop, self._lookups, host, port, proxy=self._proxy, limit=self._timeout
        )
        link = StreamLink(self._loop, sock, name)
        if self._secure is None:
            return link
        return await self._secure(link, host, port, max(LEAST, end - self._loop.time()))

    async def _log_in(self, link: StreamLink | TlsLink, address: str) -> None:
        """Log in if there is a password; raise NetworkError, with the link closed, if it fails."""
        if self.password is None:
            return
        from portline.net.login import log_in

        try:
            await log_in(link, self.password)
        except LoginError as error:
            raise NetworkError(address, error.text) from None

    def _ended(self, task: asyncio.Task[_Found]) -> None:
        """Hand over what a round has found, or say why it found nothing."""
        try:
            found = task.result()
        except NetworkError as error:
            self._rest()
            self._tell(error)
        except BaseException:  # a fault of ours is for the loop to report; the next round may do
            self._rest()
            raise
        else:
            self._hand_over(*found)

    def _hand_over(self, link: StreamLink | TlsLink, index: int) -> None:
        self._reached = index
        self.attempt = 0
        handed_over_at = self._handed_over_at = self._loop.time()
        self._tell(None)
        if self._handed_over_at is handed_over_at and self._attempts.wanted:
            self._connected(link, index)
        else:  # whoever heard that it is well again does not want it any more
            link.abort()

    def _tell(self, error: NetworkError | None) -> None:
        """Note how the last round ended, and say so if that is news."""
        news = str(error) != str(self.error)
        self.error = error
        if news:
            self._changed(self)
