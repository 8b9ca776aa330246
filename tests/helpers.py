"""What several test files share: two wires joined, so that a test reads like a transcript."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from portline.line import (
    Event,
    PortState,
    Purge,
    Query,
    Report,
    Request,
    SendBreak,
    SetBreak,
    SetLine,
    SetModem,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portline.wire.base import Wire

__all__ = ["End", "WirePair", "carry_out", "chunks", "joined"]

ROUNDS: Final = 50
"""Exchanges after which two ends that still talk are said to go round in circles."""


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    """Divide data into chunks of ``size`` bytes."""
    return (data[start : start + size] for start in range(0, len(data), size))


def joined(events: list[Event]) -> list[Event]:
    """Return the events with neighbouring data put together, however it was divided."""
    result: list[Event] = []
    for event in events:
        last = result[-1] if result else None
        if isinstance(event, bytes) and isinstance(last, bytes):
            result[-1] = last + event
        else:
            result.append(event)
    return result


def carry_out(request: Request, state: PortState) -> PortState:
    """Return the state of a port that does all that it is asked to."""
    match request:
        case SetLine():
            return replace(state, settings=request.applied_to(state.settings))
        case SetModem(dtr, rts):
            return replace(
                state,
                dtr=state.dtr if dtr is None else dtr,
                rts=state.rts if rts is None else rts,
            )
        case SetBreak(on):
            return replace(state, break_on=on)
        case SendBreak() | Purge() | Query():
            return state


@dataclass
class End:
    """One side of a pair: its wire, the port behind it, and what it heard."""

    wire: Wire
    port: PortState = field(default_factory=PortState)
    obeys: bool = True
    """Whether the port does what it is asked to; it answers in any case."""
    heard: list[Event] = field(default_factory=list)
    unsent: bytes = b""

    def hear(self, data: bytes, now: float) -> None:
        """Take bytes from the other side, and carry requests out."""
        for event in self.wire.feed(data, now):
            self.heard.append(event)
            self.unsent += self._reply(event)
        self.unsent += self.wire.outgoing()

    def _reply(self, event: Event) -> bytes:
        match event:
            case SetLine() | SetModem() | SetBreak() | SendBreak() | Purge() | Query():
                if self.obeys:
                    self.port = carry_out(event, self.port)
                return self.wire.answer(event, self.port)
            case _:
                return b""

    @property
    def events(self) -> list[Event]:
        """What was heard since this was last looked at, data put together."""
        heard, self.heard = joined(self.heard), []
        return heard


class WirePair:
    """Two wires joined by a network that delivers at once, ``chunk`` bytes at a time.

    Each method lets both sides talk until they have nothing more to say, and fails if that does
    not happen.
    """

    def __init__(self, client: Wire, server: Wire, *, chunk: int = 65536) -> None:
        self.client = End(client)
        self.server = End(server)
        self.now = 0.0
        self._chunk = chunk

    def start(self) -> None:
        """Let both sides begin."""
        for end in (self.client, self.server):
            end.unsent += end.wire.start(self.now)
        self.settle()

    def settle(self) -> None:
        """Deliver until both are silent."""
        for _ in range(ROUNDS):
            if not (self.client.unsent or self.server.unsent):
                return
            for sender, receiver in ((self.client, self.server), (self.server, self.client)):
                sent, sender.unsent = sender.unsent, b""
                for chunk in chunks(sent, self._chunk):
                    receiver.hear(chunk, self.now)
        raise AssertionError("the two sides never fall silent")

    def send(self, end: End, data: bytes) -> None:
        """Send data from one end."""
        end.unsent += end.wire.encode(data)
        self.settle()

    def ask(self, *requests: Request) -> None:
        """Let the client ask, all at once."""
        for request in requests:
            self.client.unsent += self.client.wire.ask(request, self.now)
        self.settle()

    def report(self, report: Report) -> None:
        """Let the server report something of its port."""
        self.server.unsent += self.server.wire.report(report, self.now)
        self.settle()
