"""All options of a server connection at once, drawn at random, held against a model of the rules.

The connection is the real one, down to its sockets and the clock, which are played
(``tests/model/machine.py``); what has to come out is in ``tests/model/connection_rules.py``.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from portline.config.models import ServerConnection
from portline.line import (
    LineSettings,
    PortState,
    SetBreak,
    SetLine,
    SetModem,
    Told,
)
from portline.service import connection as module
from portline.service.connection import Connection
from portline.service.peer.session import Session
from portline.wire.rfc2217 import Rfc2217Wire
from tests.memory import MemoryPort
from tests.model.connection_rules import Model, Peer
from tests.model.machine import Doorway, Loop, Wire

TICK = 0.000137
"""Seconds that everything takes; no two timers ring at the same moment."""

NUMBERS = 1 << 19


def digits(lowest: int, period: int) -> bytes:
    """Return one byte of each number: one of 63, another one after ``period`` numbers."""
    cycle = b"".join(bytes((lowest + digit,)) * period for digit in range(63))
    return (cycle * (NUMBERS // len(cycle) + 1))[:NUMBERS]


def numbered() -> bytes:
    data = bytearray(4 * NUMBERS)
    for place, period in enumerate((250_000, 3969, 63, 1)):
        data[place::4] = digits(64 * place, period)
    return bytes(data)


SAID = numbered()
"""What the device says: numbers of four bytes, none of them 0xFF."""

MUCH = 20_000
"""Bytes; some of it, and a peer that does not read loses data."""

CHOICES = ["none", "first", "last", "last-active", "all"]
LEVELS = ["high", "low", "leave"]


def some(**options: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw a table with some of the options."""
    return st.fixed_dictionaries({}, optional=options)


COMMON = some(
    packet_size=st.sampled_from([0, 3, 50, 700]),
    packet_delimiter=st.sampled_from(
        [["\\xc1"], ["\\xc5\\x00", "\\xc9"], ["\\xc2\\x00\\x40", "@"]]
    ),
    packet_wait=st.sampled_from([0.0113, 0.3071]),
    packet_idle=st.sampled_from([3.5, 100]),
    packet_pause=st.sampled_from([0.0193, 0.511]),
    buffer_size=st.sampled_from([0, 50, 4000, 1 << 20]),
    backlog_size=st.just(65536),
    overflow=st.sampled_from(["drop-oldest", "disconnect"]),
    inactivity=st.sampled_from([0.9, 7]),
    nodelay=st.booleans(),
)
RAW = some(
    receive_from=st.sampled_from(CHOICES),
    send_to=st.sampled_from(CHOICES),
    max_connections=st.integers(1, 4),
)
RFC2217 = some(notify=st.booleans(), allow_dtr=st.booleans(), allow_rts=st.booleans())
RFC2217_REAL = some(allow_settings=st.booleans(), allow_break=st.booleans())
REAL = some(
    open_when_connected=st.booleans(),
    **{
        f"{line}_{moment}": st.sampled_from(LEVELS)
        for line in ("dtr", "rts")
        for moment in ("connected", "disconnected")
    },
)
VIRTUAL = some(listen_when_open=st.booleans())


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    table = {"listen": "127.0.0.1:4001", **draw(COMMON)}
    raw, real = draw(st.booleans()), draw(st.booleans())
    table |= {"port": "/dev/ttyNONE0"} if real else {"virtual": "ttyV0"}
    table |= draw(REAL if real else VIRTUAL)
    if raw:
        return table | draw(RAW)
    table |= {"protocol": "rfc2217", **draw(RFC2217)}
    if "packet_delimiter" in table:
        table["packet_strip"] = draw(st.booleans())
    return table | draw(RFC2217_REAL) if real else table


class Far:
    """The program at the far end of one connection, and what the model says about it."""

    def __init__(self, wire: Wire, peer: Peer, protocol: str) -> None:
        self.wire, self.peer = wire, peer
        self.reads = True
        self.clogged = False
        self.left = False
        self.got = bytearray()
        self.told: list[Told] = []
        self.telnet = None if protocol == "raw" else Rfc2217Wire(serves=False, asks=True)
        if self.telnet is not None:
            self.wire.say(self.telnet.start(0.0))

    def look(self) -> bool:
        """Read what is there; tell whether something was."""
        data = self.wire.read_all()
        if self.telnet is None:
            self.got += data
            return bool(data)
        for event in self.telnet.feed(data, 0.0):
            if isinstance(event, bytes):
                self.got += event
            elif isinstance(event, Told):
                self.told.append(event)
        words = self.telnet.outgoing()
        if words and not self.wire.far_ended:
            self.wire.say(words)
        return bool(data or words)


class ConnectionMachine(RuleBasedStateMachine):
    """Peers, a device, an application and the time do what they like."""

    @initialize(table=tables(), crowd=st.integers(0, 3))
    def make(self, table: dict[str, Any], crowd: int) -> None:
        self.loop = Loop()
        self.config = ServerConnection.model_validate(table)
        self.raw = self.config.protocol.value == "raw"
        self.doorways: list[Doorway] = []
        self.patches = [
            mock.patch.object(module, "make_port", self.make_port),
            mock.patch("portline.net.listen._bind", self.bind),
        ]
        for patch in self.patches:
            patch.start()
        self.connection = Connection("meter", self.config, self.loop)  # type: ignore[arg-type]
        assert isinstance(self.connection.port, MemoryPort)
        self.port = self.connection.port
        self.model = Model(self.config)
        self.in_use = not self.config.listen_when_open
        self.turned_away = 0
        self.count = 0
        self.fars: list[Far] = []
        self.number = 0
        self.time_idle(self.config.line_settings())
        self.connection.start()
        self.settle()
        if self.config.virtual is not None:
            self.application_opens_or_closes(True)
        for _ in range(crowd):
            self.join()

    def teardown(self) -> None:
        if not hasattr(self, "patches"):
            return
        try:
            self.everybody_leaves()
        finally:
            for patch in self.patches:
                patch.stop()

    def make_port(self, config: Any, *, owner: Any, loop: Any, **_: Any) -> MemoryPort:
        return MemoryPort(
            owner, PortState(settings=config.line_settings()), virtual=config.is_virtual
        )

    def bind(self, *_: object) -> list[Doorway]:
        self.doorways.append(Doorway(self.loop))
        return self.doorways[-1:]

    def time_idle(self, line: LineSettings) -> None:
        if self.model.packets is not None:
            self.model.packets.idle = self.config.packet_idle * line.character_time
            self.model.tick(self.loop.now)

    # --- the world goes on ----------------------------------------------------------------------

    def settle(self) -> None:
        """Let everything happen that can happen now."""
        self.loop.turn()
        while sum(far.look() for far in self.fars if far.reads):
            self.loop.turn()
        for far in self.fars:
            if len(far.wire.flight):
                far.clogged = True
            # Who does not read sees the end later.
            closing = far.clogged and far.wire.number not in self.sessions()
            if (far.wire.near_ended or closing) and not far.left:
                self.server_has_closed(far)
        self.loop.turn()

    def server_has_closed(self, far: Far) -> None:
        peer, now = far.peer, self.loop.now
        far.left = True
        if peer in self.model.lingering:
            assert peer.dead or now >= peer.until - 1e-6  # it reads
        elif peer in self.model.peers:
            late = self.config.inactivity and now - peer.active >= self.config.inactivity - 1e-6
            slow = far.clogged and self.config.overflow.value == "disconnect"
            assert late or slow or (far.clogged and self.config.inactivity)
        self.model.gone(peer, now)
        if far.reads:
            far.look()
            far.wire.leave()

    def act(self) -> None:
        self.loop.step(self.loop.now + TICK)
        self.model.tick(self.loop.now)
        self.settle()

    def pass_time(self, seconds: float) -> None:
        end = self.loop.now + seconds
        while self.loop.step(end):
            self.model.tick(self.loop.now)
            self.settle()
        self.model.tick(self.loop.now)
        self.settle()

    def next_bytes(self, size: int) -> bytes:
        """Return what the device says next."""
        start, self.count = self.count, self.count + size
        return SAID[start : start + size]

    # --- what may happen ------------------------------------------------------------------------

    @rule()
    def join(self) -> None:
        self.act()
        if not self.doorways or not self.doorways[-1].open:
            assert not self.in_use
            return
        assert self.in_use
        wire = Wire(self.loop)
        self.number += 1
        far = Far(wire, Peer(self.number), self.config.protocol.value)
        if self.model.full():
            self.turned_away += 1
            far.telnet = None
            wire.inbox.clear()
        else:
            self.model.join(far.peer, self.loop.now)
            self.fars.append(far)
        self.doorways[-1].waiting.append(wire)
        self.settle()
        if far not in self.fars:
            assert bytes(wire.arrived).startswith(b"portline: meter is ")
            assert wire.near_ended
            wire.leave()
            self.loop.turn()

    def present(self) -> list[Far]:
        return [far for far in self.fars if not far.left and not far.wire.far_ended]

    def lingering(self) -> list[Far]:
        lingering = [far for far in self.fars if far.peer in self.model.lingering]
        return [far for far in lingering if not far.peer.dead]

    def some_far(self, data: st.DataObject) -> Far:
        present = self.present()
        return present[data.draw(st.integers(0, len(present) - 1))]

    @precondition(lambda self: self.present())
    @rule(data=st.data(), text=st.binary(min_size=1, max_size=20))
    def peer_says(self, data: st.DataObject, text: bytes) -> None:
        self.act()
        far = self.some_far(data)
        if far.clogged:
            return
        self.model.says(far.peer, text, self.loop.now)
        far.wire.say(text if far.telnet is None else far.telnet.encode(text))
        self.settle()

    @rule(size=st.integers(1, 300))
    def device_says(self, size: int) -> None:
        self.act()
        if self.port.opened and not self.port.paused:
            text = self.next_bytes(size)
            self.model.device_says(text, self.loop.now)
            self.connection.port_data(text)
            self.settle()

    @rule(count=st.integers(1, 5))
    def device_says_much(self, count: int) -> None:
        self.act()
        size = MUCH if self.model.packets is None else MUCH // 10  # byte by byte takes its time
        for _ in range(count):
            if self.port.opened and not self.port.paused:
                text = self.next_bytes(size)
                self.model.device_says(text, self.loop.now)
                self.connection.port_data(text)
                self.settle()

    @precondition(lambda self: self.present())
    @rule(data=st.data(), stays=st.booleans(), size=st.integers(1, 300))
    def peer_asks_and_ends(self, data: st.DataObject, stays: bool, size: int) -> None:
        """As ``printf | socat`` does, for which the answer comes in time, or too late."""
        far = self.some_far(data)
        if far.clogged or not (self.raw and far.reads):
            return
        text = b"*IDN?\n"
        self.model.says(far.peer, text, self.loop.now)
        far.wire.say(text)
        self.settle()
        far.wire.end()
        self.model.ends(far.peer, self.loop.now)
        self.settle()
        self.device_says(size)
        if not stays and not far.left:
            far.wire.leave()
            far.peer.dead = True
        self.device_says(size)

    @precondition(lambda self: self.present())
    @rule(data=st.data(), count=st.integers(1, 4))
    def peer_drowns(self, data: st.DataObject, count: int) -> None:
        far = self.some_far(data)
        far.reads = False
        self.device_says_much(count)
        if not far.left:
            far.wire.vanish()
            far.left = True
            self.loop.turn()
            self.model.gone(far.peer, self.loop.now)
            self.settle()

    @precondition(lambda self: self.present())
    @rule(data=st.data(), way=st.sampled_from(["end", "leave", "leave", "vanish"]))
    def peer_goes(self, data: st.DataObject, way: str) -> None:
        self.act()
        far = self.some_far(data)
        if way == "end" and not (self.raw and far.reads):
            way = "vanish"
        if far.clogged or way == "vanish":
            far.wire.vanish()
            far.left = True
            self.loop.turn()
            self.model.gone(far.peer, self.loop.now)
        else:
            far.wire.end()
            if way == "leave":
                far.wire.leave()
                far.peer.dead = True
            self.model.ends(far.peer, self.loop.now)
        self.settle()

    @precondition(lambda self: self.lingering())
    @rule(data=st.data())
    def one_who_lingers_goes(self, data: st.DataObject) -> None:
        self.act()
        alive = self.lingering()
        far = alive[data.draw(st.integers(0, len(alive) - 1))]
        far.wire.leave()
        far.peer.dead = True

    @precondition(lambda self: self.present())
    @rule(data=st.data())
    def stop_or_start_reading(self, data: st.DataObject) -> None:
        self.act()
        far = self.some_far(data)
        far.reads = not far.reads
        self.settle()

    @rule(seconds=st.sampled_from([0.001, 0.02, 0.06, 0.25, 0.6, 1.1, 8.0]))
    def time_passes(self, seconds: float) -> None:
        self.pass_time(seconds)

    @precondition(lambda self: self.config.virtual is not None)
    @rule(baudrate=st.sampled_from([300, 9600, 115200]))
    def application_changes_settings(self, baudrate: int) -> None:
        self.act()
        line = LineSettings(baudrate)
        self.port.application.set(line)
        self.time_idle(line)
        self.settle()

    @precondition(lambda self: self.config.virtual is not None)
    @rule(in_use=st.booleans())
    def application_opens_or_closes(self, in_use: bool) -> None:
        self.act()
        self.port.use(in_use)
        if self.config.listen_when_open:
            self.in_use = in_use
        self.settle()

    @precondition(lambda self: not self.raw and self.config.port is not None and self.present())
    @rule(
        data=st.data(),
        request=st.sampled_from(
            [
                SetLine(baudrate=1200),
                SetModem(dtr=True),
                SetModem(dtr=False),
                SetModem(rts=True),
                SetBreak(True),
            ]
        ),
    )
    def peer_asks(self, data: st.DataObject, request: Any) -> None:
        self.act()
        far = self.some_far(data)
        if far.clogged or far.telnet is None or not far.reads:
            return
        before = self.port.state
        far.told.clear()
        far.wire.say(far.telnet.ask(request, 0.0))
        self.settle()
        after = self.port.state
        match request:
            case SetLine(baudrate=rate):
                allowed = self.config.allow_settings
                wanted = rate if allowed else before.settings.baudrate
                in_force: object = after.settings.baudrate
            case SetModem(dtr=bool(level)):
                wanted = self.model.lines["dtr"] = level if self.config.allow_dtr else before.dtr
                in_force = after.dtr
            case SetModem(rts=bool(level)):
                wanted = self.model.lines["rts"] = level if self.config.allow_rts else before.rts
                in_force = after.rts
            case _:
                wanted = self.config.allow_break or before.break_on
                in_force = after.break_on
        assert in_force == wanted
        assert [told.value for told in far.told if told.request is not None] == [wanted]

    # --- what has to hold -----------------------------------------------------------------------

    def sessions(self) -> dict[int, Session]:
        return {session.link.socket.fileno(): session for session in self.connection.hub.peers}

    @invariant()
    def everybody_gets_what_is_due(self) -> None:
        sessions = self.sessions()
        expected = [far.wire.number for far in self.fars if far.peer in self.model.peers]
        assert sorted(sessions) == sorted(expected)
        for far in self.fars:
            due, session = far.peer.due, sessions.get(far.wire.number)
            if session is not None and self.raw:
                outbox = session.outbox
                waiting = len(far.wire.flight) + session.link.unsent + outbox.waiting
                assert len(due) == len(far.wire.arrived) + waiting + outbox.dropped
            if session is not None and session.outbox.dropped:
                far.clogged = True
            elif far.reads and session is not None:
                assert far.got == due
            elif not far.clogged:
                assert due.startswith(far.got)

    @invariant()
    def counters_add_up(self) -> None:
        hub, model = self.connection.hub, self.model
        assert hub.heard == model.heard
        assert hub.unheard == model.unheard
        assert hub.unspoken == model.unspoken
        assert hub.spoken == len(model.written)
        assert self.port.written == model.written
        assert self.connection.network.door.turned_away == self.turned_away
        assert len(hub.keep) <= self.config.buffer_size
        if not model.lingering:
            assert len(hub.keep) == len(model.kept)
            assert hub.keep.discarded == model.discarded

    @invariant()
    def the_port_is_as_it_should_be(self) -> None:
        model, state = self.model, self.port.state
        if any(peer.dead for peer in model.lingering):
            return  # whether that was noticed is not for a model to know
        for line, level in model.lines.items():
            assert level is None or getattr(state, line) is level
        if self.config.open_when_connected:
            assert self.port.opened is model.occupied
        if not model.peers and not self.raw and self.config.port is not None:
            assert not state.break_on
            assert state.settings == self.config.line_settings()
        if model.packets is None and all(far.reads for far in self.present()):
            assert not self.port.paused

    def everybody_leaves(self) -> None:
        """Settle all accounts: every byte has one place."""
        for far in self.present():
            far.left = True
            far.wire.vanish()
            self.loop.turn()
            self.model.gone(far.peer, self.loop.now)
        self.pass_time(5.0)
        self.counters_add_up()
        assert not self.connection.hub.peers
        assert not self.port.paused
        if self.raw:
            due = sum(
                len(far.peer.due) if far.peer.as_peer is None else far.peer.as_peer
                for far in self.fars
            )
            arrived = sum(
                min(
                    len(far.wire.arrived),
                    len(far.peer.due) if far.peer.as_peer is None else far.peer.as_peer,
                )
                for far in self.fars
            )
            assert self.connection.peers.departures.dropped == due - arrived
        self.connection.stop(0.5)
        self.pass_time(2.0)
        self.connection.close()
        self.loop.turn()
        assert not self.port.opened


TestConnection = ConnectionMachine.TestCase
TestConnection.settings = settings(max_examples=300, stateful_step_count=40)
