"""One peer: a link, the protocol it speaks, and what waits for it.

Theory of operation
-------------------
A byte from the device takes this way in one loop callback: ``Connection.port_data`` ->
:meth:`Session.deliver` -> ``StreamLink.write`` -> the kernel.  Only when the kernel or the peer
does not take it does it go through the outbox.

A byte from the peer: ``StreamLink`` -> :meth:`Session.link_data` -> the wire -> events, in order:
data to the port if the hub lets this peer speak, requests to the port too, each answered by the
wire with the state in force once the port has carried it out.  All answers of one turn leave in
one segment, because some clients (microcom) cannot put divided replies together.

Reading is paused while the port cannot take more, and while too many answers lie unsent: a peer
that asks without listening holds back only itself.
"""

from __future__ import annotations

from enum import Flag, auto
from typing import TYPE_CHECKING, Final

from portline.hub.outbox import WORDS_HIGH, Outbox
from portline.line import (
    Flow,
    Gone,
    Hold,
    Purge,
    Query,
    SendBreak,
    SetBreak,
    SetInputs,
    SetLine,
    SetModem,
    Watch,
)
from portline.net.link import FINISH_LIMIT
from portline.service.peer.doubt import Doubt
from portline.service.peer.holding import Holding
from portline.service.peer.refusal import NO_PASSWORD, offers_rfc2217, reason_of
from portline.service.peer.remote import EVERY_FAULT, EVERY_LINE, NO_FAULT, RemoteState
from portline.service.peer.turns import COMMANDS_READ, next_read

if TYPE_CHECKING:
    from collections.abc import Callable

    from portline.line import Event, PortState, Report, Request
    from portline.net.link import Link
    from portline.service.peer.owner import SessionOwner
    from portline.wire.base import Wire

__all__ = ["Pause", "Session"]

_NO_WATCH: Final = Watch(modem_lines=False, faults=False)


class Pause(Flag):
    """Why a peer is not read at the moment."""

    PORT_FULL = auto()
    WORDS_WAIT = auto()


class Session:
    """A connected peer.  ``number`` is unique within its connection, counted from 1.

    What is sent to one that ``retains`` is ``undelivered`` when it vanishes before it got it.
    An access server is to tell ``faults`` of its line where somebody can see them.

    Where it is to be ``held``, data waits at first, see :mod:`portline.service.peer.holding`.

    One that is not held may be ``doubted``: at first it may say that it is full
    (:mod:`portline.service.peer.doubt`), and has then taken nothing of what it was sent.
    """

    def __init__(
        self,
        owner: SessionOwner,
        link: Link,
        wire: Wire,
        *,
        number: int,
        protocol: str,
        backlog: int,
        held: bool = False,
        doubted: bool = False,
        retains: bool = False,
        faults: bool = False,
        clock: Callable[[], float],
    ) -> None:
        self.link = link
        self.wire = wire
        self.number = number
        self.protocol = protocol
        self.connected_at = clock()
        self.active_at = self.connected_at
        """When data last moved in either direction (monotonic seconds).  Words do not count, be it
        negotiation or a request: a program that polls a line is not at work."""
        self.outbox = Outbox(backlog, wire.data_size)
        self.remote = RemoteState()
        """The port of a peer that is an access server."""
        self.watch = _NO_WATCH
        self.closed = False
        self._owner = owner
        self._clock = clock
        self._clear = not held
        self._holding = Holding(self.connected_at) if held else None
        self._doubt = Doubt(self.connected_at) if doubted else None
        self._suspended = False
        self._behind = False
        self._data_sent: int | None = None  # the link's count while data of ours is on its way
        self._pauses = Pause(0)
        self._collected: list[bytes] | None = None
        self._owed: dict[type, Report] = {}
        self._left = False  # by the peer's will, or by a fault
        self._given = self._encoded = 0  # bytes of data, before and after the wire spelled them
        self._serves = False
        self.outbox.suspended = held
        self._retains = retains
        self._fault_mask = EVERY_FAULT if faults else NO_FAULT
        self.undelivered: bytes | None = None
        """Data that the peer did not get; None where nothing was retained, or nothing vanished."""
        if retains:
            link.retain(doubtful=doubted)
        if not wire.transparent:
            link.read_size = COMMANDS_READ

    @property
    def name(self) -> str:
        """The peer's address."""
        return self.link.name

    @property
    def handed(self) -> int:
        """Bytes that were handed over for the peer and not dropped, since the start."""
        return self.link.sent + self.link.unsent + self.outbox.waiting

    @property
    def dropped(self) -> int:
        """Bytes of data that were given up for the peer, since the start.

        Of what was on its way to a peer of RFC 2217 when that vanished, which only the kernel had,
        it is an estimate: as much of it is taken for doubled bytes as of all that it was sent.
        """
        lost = self.link.lost
        return self.outbox.dropped + (
            lost * self._given // self._encoded if self._encoded else lost
        )

    def start(self) -> None:
        """Say the protocol's first words and begin to listen."""
        self._say(self.wire.start(self._clock()))
        self.link.start(self)

    # --- from the port to the peer --------------------------------------------------------------

    def deliver(self, data: bytes) -> None:
        """Send data of the port to the peer, now or when it can take it."""
        if not self.wire.transparent:
            self._given += len(data)
            data = self.wire.encode(data)
            self._encoded += len(data)
        if self._clear:
            self.active_at = self._clock()
            self._clear = self.link.write(data)
            if not self._clear:
                self._data_sent = self.link.sent
            return
        if self.closed:
            return
        self.outbox.put(data)
        if self.outbox.full:
            self._behind = True
            self._owner.peer_behind(self)

    def report(self, report: Report) -> None:
        """Tell the peer what happened at the port, if its protocol has words for it.

        A peer that does not read is owed the newest of each kind only, until it has read.
        """
        if self.outbox.words > WORDS_HIGH:
            self._owed[type(report)] = report
            return
        self._say(self.wire.report(report, self._clock()))

    def answered(self, request: Request, state: PortState) -> None:
        """Answer a request of the peer with what is in force."""
        if isinstance(request, Purge) and request.received:
            self.outbox.purge()
        self._say(self.wire.answer(request, state))

    def _say(self, word: bytes) -> None:
        if not word or self.closed:
            return
        if self._collected is not None:
            self._collected.append(word)
        elif self._clear:
            self._clear = self.link.write(word)
        else:
            self.outbox.say(word)
            if self.outbox.suspended and not self.link.unsent:
                self.link_ready()
            elif self.outbox.words > WORDS_HIGH:
                self._pause(Pause.WORDS_WAIT, wanted=True)

    def link_ready(self) -> None:
        """Send what waits, as far as the kernel takes it."""
        outbox = self.outbox
        before = outbox.size
        while outbox:
            if not self.link.write(outbox.take(self.link.gather)):
                break
        else:
            self._clear = not outbox.suspended
        if self._data_sent is not None or outbox.size < before:
            self.active_at = self._clock()
        self._data_sent = None if self._clear or outbox.size == before else self.link.sent
        if outbox.words <= WORDS_HIGH // 2:
            self._pause(Pause.WORDS_WAIT, wanted=False)
            while self._owed:
                self.report(self._owed.popitem()[1])
        if self._behind and not outbox.size:
            self._behind = False
            self._owner.peer_caught_up(self)

    # --- from the peer to the port --------------------------------------------------------------

    def link_data(self, data: bytes) -> None:
        """Carry out what the peer says."""
        now = self._clock()
        wire = self.wire
        if wire.transparent:
            if self._doubt is not None and not (data := self._judged(self._doubt, data)):
                return
            self.active_at = now
            self._owner.peer_data(self, data)
            return
        self._collected = []
        try:
            events = wire.feed(data, now)
            said = wire.outgoing()
            if said:
                self._collected.append(said)
            self.link.read_size = next_read(self.link.read_size, len(events), len(said))
            for event in events:
                if self.closed:
                    return
                if isinstance(event, bytes) and self._holding is None:
                    if self._doubt is not None and not (event := self._judged(self._doubt, event)):
                        continue
                    self.active_at = now
                    self._owner.peer_data(self, event)
                else:
                    self._take(event)
            if not self._serves and wire.asking:
                self._serves = True
                self._say(wire.set_masks(EVERY_LINE, self._fault_mask, now))
                self._owner.peer_serves(self)
        finally:
            words = self._collected
            self._collected = None
            if words:
                self._say(b"".join(words))
        holding = self._holding
        if holding is not None and holding.settled(serves=self._serves, refuses=wire.refuses):
            self._release(holding)

    def ask(self, request: Request, *, patience: float = 0.0) -> None:
        """Ask the peer, if it is an access server, to do what the request says.

        It may take ``patience`` seconds longer than usual to answer.
        """
        words = self.wire.ask(request, self._clock() + patience)
        if words:
            self.remote.asks(request)
            self._say(words)

    def _take(self, event: Event) -> None:
        match event:
            case bytes() if self._holding is not None:
                self._holding.early += event
                if self._holding.asks_login:
                    self.abort(NO_PASSWORD)
            case bytes():
                self.active_at = self._clock()
                self._owner.peer_data(self, event)
            case Flow(suspended=suspended):
                self._suspend(suspended)
            case Watch():
                self.watch = event
                self._owner.peer_watches()
            case Gone():
                self.close(event.reason)
            case (
                SetLine()
                | SetModem()
                | SetBreak()
                | SendBreak()
                | Hold()
                | Purge()
                | Query()
                | SetInputs()
            ):
                self._owner.peer_request(self, event)
            case _:
                if self._holding is not None:
                    self._holding.told = True
                self._owner.peer_report(self, event)

    def _suspend(self, suspended: bool) -> None:
        self._suspended = suspended
        self.outbox.suspended = suspended or self._holding is not None
        if suspended:
            self._clear = False
        elif not self.link.unsent and self._holding is None:
            self.link_ready()

    def _release(self, holding: Holding) -> None:
        """Let data go that has waited for the settings to be asked for."""
        if self.closed:
            return
        self._holding = None
        if self._serves:
            self._owner.peer_settled(self)
        else:
            self._owner.peer_does_not_serve(self)
        self._suspend(self._suspended)
        if holding.early:
            self._take(holding.early)

    def _judged(self, doubt: Doubt, data: bytes) -> bytes:
        """Return what the peer has said so far, b"" while that may be a refusal."""
        if doubt.hear(data):
            if self.wire.transparent and offers_rfc2217(doubt.early):
                self._owner.peer_offers_more(self)
            return self._believed(doubt)
        if doubt.asks_login:
            self.abort(NO_PASSWORD)
        return b""

    def _believed(self, doubt: Doubt) -> bytes:
        """Doubt the peer no longer; returns what it has said."""
        self._doubt = None
        self.link.trust()
        self._owner.peer_settled(self)
        return doubt.early

    def _conclude(self) -> None:
        """Decide what a doubted peer has said, because it will say nothing more."""
        if self._doubt is not None and self._doubt.is_data:
            self._owner.peer_data(self, self._believed(self._doubt))

    @property
    def refusal(self) -> str:
        """What a peer said instead of serving, for people; "" unless it ended before it served."""
        if told := self.link.refusal:
            return told
        unknown = self._doubt or self._holding
        return "" if unknown is None else reason_of(unknown.early, left=self._left)

    def link_eof(self) -> None:
        """Note that the peer will send nothing more."""
        self._left = True
        self._conclude()
        self._owner.peer_finished(self)

    def link_lost(self, reason: str) -> None:
        """Note that the link is closed."""
        self._left = True
        self._conclude()
        self.closed = True
        self._clear = False
        self._give_up()
        self._owner.peer_gone(self, self.refusal or reason)

    def _give_up(self) -> None:
        """Forget what waits, or have it ready for the next peer."""
        link, doubt = self.link, self._doubt
        refused = doubt is not None and bool(doubt.early)
        # It may have been served, as far as anybody can tell; so it is not sent again, but counted.
        unserved = self._left and doubt is not None and not doubt.early
        self.outbox.dropped += link.acked if unserved else 0
        if self._retains:
            sent, got = link.unacknowledged()
            if refused:
                got = 0  # it took nothing, whatever its machine has acknowledged
                self.outbox.dropped += link.sent + link.unsent - len(sent)
            self.undelivered = self.wire.decoded(sent + self.outbox.data(), got)
            self.outbox.purge()
        else:
            self.outbox.dropped += self.outbox.purge() + (link.acked if refused else 0)

    def tick(self, now: float) -> None:
        """Let time pass for the protocol, and note data that leaves bit by bit."""
        if self._data_sent is not None and self._data_sent != self.link.sent:
            self._data_sent = self.link.sent
            self.active_at = now
        deadline = self.wire.deadline()
        if deadline is not None and deadline <= now:
            for event in self.wire.tick(now):
                self._take(event)
            self._say(self.wire.outgoing())
        if self._holding is not None and self._holding.overdue(now):
            self._release(self._holding)
        doubt = self._doubt
        if doubt is not None and doubt.overdue(now) and (data := self._believed(doubt)):
            self._owner.peer_data(self, data)

    # --- pace and end ---------------------------------------------------------------------------

    def pause_for_port(self, full: bool) -> None:
        """Stop or resume reading the peer because the port is full or not."""
        self._pause(Pause.PORT_FULL, wanted=full)

    def _pause(self, reason: Pause, *, wanted: bool) -> None:
        before = self._pauses
        self._pauses = before | reason if wanted else before & ~reason
        if self.closed or bool(self._pauses) == bool(before):
            return
        if self._pauses:
            self.link.pause()
        else:
            self.link.resume()

    def abort(self, reason: str) -> None:
        """End the session at once; what waits is lost."""
        if self.closed:
            return
        self._conclude()
        self.closed = True
        self._clear = False
        self.link.abort()
        self._give_up()
        self._owner.peer_gone(self, reason)

    def close(self, reason: str, *, limit: float = FINISH_LIMIT) -> None:
        """End the session from our side: what waits is sent first, within ``limit`` seconds."""
        if self.closed:
            return
        self._conclude()
        self.closed = True
        self._clear = False
        self.outbox.suspended = False
        while self.outbox:
            self.link.write(self.outbox.take(self.link.gather))
        self.link.finish(limit=limit)
        self._owner.peer_gone(self, reason)
