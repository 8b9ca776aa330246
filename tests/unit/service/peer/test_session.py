from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pytest

from portline.hub.outbox import CHUNK_COST, WORDS_HIGH
from portline.line import (
    Event,
    Flow,
    Gone,
    Item,
    LineChange,
    LineSettings,
    ModemChange,
    ModemLines,
    PortState,
    Purge,
    Query,
    Report,
    Request,
    SetLine,
    Watch,
)
from portline.net.link import READ_SIZE
from portline.service.peer.doubt import DOUBT
from portline.service.peer.holding import EARLY_LIMIT
from portline.service.peer.refusal import in_use
from portline.service.peer.session import Session
from portline.service.peer.turns import COMMANDS_LEAST, COMMANDS_READ, MANY
from portline.wire.base import RawWire, Wire
from portline.wire.rfc2217 import Rfc2217Wire
from portline.wire.rfc2217_codes import ANSWER, Code, command
from tests.memory import MemoryLink


class Words:
    """A wire of words: each byte that is fed is looked up, answers are readable."""

    transparent = False
    asking = False
    malformed = 0

    EVENTS: ClassVar[dict[int, Event]] = {
        ord("s"): Flow(True),
        ord("r"): Flow(False),
        ord("w"): Watch(modem_lines=True, faults=False),
        ord("g"): Gone("went away"),
        ord("b"): SetLine(baudrate=115200),
        ord("q"): Query(Item.BAUDRATE),
        ord("p"): Purge(received=True),
    }

    def start(self, now: float) -> bytes:
        return b"<hello>"

    def feed(self, data: bytes, now: float) -> Sequence[Event]:
        return [self.EVENTS.get(byte, bytes((byte,))) for byte in data]

    def outgoing(self) -> bytes:
        return b""

    def encode(self, data: bytes) -> bytes:
        return b"(" + data + b")"

    def data_size(self, encoded: bytes) -> int:
        return len(encoded) - len(b"()")

    def answer(self, request: Request, state: PortState) -> bytes:
        return b"<%d>" % state.settings.baudrate

    def report(self, report: Report, now: float) -> bytes:
        return b"<%s>" % type(report).__name__.encode()

    def ask(self, request: Request, now: float) -> bytes:
        return b"<ask>"

    def deadline(self) -> float | None:
        return None

    def tick(self, now: float) -> Sequence[Event]:
        return ()


class Owner:
    def __init__(self) -> None:
        self.log: list[str] = []
        self.requests: list[Request] = []
        self.at_once = True

    def peer_data(self, session: Session, data: bytes) -> None:
        self.log.append(data.decode())

    def peer_request(self, session: Session, request: Request) -> None:
        self.requests.append(request)
        if self.at_once:
            session.answered(request, PortState(LineSettings(9600)))

    def peer_report(self, session: Session, report: Report) -> None:
        self.log.append(str(report))

    def peer_serves(self, session: Session) -> None:
        self.log.append("serves")

    def peer_does_not_serve(self, session: Session) -> None:
        self.log.append("does not serve")

    def peer_offers_more(self, session: Session) -> None:
        self.log.append("offers more")

    def peer_settled(self, session: Session) -> None:
        self.log.append("settled")

    def peer_watches(self) -> None:
        self.log.append("watches")

    def peer_behind(self, session: Session) -> None:
        self.log.append("behind")

    def peer_caught_up(self, session: Session) -> None:
        self.log.append("caught up")

    def peer_finished(self, session: Session) -> None:
        self.log.append("finished")

    def peer_gone(self, session: Session, reason: str) -> None:
        self.log.append(f"gone: {reason}")


def make(
    wire: Wire | None = None,
    room: int = 1 << 30,
    backlog: int = 1 << 20,
    held: bool = False,
    doubted: bool = False,
    retains: bool = False,
    faults: bool = False,
) -> tuple[Session, MemoryLink, Owner]:
    owner, link = Owner(), MemoryLink(room)
    session = Session(
        owner,
        link,  # type: ignore[arg-type]  # it is what a StreamLink is to a session
        wire or RawWire(),
        number=1,
        protocol="raw" if wire is None else "words",
        backlog=backlog,
        held=held,
        doubted=doubted,
        retains=retains,
        faults=faults,
        clock=lambda: 5.0,
    )
    session.start()
    return session, link, owner


def test_raw_bytes_go_straight_through() -> None:
    session, link, owner = make()
    session.deliver(b"from the port")
    assert link.sent_bytes == b"from the port"
    session.link_data(b"to the port")
    assert owner.log == ["to the port"]
    assert (session.name, session.active_at) == ("127.0.0.1:50000", 5.0)


def test_what_the_link_does_not_take_waits_in_order() -> None:
    session, link, owner = make(room=3)
    for chunk in (b"abcd", b"ef", b"gh"):
        session.deliver(chunk)
    assert link.sent_bytes == b"abc"
    assert session.outbox.size == 4 + 2 * CHUNK_COST
    link.make_room(100)
    assert link.sent_bytes == b"abcdefgh"
    session.deliver(b"i")
    assert link.sent_bytes == b"abcdefghi"
    assert owner.log == []


def test_the_owner_hears_when_the_outbox_is_full_and_when_it_is_empty() -> None:
    session, link, owner = make(room=0, backlog=100)
    for _ in range(3):
        session.deliver(b"x" * 60)
    assert owner.log == ["behind", "behind"]
    link.make_room(1000)
    assert owner.log == ["behind", "behind", "caught up"]


def test_answers_of_one_turn_leave_in_one_segment() -> None:
    session, link, owner = make(Words())
    session.link_data(b"bqxq")
    assert link.segments == [b"<hello>", b"<9600><9600><9600>"]
    assert owner.log == ["x"]
    assert owner.requests == [
        SetLine(baudrate=115200),
        Query(Item.BAUDRATE),
        Query(Item.BAUDRATE),
    ]


def test_an_answer_that_comes_later_keeps_its_place_after_the_data() -> None:
    session, link, owner = make(Words(), room=len(b"<hello>"))
    owner.at_once = False
    session.link_data(b"q")
    session.deliver(b"data")
    session.answered(owner.requests[0], PortState())
    session.deliver(b"more")
    link.make_room(100)
    assert link.sent_bytes == b"<hello>(data)<9600>(more)"


def test_suspended_data_waits_and_answers_still_come() -> None:
    session, link, _ = make(Words())
    session.link_data(b"s")
    session.deliver(b"held")
    assert link.sent_bytes == b"<hello>"
    session.link_data(b"q")
    assert link.sent_bytes == b"<hello><9600>"
    session.link_data(b"r")
    assert link.sent_bytes == b"<hello><9600>(held)"
    session.deliver(b"on")
    assert link.sent_bytes.endswith(b"(on)")


def test_a_purge_forgets_what_waits_for_the_peer() -> None:
    session, link, _ = make(Words())
    session.link_data(b"s")
    session.deliver(b"old")
    session.link_data(b"p")
    session.link_data(b"r")
    assert link.sent_bytes == b"<hello><9600>"


def test_reports_are_told_and_settings_asked_for() -> None:
    session, link, _ = make(Words())
    session.report(ModemChange(ModemLines()))
    session.report(LineChange(LineSettings(1200)))
    session.ask(SetLine(baudrate=1200))
    assert link.sent_bytes == b"<hello><ModemChange><LineChange><ask>"


def test_a_peer_that_asks_without_listening_is_not_read() -> None:
    session, link, _ = make(Words(), room=0)
    for _ in range(WORDS_HIGH // 6 // 100 + 1):
        session.link_data(b"q" * 100)
    assert link.paused
    link.make_room(1 << 30)
    assert not link.paused


def test_a_full_port_pauses_the_peer() -> None:
    session, link, _ = make()
    session.pause_for_port(True)
    session.pause_for_port(True)
    assert link.paused
    session.pause_for_port(False)
    assert not link.paused


def test_a_peer_says_what_it_watches_and_that_it_goes() -> None:
    session, link, owner = make(Words())
    session.link_data(b"wgx")
    assert session.watch == Watch(modem_lines=True, faults=False)
    assert owner.log == ["watches", "gone: went away"]
    assert link.ended == "finish"


def test_closing_sends_what_waits_and_a_farewell() -> None:
    session, link, owner = make(room=0)
    session.deliver(b"rest ")
    session.deliver(b"of it ")
    session.close("bye", limit=0.5)
    session.close("again")
    session.abort("again")
    session.deliver(b"too late")
    session.pause_for_port(True)
    assert link.sent_bytes == b"rest of it "
    assert owner.log == ["gone: bye"]
    assert not link.paused


def test_aborting_and_losing() -> None:
    session, link, owner = make()
    session.abort("dead")
    assert (link.ended, owner.log) == ("abort", ["gone: dead"])
    session.answered(Query(Item.DTR), PortState())

    session, link, owner = make()
    session.link_eof()
    session.link_lost("reset")
    assert owner.log == ["finished", "gone: reset"]


def test_a_peer_that_does_not_read_is_owed_the_newest_report_only() -> None:
    session, link, _ = make(Words(), room=0)
    for _ in range(WORDS_HIGH // 6 // 100 + 1):
        session.link_data(b"q" * 100)
    for _ in range(10_000):
        session.report(ModemChange(ModemLines()))
    before = session.outbox.words
    session.report(ModemChange(ModemLines(cts=True)))
    assert session.outbox.words == before
    link.make_room(1 << 30)
    assert link.sent_bytes.count(b"<ModemChange>") == 1


def test_what_waits_for_a_peer_that_dies_counts_as_dropped() -> None:
    session, link, owner = make(room=3)
    session.deliver(b"12345")  # of which the kernel keeps the rest
    session.deliver(b"6789")
    assert session.handed == 9
    session.link_lost("connection reset by the peer")
    assert (session.outbox.dropped, link.lost) == (4, 0)
    assert owner.log == ["gone: connection reset by the peer"]


# --- when data last moved -------------------------------------------------------------------------


class Ticking:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def watched(wire: Wire | None = None, room: int = 1 << 30) -> tuple[Session, MemoryLink, Ticking]:
    link, clock = MemoryLink(room), Ticking()
    session = Session(
        Owner(),
        link,  # type: ignore[arg-type]  # it is what a StreamLink is to a session
        wire or RawWire(),
        number=1,
        protocol="raw",
        backlog=1 << 20,
        clock=clock,
    )
    session.start()
    return session, link, clock


def test_data_in_either_direction_is_activity() -> None:
    for wire in (None, Words()):
        session, _link, clock = watched(wire)
        clock.now = 1.0
        session.link_data(b"x")
        assert session.active_at == 1.0
        clock.now = 2.0
        session.deliver(b"y")
        assert session.active_at == 2.0


def test_words_are_no_activity_in_either_direction() -> None:
    session, link, clock = watched(Words(), room=len(b"<hello><9600>"))
    clock.now = 1.0
    session.link_data(b"bq")  # the answers fit in part
    clock.now = 2.0
    link.make_room(1000)
    session.report(ModemChange(ModemLines()))
    session.tick(3.0)
    assert session.active_at == 0.0


def test_data_that_leaves_late_or_bit_by_bit_is_activity() -> None:
    session, link, clock = watched(room=2)
    session.deliver(b"first")
    session.deliver(b"second")
    clock.now = 1.0
    session.tick(1.0)
    assert session.active_at == 0.0  # nothing moved
    link.rest, link.sent = link.rest[1:], link.sent + 1
    session.tick(2.0)
    assert session.active_at == 2.0
    clock.now = 3.0
    link.make_room(4)  # the rest of the first, and a part of the second
    assert session.active_at == 3.0
    clock.now = 4.0
    link.make_room(1000)
    assert session.active_at == 4.0
    session.tick(5.0)
    assert session.active_at == 4.0


def test_data_that_only_waits_is_no_activity() -> None:
    session, link, clock = watched(Words(), room=len(b"<hello>"))
    session.link_data(b"q")
    clock.now = 1.0
    session.deliver(b"data")
    session.tick(1.0)
    assert session.active_at == 0.0
    clock.now = 2.0
    link.make_room(1000)
    assert session.active_at == 2.0


def test_an_access_server_is_never_told_a_mask_that_has_to_be_doubled() -> None:
    session, link, owner = make(Rfc2217Wire(serves=False, asks=True))
    session.link_data(b"\xff\xfd\x2c")
    assert owner.log == ["serves"]
    assert b"\xff\xfa\x2c\x0b\xfb\xff\xf0" in link.sent_bytes
    assert b"\xff\xff" not in link.sent_bytes


@pytest.mark.parametrize(("faults", "mask"), [(False, 0), (True, 0x1E)])
def test_an_access_server_is_to_tell_the_faults_that_somebody_can_see(
    faults: bool, mask: int
) -> None:
    session, link, _ = make(Rfc2217Wire(serves=False, asks=True), faults=faults)
    session.link_data(b"\xff\xfd\x2c")
    assert b"\xff\xfa\x2c\x0a%c\xff\xf0" % mask in link.sent_bytes


REFUSAL = b"portline: meter is in use\r\n"


def test_what_a_server_says_instead_of_serving_is_not_data() -> None:
    session, _, owner = make(Rfc2217Wire(serves=False, asks=True), held=True)
    session.link_data(REFUSAL[:9])
    session.link_data(REFUSAL[9:])
    session.link_eof()
    assert owner.log == ["finished"]
    assert session.refusal == 'the peer does not serve us: "portline: meter is in use"'


def test_the_same_said_before_a_reset_is_the_reason() -> None:
    session, _, owner = make(Rfc2217Wire(serves=False, asks=True), held=True)
    session.link_data(b"in\x00use")
    session.link_lost("connection reset by the peer")
    assert owner.log == ['gone: the peer does not serve us: "in?use"']


def test_what_a_server_says_before_it_serves_is_data_after_all() -> None:
    session, link, owner = make(Rfc2217Wire(serves=False, asks=True), held=True)
    session.deliver(b"to the device")
    session.link_data(b"early ")
    session.link_data(b"still\xff\xfd\x2c")
    assert owner.log == ["serves"]
    assert b"to the device" not in link.sent_bytes
    session.link_data(b"\xff\xfa\x2c\x6b\x00\xff\xf0")
    assert owner.log == ["serves", str(ModemChange(ModemLines())), "settled", "early still"]
    assert link.sent_bytes.endswith(b"to the device")
    session.link_data(b"later")
    assert owner.log[-1] == "later"
    assert session.refusal == ""


def test_who_says_more_than_a_refusal_sends_data() -> None:
    session, _, owner = make(Rfc2217Wire(serves=False, asks=True), held=True)
    session.link_data(b"x" * EARLY_LIMIT)
    assert owner.log == []
    session.link_data(b"y")
    assert owner.log == ["does not serve", "x" * EARLY_LIMIT + "y"]


# --- a raw server that was called, and may be full -----------------------------------------------

FULL = in_use("meter", "192.0.2.1:5", "2026-11-27 09:00:00", "").encode() + b"\r\n"


def test_what_a_full_server_says_is_not_data() -> None:
    session, _, owner = make(doubted=True)
    for byte in FULL:
        session.link_data(bytes((byte,)))
    session.link_eof()
    assert owner.log == ["finished"]
    assert session.refusal == f'the peer does not serve us: "{FULL.decode().strip()}"'
    session.abort(session.refusal)
    assert owner.log[1:] == [f"gone: {session.refusal}"]


def test_a_refused_session_has_delivered_nothing() -> None:
    session, _, _ = make(doubted=True, retains=True)
    session.deliver(b"precious")
    session.link_data(FULL)
    session.link_lost("reset")
    assert (session.undelivered, session.outbox.dropped) == (b"precious", 0)


def test_what_cannot_be_sent_to_another_is_counted() -> None:
    session, _, _ = make(doubted=True)
    session.deliver(b"precious")
    session.link_data(FULL)
    session.link_lost("reset")
    assert (session.undelivered, session.outbox.dropped) == (None, 8)


@pytest.mark.parametrize(
    "said",
    [b"x", b"$GPGGA", b"portline is a word", b"portline: 23.5 C\n", FULL + b"x", FULL * 2, b"\n"],
)
def test_what_a_device_says_passes_at_once(said: bytes) -> None:
    session, _, owner = make(doubted=True, retains=True)
    session.deliver(b"asked")
    session.link_data(said)
    assert owner.log == ["settled", said.decode()]
    session.link_data(b"portline: ")
    session.link_lost("reset")
    assert owner.log[2:] == ["portline: ", "gone: reset"]
    assert session.undelivered == b""


def test_the_beginning_of_a_refusal_is_data_when_nothing_follows() -> None:
    for ends in (True, False):
        session, _, owner = make(doubted=True)
        session.link_data(FULL[:9])
        assert owner.log == []
        session.link_eof() if ends else session.close("bye")
        assert owner.log[:2] == ["settled", FULL[:9].decode()]
        assert session.refusal == ""


def test_who_says_that_it_is_full_and_stays_is_not_full() -> None:
    session, _, owner = make(doubted=True)
    session.link_data(FULL)
    session.tick(5.0 + DOUBT - 0.1)
    assert owner.log == []
    session.tick(5.0 + DOUBT)
    assert owner.log == ["settled", FULL.decode()]
    session.link_eof()
    assert (owner.log[2:], session.refusal) == (["finished"], "")


def test_nobody_else_is_doubted() -> None:
    session, _, owner = make()
    session.link_data(FULL)
    assert owner.log == [FULL.decode()]


def test_what_is_dropped_counts_as_the_port_gave_it() -> None:
    wire = Rfc2217Wire(serves=True, asks=False)
    session, link, _ = make(wire, room=1000)
    session.outbox.limit = 100
    session.deliver(b"\xff" * 1000)  # twice that on the wire
    for _ in range(3):
        session.deliver(b"\xffa\xffb")
    session.outbox.shrink()
    assert session.dropped == 8
    link.lost = link.unsent
    assert 490 <= session.dropped - 8 <= 1000 - 480


def test_the_more_a_peer_tells_the_less_is_read_at_once() -> None:
    """A turn of the loop must not be long for the others; data comes at full speed again."""
    wire = Rfc2217Wire(serves=False, asks=True)
    session, link, _ = make(wire)
    told = command(Code.NOTIFY_MODEMSTATE + ANSWER, b"\x10") * (MANY + 1)
    sizes = []
    for _ in range(5):
        session.link_data(told)
        sizes.append(link.read_size)
    assert sizes == [2048, 1024, COMMANDS_LEAST, COMMANDS_LEAST, COMMANDS_LEAST]
    for _ in range(8):
        session.link_data(b"data")
    assert link.read_size == READ_SIZE
    session.link_data(told)
    assert link.read_size == COMMANDS_READ
