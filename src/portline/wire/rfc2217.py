"""Telnet with COM-PORT-OPTION: a peer that shares its serial port with us, or ours with it.

Theory of operation
-------------------
Three things are put together here: the codec (:mod:`portline.wire.telnet`), the agreement on
options (:mod:`portline.wire.negotiation`), and RFC 2217's two halves.  Which half works follows
from the port, not from who called whom: who has a serial port to share ``serves``, who wants the
peer's ``asks``, and two virtual ports back to back do both.

====== ============================== ============================================
half   begins when the peer           ends when the peer
====== ============================== ============================================
serves says WILL 44, or a command     says WONT 44 (or DONT 44, if it had said DO)
asks   says DO 44, or an answer       says DONT 44
====== ============================== ============================================

A peer that says DO 44 to an access server that does not ask means that it wants to be served: many
clients ask for the option in both directions.

Nothing waits for an agreement: data flows from the first byte, doubled IAC being the only thing
that is ever done to it.  The one exception is a terminal (it offers its type or its window size, or
refuses BINARY, and does not speak RFC 2217): Telnet obliges it to send a NUL after each CR of its
own, and that NUL is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portline.line import Event, Flow, SendBreak
from portline.wire.negotiation import Options, Side
from portline.wire.rfc2217_client import ComPortClient
from portline.wire.rfc2217_codes import ANSWER, Code
from portline.wire.rfc2217_server import ComPortServer
from portline.wire.telnet import (
    AYT,
    BINARY,
    BRK,
    COM_PORT,
    DO,
    DONT,
    ECHO,
    IAC,
    NAWS,
    SUPPRESS_GO_AHEAD,
    TERMINAL_TYPE,
    WILL,
    WONT,
    Command,
    OptionWord,
    Suboption,
    TelnetReader,
    escape,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portline.line import PortState, Report, Request
    from portline.wire.telnet import Token

__all__ = ["Rfc2217Wire"]

_HERE: Final = b"\r\n[Yes]\r\n"
"""The answer to AYT; RFC 854 wants something visible."""

_TERMINAL_WORDS: Final = frozenset(
    (
        OptionWord(WILL, TERMINAL_TYPE),
        OptionWord(WILL, NAWS),
        OptionWord(WONT, BINARY),
        OptionWord(DONT, BINARY),
    )
)
"""What only a terminal says.  A program that moves data agrees to BINARY, or is silent about it."""

_BREAK: Final = bytes((IAC, BRK))


class Rfc2217Wire:
    """One peer that speaks Telnet, with or without RFC 2217; see :class:`portline.wire.base.Wire`.

    ``serves``: the local port is shared with the peer.  ``asks``: the peer's port is wanted.
    ``signature`` is told to a peer who asks who we are (200 bytes at most).
    """

    transparent = False

    def __init__(self, *, serves: bool, asks: bool, signature: str = "") -> None:
        self.malformed = 0
        self._serves = serves
        self._asks = asks
        self._server = ComPortServer(signature)
        self._client = ComPortClient(signature)
        self._reader = TelnetReader()
        ours = {BINARY, SUPPRESS_GO_AHEAD} | ({ECHO} if serves else set())
        peers = {BINARY, SUPPRESS_GO_AHEAD} | ({ECHO} if asks else set())
        com_port = {COM_PORT} if serves or asks else set()
        self._options = Options(ours | com_port, peers | com_port)
        self._outgoing = bytearray()
        self._unusable = 0
        self._terminal = False
        self._pads = False
        self._after_cr = False
        self.refuses = not asks
        """Whether the peer has said that it is no access server."""

    # --- what the status shows ------------------------------------------------------------------

    @property
    def serving(self) -> bool:
        """The peer is known to be a client of our port."""
        return self._server.active

    @property
    def asking(self) -> bool:
        """The peer is known to be an access server; only then does :meth:`ask` say anything."""
        return self._client.active

    @property
    def agreed(self) -> bool:
        """COM-PORT-OPTION is in use, in either direction."""
        return self.serving or self.asking

    @property
    def binary_in(self) -> bool:
        """The peer sends BINARY."""
        return self._options.on(Side.PEER, BINARY)

    @property
    def binary_out(self) -> bool:
        """We send BINARY."""
        return self._options.on(Side.US, BINARY)

    @property
    def peer_signature(self) -> str:
        """Who the peer says it is; "" if it did not."""
        return self._client.peer_signature or self._server.peer_signature

    @property
    def unanswered(self) -> int:
        """How many of our commands the access server left without an answer."""
        return self._client.unanswered

    @property
    def unanswered_items(self) -> tuple[str, ...]:
        """What those were about."""
        return tuple(sorted(item.value for item in self._client.unanswered_items))

    # --- from and to the network ----------------------------------------------------------------

    def start(self, now: float) -> bytes:
        """Offer what we have; COM-PORT-OPTION comes first, which esp-link needs.

        Who asks does not invite to be asked: an access server would agree, for the sake of odd
        clients, and then be told what only a client wants to know.  A peer that asks, too, says so.
        """
        offers = b""
        if self._asks or self._serves:
            offers += self._options.offer(Side.US if self._asks else Side.PEER, COM_PORT)
        for option in (BINARY, SUPPRESS_GO_AHEAD):
            offers += self._options.offer(Side.US, option)
            offers += self._options.offer(Side.PEER, option)
        return offers

    def feed(self, data: bytes, now: float) -> Sequence[Event]:
        """Take bytes from the network and return what they say."""
        tokens = self._reader.feed(data)
        if len(tokens) == 1 and tokens[0] is data and not self._pads:
            return [data]  # nothing else, the usual case
        events: list[Event] = []
        for token in tokens:
            if isinstance(token, bytes):
                text = self._without_padding(token) if self._pads else token
                if text:
                    events.append(text)
            else:
                self._take(token, events)
        self.malformed = self._reader.malformed + self._unusable
        return events

    def outgoing(self) -> bytes:
        """Return what the wire itself wants to say."""
        if not self._outgoing:
            return b""
        said = bytes(self._outgoing)
        self._outgoing.clear()
        return said

    def encode(self, data: bytes) -> bytes:
        """Return data with IAC doubled."""
        return escape(data)

    def data_size(self, encoded: bytes) -> int:
        """Return its length with each doubled IAC counted once."""
        return len(encoded) - encoded.count(IAC) // 2

    def decoded(self, sent: bytes, skip: int) -> bytes:
        """Return the data in what was said here, without that in its first ``skip`` bytes."""
        reader = TelnetReader()
        list(reader.feed(sent[:skip]))
        return b"".join(token for token in reader.feed(sent[skip:]) if isinstance(token, bytes))

    def _take(self, token: Token, events: list[Event]) -> None:
        match token:
            case Command(code) if code == BRK:
                events.append(SendBreak())
            case Command(code) if code == AYT:
                self._outgoing += _HERE
            case OptionWord(verb, option):
                self._outgoing += self._options.hear(verb, option)
                self._terminal |= token in _TERMINAL_WORDS
                if option == COM_PORT:
                    events += self._agree(verb)
                self._settle_padding()
            case Suboption(body) if body[0] == COM_PORT:
                self._take_suboption(body, events)
                self._settle_padding()
            case _:
                pass  # NOP, GA, a data mark; the suboption of an option that we refuse

    # --- RFC 2217 -------------------------------------------------------------------------------

    def _agree(self, verb: int) -> list[Event]:
        """Begin or end a half, after the peer said something about COM-PORT-OPTION."""
        if self._asks and verb in (DO, DONT):
            self._client.active = verb == DO
            self.refuses = verb == DONT
        if not self._serves or (self._asks and verb in (DO, DONT)):
            return []
        odd_client = not self._asks and self._options.on(Side.US, COM_PORT)
        if odd_client or self._options.on(Side.PEER, COM_PORT):
            return self._server.activate()
        return self._server.deactivate()

    def _take_suboption(self, body: bytes, events: list[Event]) -> None:
        """Give a suboption to the half that it is meant for, or count it."""
        if len(body) < 2:
            self._unusable += 1
            return
        code, payload = body[1], body[2:]
        taken: list[Event] | None = None
        if code >= ANSWER and self._asks:
            told = self._client.take(code - ANSWER, payload)
            if told is not None:
                self._client.active = True
                self.refuses = False
                taken, reply = told
                self._outgoing += reply
        elif code < ANSWER and self._serves:
            taken = self._server.take(code, payload)
        elif code in (Code.FLOWCONTROL_SUSPEND, Code.FLOWCONTROL_RESUME) and self._asks:
            # Some access servers forget to add 100, and pyserial's client expects just that.
            taken = [Flow(suspended=code == Code.FLOWCONTROL_SUSPEND)]
        elif self._serves and code - ANSWER in (Code.NOTIFY_LINESTATE, Code.NOTIFY_MODEMSTATE):
            # Two access servers back to back tell each other their lines.
            told = self._client.take(code - ANSWER, payload)
            taken = None if told is None else told[0]
        if taken is None:
            self._unusable += 1
        else:
            events += taken

    # --- the rest of the contract ---------------------------------------------------------------

    def answer(self, request: Request, state: PortState) -> bytes:
        """Return the answer to a request of the peer, after what we had to say before it.

        An agreement is heard before the state that is told because of it.
        """
        return self.outgoing() + self._server.answer(request, state)

    def report(self, report: Report, now: float) -> bytes:
        """Return the report as a peer who is served wants to hear it."""
        return self._server.report(report)

    def ask(self, request: Request, now: float) -> bytes:
        """Return a request to the access server; b"" while :attr:`asking` is not true.

        A break works without RFC 2217 too, as Telnet's own command; so it is always that command,
        which the server times itself and carries out in its order with the data.
        """
        if not self._asks:
            return b""
        if isinstance(request, SendBreak):
            return _BREAK
        return self._client.ask(request, now) if self.asking else b""

    def waits(self, request: Request) -> bool:
        """Tell whether an answer to this very request of ours may still come.

        Not any more: it has come, or came without a value, or was given up.
        """
        return self._client.waits(request)

    def set_masks(self, modem: int, line: int, now: float) -> bytes:
        """Tell the access server what to notify: RFC 2217's bits of modem state and line state.

        b"" while :attr:`asking` is not true.
        """
        return self._client.set_masks(modem, line, now) if self.asking else b""

    def deadline(self) -> float | None:
        """Return when the oldest request to the peer is given up."""
        return self._client.deadline()

    def tick(self, now: float) -> Sequence[Event]:
        """Give up what the peer did not answer in time, and tell what that was."""
        return self._client.tick(now)

    # --- terminals ------------------------------------------------------------------------------

    def _settle_padding(self) -> None:
        pads = self._terminal and not self.binary_in and not self.agreed
        if pads and not self._pads:
            self._after_cr = False
        self._pads = pads

    def _without_padding(self, data: bytes) -> bytes:
        """Leave out each NUL that follows a CR, in this chunk or at the end of the last."""
        text = data[1:] if self._after_cr and data.startswith(b"\0") else data
        self._after_cr = data.endswith(b"\r")
        return text.replace(b"\r\0", b"\r")
