"""RFC 2217 against itself, against any division into chunks, and against an adversary."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from portline.line import (
    BAUDRATE_MAX,
    BAUDRATE_MIN,
    Event,
    FlowControl,
    Item,
    LineFault,
    LineSettings,
    ModemChange,
    ModemLines,
    Parity,
    PortState,
    Purge,
    Query,
    Request,
    SendBreak,
    SetBreak,
    SetLine,
    SetModem,
    StopBits,
    Told,
)
from portline.wire.negotiation import Options, Side
from portline.wire.rfc2217 import Rfc2217Wire
from portline.wire.rfc2217_codes import settings_of, value_in_force
from portline.wire.telnet import escape
from tests.helpers import WirePair, carry_out, joined
from tests.model.streams import cut, option_words, streams

roles = st.sampled_from([(True, False), (False, True), (True, True), (False, False)])

flow_controls = st.sampled_from(FlowControl)

line_changes = st.builds(
    SetLine,
    baudrate=st.none() | st.integers(BAUDRATE_MIN, BAUDRATE_MAX),
    data_bits=st.none() | st.integers(5, 8),
    parity=st.none() | st.sampled_from(Parity),
    stop_bits=st.none() | st.sampled_from(StopBits),
    flow_control=st.none() | flow_controls,
    inbound_flow=st.none() | flow_controls,
)

requests = st.one_of(
    line_changes,
    st.builds(SetModem, dtr=st.none() | st.booleans(), rts=st.none() | st.booleans()),
    st.builds(SetBreak, st.booleans()),
    st.builds(Purge, received=st.booleans(), unsent=st.booleans()),
    st.builds(Query, st.sampled_from(Item)),
)

modem_lines = st.builds(ModemLines, st.booleans(), st.booleans(), st.booleans(), st.booleans())


def make(role: tuple[bool, bool]) -> Rfc2217Wire:
    serves, asks = role
    return Rfc2217Wire(serves=serves, asks=asks, signature="Portline")


def listen(wire: Rfc2217Wire, chunks: list[bytes]) -> tuple[list[Event], bytes, bytes]:
    """Feed the chunks to a port that obeys; return what was heard, answered, and said besides."""
    heard: list[Event] = []
    outgoing = b""
    state = PortState()
    for chunk in chunks:
        heard += wire.feed(chunk, 0.0)
        outgoing += wire.outgoing()
    answers = b""
    for event in heard:
        match event:
            case SetLine() | SetModem() | SetBreak() | SendBreak() | Purge() | Query():
                state = carry_out(event, state)
                answers += wire.answer(event, state)
            case _:
                pass
    return joined(heard), answers, outgoing


@settings(max_examples=300, deadline=None)
@given(st.data(), roles)
def test_any_chunking_says_the_same(data: st.DataObject, role: tuple[bool, bool]) -> None:
    stream = data.draw(streams)
    whole, divided = make(role), make(role)
    assert whole.start(0.0) == divided.start(0.0)
    assert listen(divided, data.draw(cut(stream))) == listen(whole, [stream] if stream else [])
    assert divided.malformed == whole.malformed
    assert divided.peer_signature == whole.peer_signature


@settings(max_examples=200, deadline=None)
@given(st.lists(streams, max_size=4), roles)
def test_what_is_said_is_bounded_by_what_is_heard(
    chunks: list[bytes], role: tuple[bool, bool]
) -> None:
    wire = make(role)
    wire.start(0.0)
    _, _, outgoing = listen(wire, chunks)
    # AYT: nine bytes for two; and a server may ask a few times who we are.
    assert len(outgoing) <= 4.5 * sum(map(len, chunks)) + 16 * len("......Portline")


# --- two of ours --------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(roles, roles, st.integers(1, 20), st.binary(max_size=50))
def test_any_two_agree_and_fall_silent(
    left: tuple[bool, bool], right: tuple[bool, bool], chunk: int, data: bytes
) -> None:
    pair = WirePair(make(left), make(right), chunk=chunk)
    pair.start()
    for one, other in ((left, right), (right, left)):
        end = pair.client if one is left else pair.server
        assert isinstance(end.wire, Rfc2217Wire)
        assert end.wire.binary_in
        assert end.wire.binary_out
        assert end.wire.malformed == 0
        if one[1] and other[0]:
            assert end.wire.asking
        if one[0] and other[1]:
            assert end.wire.serving
        if not any(one) or not any(other):
            assert not end.wire.agreed
    pair.server.heard.clear()
    pair.send(pair.client, data)
    assert pair.server.events == ([data] if data else [])


@settings(max_examples=200, deadline=None)
@given(st.lists(requests, max_size=12), st.booleans(), st.integers(1, 30))
def test_what_is_asked_is_told(asked: list[Request], obeys: bool, chunk: int) -> None:
    """Every field arrives, is answered once with the value in force, and nothing stays open."""
    pair = WirePair(make((False, True)), make((True, False)), chunk=chunk)
    pair.server.obeys = obeys
    pair.start()
    pair.client.heard.clear()
    pair.server.heard.clear()
    for request in asked:
        before = pair.server.port
        pair.ask(request)
        state = carry_out(request, before) if obeys else before
        assert pair.server.port == state
        answers = [event for event in pair.client.events if isinstance(event, Told)]
        for (item, value), told in zip(settings_of(request), answers, strict=False):
            in_force = value if item is Item.PURGE else value_in_force(item, state)
            assert told.item is item
            assert told.request == request
            if isinstance(request, SetLine) and request.inbound_flow is not None and obeys:
                pass  # while flow control is answered, inbound flow is still to come
            else:
                assert told.value == in_force
        assert pair.client.wire.deadline() is None
    assert pair.client.wire.malformed == pair.server.wire.malformed == 0


@given(st.lists(modem_lines, max_size=20), st.integers(0, 255))
def test_a_client_knows_the_lines_that_its_mask_shows(changes: list[ModemLines], mask: int) -> None:
    client = make((False, True))
    pair = WirePair(client, make((True, False)))
    pair.start()
    pair.client.unsent += client.set_masks(mask, 0x1E, 0.0)
    pair.settle()
    known = ModemLines()
    for lines in changes:
        pair.client.heard.clear()
        pair.report(ModemChange(lines))
        for event in pair.client.events:
            assert isinstance(event, ModemChange)
            known = event.lines
        for name, bit in (("cts", 0x10), ("dsr", 0x20), ("ri", 0x40), ("dcd", 0x80)):
            assert getattr(known, name) == (getattr(lines, name) and bool(mask & bit))


@given(st.lists(st.tuples(modem_lines, st.integers(0, 255)), max_size=20))
def test_uncovered_lines_are_told(steps: list[tuple[ModemLines, int]]) -> None:
    """Whatever was hidden in between, with the full mask again the client knows the state."""
    client = make((False, True))
    pair = WirePair(client, make((True, False)))
    pair.start()
    lines = ModemLines()
    for lines, mask in steps:
        pair.client.unsent += client.set_masks(mask, 0, 0.0)
        pair.settle()
        pair.server.port = PortState(lines=lines)
        pair.report(ModemChange(lines))
    pair.client.unsent += client.set_masks(255, 0, 0.0)
    pair.settle()
    changes = [event for event in pair.client.events if isinstance(event, ModemChange)]
    assert changes[-1] == ModemChange(lines)


@given(st.builds(LineFault, st.booleans(), st.booleans(), st.booleans(), st.booleans()))
def test_faults_survive(fault: LineFault) -> None:
    client = make((False, True))
    pair = WirePair(client, make((True, False)))
    pair.start()
    pair.client.unsent += client.set_masks(255, 0x1E, 0.0)
    pair.settle()
    pair.client.heard.clear()
    pair.report(fault)
    assert pair.client.events == ([] if fault == LineFault() else [fault])


@given(st.builds(LineSettings, baudrate=st.integers(50, 4_000_000), parity=st.sampled_from(Parity)))
def test_iac_in_values_survives(line: LineSettings) -> None:
    pair = WirePair(make((False, True)), make((True, False)), chunk=1)
    pair.start()
    pair.ask(SetLine.everything(line))
    assert pair.server.port.settings == line


# --- an adversary -------------------------------------------------------------------------------


@given(st.lists(option_words, max_size=40), st.booleans())
def test_every_request_is_answered_and_nothing_is_said_twice(
    words: list[bytes], offered: bool
) -> None:
    options = Options([0, 1, 3, 44], [0, 3, 44])
    if offered:
        for side in Side:
            for option in (0, 3, 44):
                options.offer(side, option)
    waiting = {(side, option) for side in Side for option in (0, 3, 44)} if offered else set()
    for _, verb, option in words:
        side = Side.US if verb >= 253 else Side.PEER
        yes = verb in (251, 253)
        was_on = options.on(side, option)
        answer = options.hear(verb, option)
        known_before = (side, option) in waiting or was_on == yes
        waiting.discard((side, option))
        if known_before if yes else not was_on:
            assert answer == b""
        else:
            assert answer[2] == option
            assert (answer[1] in (251, 252)) == (side is Side.US)
            assert (answer[1] in (251, 253)) == options.on(side, option)


@settings(max_examples=200, deadline=None)
@given(streams, roles)
def test_after_any_noise_data_comes_through(stream: bytes, role: tuple[bool, bool]) -> None:
    wire = make(role)
    wire.feed(stream, 0.0)
    wire.feed(b"x\xff\xf0\xff\xfb\x00", 0.0)
    assert joined(list(wire.feed(escape(b"data\xff\r\n"), 0.0))) == [b"data\xff\r\n"]
