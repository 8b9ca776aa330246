"""Raw peers that have said all they will, and still hear the port for a moment.

Theory of operation
-------------------
``printf '*IDN?\\n' | socat - tcp:...`` ends its side of the connection before the device has
answered, so a peer that has just asked stays a while::

    peer --begin--> lingering --LINGER over--> finishing --all acknowledged, or FINISH_LIMIT--> gone
                       |                                                                       ^
                       +--------------- reset, or more waits for it than it reads -------------+

Who lingers hears the port, but is no peer: it takes nobody's place and the port does not wait for
it.  While there are no peers beside, the next one is to get what this one did not: the data is
lent (:mod:`portline.hub.keep`), and what has arrived at the other machine, as far as the kernel can
tell, counts as got.  When the last of them is gone, or somebody connects, accounts are settled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from portline.hub.keep import Keep
    from portline.service.peer.session import Session

__all__ = ["LINGER", "LINGERERS", "Lingering"]

LINGER: Final = 1.0
"""Seconds that a raw peer still hears the port after it has sent its last byte and FIN; socat
itself waits 0.5 s."""

LINGERERS: Final = 64
"""Peers that linger at the same time; the one that has lingered longest goes when another comes."""


class Lingering:
    """Those who linger at one connection."""

    def __init__(self, keep: Keep, *, loop: asyncio.AbstractEventLoop) -> None:
        self._keep = keep
        self._loop = loop
        self._timers: dict[Session, asyncio.TimerHandle] = {}
        self.accounts: dict[Session, _Account] = {}
        """Whose fate is not settled; while there are none, ``look`` and ``hear`` do nothing."""
        self._heard_at = 0.0

    def __len__(self) -> int:
        """Return how many hear the port still."""
        return len(self._timers)

    def __iter__(self) -> Iterator[Session]:
        """Iterate over those who hear the port still, even if they end meanwhile."""
        return iter(tuple(self._timers))

    def __contains__(self, session: Session) -> bool:
        """Tell whether this one hears the port still."""
        return session in self._timers

    def welcome(self, session: Session) -> bool:
        """Tell whether a session that has ended its side has asked for something just before."""
        asked = session.link.received and self._loop.time() - session.active_at < LINGER
        return bool(asked) and session.protocol == "raw"

    def begin(self, session: Session, reason: str) -> None:
        """Let a session hear the port for LINGER seconds, then close it."""
        if len(self._timers) >= LINGERERS:
            next(iter(self._timers)).close("others linger, too")
        if not self.accounts:
            self._heard_at = self._loop.time()  # at the latest
        self.accounts[session] = _Account(session)
        self._timers[session] = self._loop.call_later(LINGER, session.close, reason)

    def hear(self, data: bytes) -> None:
        """Pass data of the port on, after it was given to the hub."""
        for session in self:
            session.deliver(data)
        self._heard_at = self._loop.time()

    def vacate(self) -> None:
        """Note that there are no peers any more: what the port delivers is lent from now on."""
        for session in self._timers:
            self.accounts[session].lent_after = session.handed
            self._keep.lend()

    def look(self) -> None:
        """See who has got what; makes room for more to be lent.  Call before :meth:`hear`."""
        quiet = self._loop.time() - self._heard_at
        for session, account in self.accounts.items():
            account.got = max(account.got, session.link.arrived(quiet))
            if account.lent_after is not None:
                self._keep.got(account.got - account.lent_after)

    def settle(self) -> None:
        """Keep what nobody has got: somebody connects."""
        self.look()
        for account in self.accounts.values():
            account.lent_after = None
        self._keep.settle()

    def leave(self, session: Session) -> None:
        """Note that a session hears the port no longer; any session may be named."""
        timer = self._timers.pop(session, None)
        if timer is not None:
            timer.cancel()

    def given_up(self, session: Session) -> int:
        """Return the bytes given up for a session, whose link is closed now; any may be named.

        For one that has lingered: of those that it was sent as a peer.
        """
        self.look()
        account = self.accounts.pop(session, None)
        if all(other.lent_after is None for other in self.accounts.values()):
            self._keep.settle()
        if account is None:
            return session.dropped if session.undelivered is None else session.outbox.dropped
        return account.dropped + max(0, account.handed - account.got)

    def stop(self) -> None:
        """Do nothing more."""
        for timer in self._timers.values():
            timer.cancel()


class _Account:
    """What one who lingers was handed and has got, in bytes."""

    __slots__ = ("dropped", "got", "handed", "lent_after")

    def __init__(self, session: Session) -> None:
        self.handed = session.handed  # as a peer
        self.dropped = session.outbox.dropped  # as a peer
        self.got = session.link.acked
        self.lent_after: int | None = None  # what it had been handed when lending began
