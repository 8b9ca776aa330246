import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.line import (
    BREAK_PULSE,
    Flow,
    FlowControl,
    Item,
    LineChange,
    LineFault,
    LineSettings,
    ModemChange,
    ModemLines,
    Parity,
    PortState,
    Purge,
    Query,
    SendBreak,
    SetBreak,
    SetLine,
    SetModem,
    Told,
    Watch,
)
from portline.wire.rfc2217 import Rfc2217Wire
from portline.wire.rfc2217_codes import command
from portline.wire.telnet import DO, DONT, WILL, WONT, suboption
from tests.helpers import WirePair

BEGIN = [Watch(modem_lines=True, faults=False), Query(Item.MODEM_LINES)]
END = [Watch(modem_lines=False, faults=False)]


def say(*words):
    return b"".join(bytes((255, verb, option)) for verb, option in words)


def hear(wire, *words):
    """Feed option words; return what the wire says and what it means."""
    events = list(wire.feed(say(*words), 0.0))
    return wire.outgoing(), events


def access_server(**options):
    return Rfc2217Wire(serves=True, asks=False, **options)


def port_client(**options):
    return Rfc2217Wire(serves=False, asks=True, **options)


def null_modem():
    return Rfc2217Wire(serves=True, asks=True)


# --- start --------------------------------------------------------------------------------------

GENERAL = ((WILL, 0), (DO, 0), (WILL, 3), (DO, 3))


def test_an_access_server_offers_to_serve():
    assert access_server().start(0.0) == say((DO, 44), *GENERAL)


def test_a_client_offers_com_port_as_the_first_thing():
    assert port_client().start(0.0) == say((WILL, 44), *GENERAL)


def test_a_virtual_port_does_both():
    assert null_modem().start(0.0) == say((WILL, 44), *GENERAL)


def test_plain_telnet_offers_no_com_port():
    wire = Rfc2217Wire(serves=False, asks=False)
    assert wire.start(0.0) == say(*GENERAL)
    assert hear(wire, (WILL, 44), (DO, 44)) == (say((DONT, 44), (WONT, 44)), [])


# --- agreement ----------------------------------------------------------------------------------


def test_a_client_agrees():
    wire = access_server()
    wire.start(0.0)
    assert hear(wire, (WILL, 44)) == (b"", BEGIN)
    assert wire.serving
    assert wire.agreed
    assert not wire.asking


def test_an_odd_client_wants_us_to_do_it():
    wire = access_server()
    wire.start(0.0)
    assert hear(wire, (WONT, 44), (DO, 44)) == (say((WILL, 44)), BEGIN)
    assert hear(wire, (DO, 44)) == (b"", [])


def test_pyserial_asks_for_both():
    wire = access_server()
    wire.start(0.0)
    said, events = hear(wire, (DO, 1), (WILL, 3), (DO, 3), (DO, 44), (WILL, 44), (WILL, 0), (DO, 0))
    assert said == say((WILL, 1), (WILL, 44))
    assert events == BEGIN
    assert wire.binary_in
    assert wire.binary_out


def test_a_client_takes_its_word_back():
    wire = access_server()
    wire.start(0.0)
    hear(wire, (WILL, 44))
    assert hear(wire, (WONT, 44)) == (say((DONT, 44)), END)
    assert not wire.agreed
    assert hear(wire, (WILL, 44)) == (say((DO, 44)), BEGIN)


def test_a_client_that_refuses_one_direction_is_served_in_the_other():
    wire = access_server()
    wire.start(0.0)
    assert hear(wire, (WILL, 44), (DONT, 44)) == (b"", BEGIN)
    assert wire.serving


def test_an_access_server_agrees():
    wire = port_client()
    wire.start(0.0)
    assert wire.ask(SetBreak(True), 0.0) == b""
    assert wire.set_masks(255, 0, 0.0) == b""
    assert hear(wire, (DO, 44)) == (b"", [])
    assert wire.asking
    assert wire.ask(SetBreak(True), 0.0) == command(5, b"\5")
    assert wire.set_masks(255, 0, 0.0) == command(10, b"\0") + command(11, b"\xff")


def test_an_access_server_refuses():
    wire = port_client()
    wire.start(0.0)
    assert hear(wire, (DONT, 44)) == (b"", [])
    assert wire.ask(SetBreak(True), 0.0) == b""


def test_an_access_server_takes_its_word_back():
    wire = port_client()
    wire.start(0.0)
    hear(wire, (DO, 44))
    assert hear(wire, (DONT, 44)) == (say((WONT, 44)), [])
    assert not wire.asking


def test_an_access_server_may_offer_the_other_direction_too():
    wire = port_client()
    wire.start(0.0)
    assert hear(wire, (WILL, 44)) == (say((DO, 44)), [])
    assert not wire.agreed


def test_an_access_server_echoes_if_it_likes():
    assert hear(port_client(), (WILL, 1)) == (say((DO, 1)), [])
    assert hear(access_server(), (WILL, 1)) == (say((DONT, 1)), [])


def test_whether_we_serve_and_whether_we_ask_are_agreed_apart():
    wire = null_modem()
    wire.start(0.0)
    assert hear(wire, (DO, 44)) == (b"", [])
    assert (wire.asking, wire.serving) == (True, False)
    assert hear(wire, (WILL, 44)) == (say((DO, 44)), BEGIN)
    assert hear(wire, (DONT, 44)) == (say((WONT, 44)), [])
    assert (wire.asking, wire.serving) == (False, True)


def test_a_command_without_agreement_is_served():
    wire = access_server()
    events = wire.feed(command(2, b"\7"), 0.0)
    assert events == [*BEGIN, SetLine(data_bits=7)]
    assert wire.serving


def test_an_answer_without_agreement_is_believed():
    wire = port_client()
    assert wire.feed(command(102, b"\7"), 0.0) == [Told(Item.DATA_BITS, 7)]
    assert wire.asking


def test_an_agreement_is_heard_before_the_state_it_entails():
    wire = access_server()
    (_, query) = wire.feed(say((DO, 44)), 0.0)
    assert wire.answer(query, PortState()) == say((WILL, 44)) + command(107, b"\0")
    assert wire.outgoing() == b""


# --- data and commands --------------------------------------------------------------------------


def test_data_flows_before_any_agreement():
    wire = access_server()
    assert wire.feed(b"hello", 0.0) == [b"hello"]
    assert wire.encode(b"a\xffb") == b"a\xff\xffb"
    assert wire.feed(b"a\xff\xffb", 0.0) == [b"a\xffb"]


def test_commands_keep_their_place_in_the_data():
    stream = b"one" + command(1, b"\0\0\x25\x80") + b"two" + command(12, b"\2") + b"three"
    assert access_server().feed(stream, 0.0) == [
        b"one",
        *BEGIN,
        SetLine(baudrate=9600),
        b"two",
        Purge(unsent=True),
        b"three",
    ]


def test_break_is_a_pulse_and_has_no_answer():
    wire = access_server()
    assert wire.feed(b"\xff\xf3", 0.0) == [SendBreak(BREAK_PULSE)]
    assert wire.answer(SendBreak(), PortState()) == b""


def test_are_you_there():
    wire = access_server()
    assert wire.feed(b"\xff\xf6", 0.0) == []
    assert wire.outgoing() == b"\r\n[Yes]\r\n"
    assert wire.outgoing() == b""


def test_the_other_commands_are_ignored():
    wire = access_server()
    assert wire.feed(b"\xff\xf1\xff\xf2\xff\xf9\xff\xf4", 0.0) == []
    assert wire.outgoing() == b""
    assert wire.malformed == 0


def test_suboptions_of_other_options_are_ignored():
    wire = access_server()
    assert wire.feed(suboption(b"\x18\x00xterm") + suboption(b"\x1f\0\x50\0\x18"), 0.0) == []
    assert wire.malformed == 0


def test_unknown_options_are_refused_each_time():
    assert hear(access_server(), (DO, 37), (WILL, 37), (DO, 37)) == (
        say((WONT, 37), (DONT, 37), (WONT, 37)),
        [],
    )


@pytest.mark.parametrize(
    "stream",
    [
        suboption(b"\x2c"),
        command(2, b"\0\0\0\x08"),
        command(0x33, b"\0"),
        command(101, b"\0\0\x25\x80"),
        command(108),
        b"\xff\xfa\xff\xf0",
        b"\xff\x41",
    ],
)
def test_what_cannot_be_used_is_counted(stream):
    wire = access_server()
    assert wire.feed(stream, 0.0) == []
    assert wire.malformed == 1
    assert wire.outgoing() == b""


def test_a_client_is_not_commanded_but_may_be_suspended():
    wire = port_client()
    assert wire.feed(command(1, b"\0\0\x25\x80"), 0.0) == []
    assert wire.malformed == 1
    assert wire.feed(command(8) + command(9) + command(108), 0.0) == [
        Flow(suspended=True),
        Flow(suspended=False),
        Flow(suspended=True),
    ]


def test_an_access_server_does_not_ask():
    wire = access_server()
    wire.feed(say((WILL, 44), (DO, 44)), 0.0)
    assert wire.ask(SetBreak(True), 0.0) == b""
    assert wire.ask(SendBreak(), 0.0) == b""
    assert wire.deadline() is None


def test_another_access_server_tells_its_lines():
    wire = access_server()
    told = wire.feed(command(107, b"\x10") + command(106, b"\x10"), 0.0)
    assert told == [ModemChange(ModemLines(cts=True)), LineFault(break_received=True)]
    assert wire.malformed == 0


def test_a_client_sends_a_break_as_telnet_does():
    assert port_client().ask(SendBreak(), 0.0) == b"\xff\xf3"


def test_unanswered_commands_are_counted_and_named():
    wire = port_client()
    wire.feed(say((DO, 44)), 0.0)
    wire.ask(SetLine(baudrate=300, parity=Parity.EVEN), 1.0)
    assert wire.deadline() == 4.0
    assert wire.tick(4.0) == [
        Told(Item.BAUDRATE, None, SetLine(baudrate=300, parity=Parity.EVEN)),
        Told(Item.PARITY, None, SetLine(baudrate=300, parity=Parity.EVEN)),
    ]
    assert wire.unanswered == 2
    assert wire.unanswered_items == ("baudrate", "parity")


def test_a_server_that_asks_who_we_are_is_told():
    wire = port_client(signature="Portline")
    wire.feed(command(100), 0.0)
    assert wire.outgoing() == command(0, b"Portline")


# --- terminals ----------------------------------------------------------------------------------

TERMINALS = [say((WILL, 24)), say((WILL, 31)), say((WONT, 0)), say((DONT, 0))]


def text(wire, *chunks):
    return b"".join(event for chunk in chunks for event in wire.feed(chunk, 0.0))


@pytest.mark.parametrize("introduction", TERMINALS)
def test_a_terminal_pads_cr_with_nul(introduction):
    wire = access_server()
    wire.start(0.0)
    wire.feed(introduction, 0.0)
    assert text(wire, b"ls\r\0\r\0\0\r\n") == b"ls\r\r\0\r\n"
    assert text(wire, b"a\r", b"\0b\r", b"\0", b"\0") == b"a\rb\r\0"
    assert text(wire, b"\r\xff\xf1\0") == b"\r"


def test_who_does_not_look_like_a_terminal_is_not_altered():
    assert text(access_server(), b"\r\0") == b"\r\0"


def test_a_terminal_in_binary_is_not_altered():
    wire = access_server()
    wire.start(0.0)
    assert text(wire, say((WILL, 24), (WILL, 0)), b"\r\0") == b"\r\0"
    assert text(wire, say((WONT, 0)), b"\r\0") == b"\r"


def test_who_speaks_rfc2217_is_not_altered():
    wire = access_server()
    wire.start(0.0)
    wire.feed(say((WILL, 44), (WONT, 0)), 0.0)
    assert text(wire, b"\r\0") == b"\r\0"


def test_a_cr_from_before_the_introduction_does_not_count():
    wire = access_server()
    assert text(wire, b"\r" + say((WILL, 31)) + b"\0\r\0") == b"\r\0\r"


def test_we_do_not_pad():
    wire = access_server()
    wire.feed(say((WILL, 24)), 0.0)
    assert wire.encode(b"\r\r\n") == b"\r\r\n"


# --- two of ours --------------------------------------------------------------------------------


@pytest.fixture
def pair():
    pair = WirePair(client=port_client(), server=access_server(signature="Portline meter"))
    pair.server.port = PortState(lines=ModemLines(cts=True))
    pair.start()
    return pair


def test_they_agree_and_the_client_hears_the_lines(pair):
    assert pair.client.wire.asking
    assert pair.server.wire.serving
    assert pair.client.wire.binary_in
    assert pair.client.wire.binary_out
    assert pair.server.events == BEGIN
    assert pair.client.events == [ModemChange(ModemLines(cts=True))]


def test_what_the_application_sets_comes_into_force(pair):
    pair.ask(SetLine.everything(LineSettings.parse("115200-7E2")), SetModem(dtr=True, rts=True))
    assert pair.server.port.settings == LineSettings.parse("115200-7E2")
    assert pair.server.port.dtr
    assert {event.item: event.value for event in pair.client.events[1:]} == {
        Item.BAUDRATE: 115200,
        Item.DATA_BITS: 7,
        Item.PARITY: Parity.EVEN,
        Item.STOP_BITS: LineSettings.parse("115200-7E2").stop_bits,
        Item.FLOW_CONTROL: FlowControl.NONE,
        Item.DTR: True,
        Item.RTS: True,
    }
    assert pair.client.wire.deadline() is None


def test_what_the_port_does_not_do_is_told(pair):
    pair.server.obeys = False
    request = SetLine(baudrate=300)
    pair.ask(request)
    assert pair.client.events[1:] == [Told(Item.BAUDRATE, 9600, request)]


def test_who_is_there(pair):
    pair.ask(Query(Item.SIGNATURE))
    assert pair.client.wire.peer_signature == "Portline meter"


def test_a_break_goes_between_the_data(pair):
    pair.server.heard.clear()
    pair.send(pair.client, b"one\xff")
    pair.ask(SendBreak())
    pair.send(pair.client, b"two")
    assert pair.server.events == [b"one\xff", SendBreak(), b"two"]


def test_lines_and_faults_are_reported(pair):
    pair.report(ModemChange(ModemLines()))
    assert pair.client.events[-1] == ModemChange(ModemLines())


def test_two_virtual_ports_ask_and_serve_each_other():
    pair = WirePair(client=null_modem(), server=null_modem())
    pair.start()
    for end in (pair.client, pair.server):
        assert end.wire.asking
        assert end.wire.serving
    pair.ask(SetModem(dtr=True))
    assert pair.server.port.dtr
    assert not pair.client.port.dtr


def test_two_access_servers_agree_that_neither_asks():
    pair = WirePair(client=access_server(), server=access_server())
    pair.start()
    pair.send(pair.client, b"data")
    assert pair.server.events[-1] == b"data"


def test_a_local_change_is_not_reported_to_an_access_server(pair):
    change = LineChange(LineSettings.parse("300-8N1"))
    assert pair.client.wire.report(change, 0.0) == b""


# --- what was said and did not arrive -----------------------------------------------------------

SAID = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=6),
        st.sampled_from([SetLine(baudrate=0xFF00FF), SetBreak(True), Query(Item.SIGNATURE)]),
        st.lists(st.just(255), min_size=1, max_size=4).map(bytes),
    ),
    max_size=6,
)


@given(SAID, st.integers(0, 200))
def test_the_data_that_did_not_arrive_is_found_among_the_words(
    said: list[bytes | SetLine | SetBreak | Query], arrived: int
) -> None:
    wire = port_client()
    wire.feed(say((DO, 44)), 0.0)
    parts = [wire.encode(x) if isinstance(x, bytes) else wire.ask(x, 0.0) for x in said]
    sent = b"".join(parts)
    data = b"".join(x for x in said if isinstance(x, bytes))
    reader = access_server()
    heard = [event for event in reader.feed(sent[:arrived], 0.0) if isinstance(event, bytes)]
    got = b"".join(heard)
    assert got + wire.decoded(sent, arrived) == data
