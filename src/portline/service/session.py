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
from typing import TYPE_CHECKING, Final, Protocol

from portline.hub.outbox import WORDS_HIGH, Outbox
from portline.line import (
    Flow,
    Gone,
    Purge,
    Query,
    SendBreak,
    SetBreak,
    SetInputs,
    SetLine,
    SetModem,
    Watch,
)
from portline.net.stream import FINISH_LIMIT, READ_SIZE
from portline.service.remote import RemotePort

if TYPE_CHECKING:
    from collections.abc import Callable

    from portline.line import Event, PortState, Report, Request
    from portline.net.link import Link
    from portline.wire.base import Wire

__all__ = ["Pause", "Session", "SessionOwner"]

COMMANDS_READ: Final = 4 * 1024
"""Bytes read in one turn from a peer that may send commands: some hundred of them, which take a few
milliseconds.  It doubles with each turn that brought data, so that data comes at full speed."""

MANY: Final = 64
"""Events, or words of our own, in one turn that tell commands from data."""

EVERY_LINE: Final = 0xFB
"""The modem state mask for an access server (RFC 2217 section 3): every line, each change of one.

Only the bit for RI's trailing edge is left out, which tells nothing that RI itself does not: 255
would have to be doubled, and of a doubled 255 in a command sredird sends the rest to the device."""

NO_FAULT: Final = 0
"""The line state mask for the virtual port that has no way to show an application what went wrong
there, which most are."""

EVERY_FAULT: Final = 0x1E
"""The one for the others: overrun, parity, framing, break (RFC 2217 section 3)."""

HOLD_LIMIT: Final = 3.0
"""Seconds that data waits for a peer to turn out to be an access server; as in pyserial."""

EARLY_LIMIT: Final = 4 * 1024
"""Bytes that a peer may say before it turns out to be an access server or none; more is data."""

REFUSAL_SHOWN: Final = 200
"""Characters that are shown of what a peer said instead of serving."""

WORD: Final = 3
"""Bytes of the shortest word that we say: IAC WONT and an option."""

_NO_WATCH: Final = Watch(modem_lines=False, faults=False)


class Pause(Flag):
    """Why a peer is not read at the moment."""

    PORT_FULL = auto()
    WORDS_WAIT = auto()


class SessionOwner(Protocol):
    """The connection that a session belongs to."""

    def peer_data(self, session: Session, data: bytes) -> None:
        """Take what the peer wants to send to the port."""

    def peer_request(self, session: Session, request: Request) -> None:
        """Carry out a request and call ``session.answered`` once."""

    def peer_report(self, session: Session, report: Report) -> None:
        """Take what an access server at the other end tells."""

    def peer_serves(self, session: Session) -> None:
        """Note that the peer turns out to be an access server, which can be asked."""

    def peer_does_not_serve(self, session: Session) -> None:
        """Note that a peer which should be an access server is none."""

    def peer_watches(self) -> None:
        """Note that what the peers want to be told of has changed."""

    def peer_behind(self, session: Session) -> None:
        """Note that the outbox is full, at each chunk that goes beyond."""

    def peer_caught_up(self, session: Session) -> None:
        """Note that the outbox is empty again."""

    def peer_finished(self, session: Session) -> None:
        """Note that the peer will send nothing more."""

    def peer_gone(self, session: Session, reason: str) -> None:
        """Note that the link is closed."""


class Session:
    """A connected peer.  ``number`` is unique within its connection, counted from 1.

    What is sent to one that ``retains`` is ``undelivered`` when it vanishes before it got it.
    An access server is to tell ``faults`` of its line where somebody can see them.

    While it is ``held``, data waits in both directions: until the peer turns out to be an access
    server, has been asked for the settings that the data is for and has told something of its port,
    says that it is none, or HOLD_LIMIT is over.  To agree is not enough: ser2net does so before it
    says in plain text that the port is in use.
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
        self.outbox = Outbox(backlog)
        self.remote = RemotePort()
        """The port of a peer that is an access server."""
        self.watch = _NO_WATCH
        self.closed = False
        self._owner = owner
        self._clock = clock
        self._clear = not held
        self._held = held
        self._suspended = False
        self._behind = False
        self._data_sent: int | None = None  # the link's count while data of ours is on its way
        self._pauses = Pause(0)
        self._collected: list[bytes] | None = None
        self._owed: dict[type, Report] = {}
        self._early = b""
        self._serves = False
        self._told = False
        self.outbox.suspended = held
        self._retains = retains
        self._fault_mask = EVERY_FAULT if faults else NO_FAULT
        self.undelivered: bytes | None = None
        """Data that the peer did not get; None where nothing was retained, or nothing vanished."""
        if retains:
            link.retain()
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

    def start(self) -> None:
        """Say the protocol's first words and begin to listen."""
        self._say(self.wire.start(self._clock()))
        self.link.start(self)

    # --- from the port to the peer --------------------------------------------------------------

    def deliver(self, data: bytes) -> None:
        """Send data of the port to the peer, now or when it can take it."""
        if not self.wire.transparent:
            data = self.wire.encode(data)
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
            self.active_at = now
            self._owner.peer_data(self, data)
            return
        self._collected = []
        try:
            events = wire.feed(data, now)
            said = wire.outgoing()
            if said:
                self._collected.append(said)
            self._size_reads(max(len(events), len(said) // WORD))
            for event in events:
                if self.closed:
                    return
                if isinstance(event, bytes) and not self._held:
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
        told = self._serves and self._told
        if self._held and (told or wire.refuses or len(self._early) > EARLY_LIMIT):
            self._release()

    def _size_reads(self, events: int) -> None:
        """Read less at once from a peer that sends mostly commands, so that others get a turn."""
        size = self.link.read_size
        self.link.read_size = COMMANDS_READ if events > MANY else min(2 * size, READ_SIZE)

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
            case bytes() if self._held:
                self._early += event
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
                SetLine() | SetModem() | SetBreak() | SendBreak() | Purge() | Query() | SetInputs()
            ):
                self._owner.peer_request(self, event)
            case _:
                self._told = True
                self._owner.peer_report(self, event)

    def _suspend(self, suspended: bool) -> None:
        self._suspended = suspended
        self.outbox.suspended = suspended or self._held
        if suspended:
            self._clear = False
        elif not self.link.unsent and not self._held:
            self.link_ready()

    def _release(self) -> None:
        """Let data go that has waited for the settings to be asked for."""
        self._held = False
        if not self._serves:
            self._owner.peer_does_not_serve(self)
        self._suspend(self._suspended)
        early, self._early = self._early, b""
        if early:
            self._take(early)

    @property
    def refusal(self) -> str:
        """What a peer said that did not serve; "" unless it said something while it was held.

        A server that has no place says so in plain text and closes the connection.  No device said
        that, so no application must read it.
        """
        text = self._early.decode("utf-8", "replace").strip()[:REFUSAL_SHOWN]
        shown = "".join(each if each.isprintable() else "?" for each in text)
        return shown and f'the peer does not serve us: "{shown}"'

    def link_eof(self) -> None:
        """Note that the peer will send nothing more."""
        self._owner.peer_finished(self)

    def link_lost(self, reason: str) -> None:
        """Note that the link is closed."""
        self.closed = True
        self._clear = False
        self._give_up()
        self._owner.peer_gone(self, self.refusal or reason)

    def _give_up(self) -> None:
        """Forget what waits, or have it ready for the next peer."""
        if self._retains:
            sent, got = self.link.unacknowledged()
            self.undelivered = self.wire.decoded(sent + self.outbox.data(), got)
            self.outbox.purge()
        else:
            self.outbox.dropped += self.outbox.purge()

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
        if self._held and now - self.connected_at >= HOLD_LIMIT:
            self._release()

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
        self.closed = True
        self._clear = False
        self.link.abort()
        self._give_up()
        self._owner.peer_gone(self, reason)

    def close(self, reason: str, *, limit: float = FINISH_LIMIT) -> None:
        """End the session from our side: what waits is sent first, within ``limit`` seconds."""
        if self.closed:
            return
        self.closed = True
        self._clear = False
        self.outbox.suspended = self._held = False
        while self.outbox:
            self.link.write(self.outbox.take(self.link.gather))
        self.link.finish(limit=limit)
        self._owner.peer_gone(self, reason)
