import pytest

from portline.line import (
    Flow,
    FlowControl,
    Item,
    LineFault,
    LineSettings,
    ModemChange,
    ModemLines,
    Parity,
    Purge,
    Query,
    SendBreak,
    SetBreak,
    SetLine,
    SetModem,
    StopBits,
    Told,
)
from portline.wire.rfc2217_client import (
    ANSWER_TIMEOUT,
    PENDING_LIMIT,
    SIGNATURES_TOLD,
    ComPortClient,
)
from portline.wire.rfc2217_codes import Code, command


@pytest.fixture
def client():
    return ComPortClient("Portline here")


def told(client, code, *payload):
    taken = client.take(code, bytes(payload))
    return taken if taken is None else taken[0]


# --- asking -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "commands"),
    [
        (SetLine(baudrate=9600), [(1, 0, 0, 0x25, 0x80)]),
        (SetLine(flow_control=FlowControl.HARDWARE), [(5, 3)]),
        (SetLine(inbound_flow=FlowControl.NONE), [(5, 14)]),
        (
            SetLine.everything(LineSettings()),
            [(1, 0, 0, 0x25, 0x80), (2, 8), (3, 1), (4, 1), (5, 1)],
        ),
        (SetModem(dtr=True, rts=False), [(5, 8), (5, 12)]),
        (SetBreak(True), [(5, 5)]),
        (Purge(received=True), [(12, 1)]),
        (Purge(received=True, unsent=True), [(12, 3)]),
        (Purge(), []),
        (SendBreak(), []),
        (SetLine(), []),
        (Query(Item.BAUDRATE), [(1, 0, 0, 0, 0)]),
        (Query(Item.DATA_BITS), [(2, 0)]),
        (Query(Item.PARITY), [(3, 0)]),
        (Query(Item.STOP_BITS), [(4, 0)]),
        (Query(Item.FLOW_CONTROL), [(5, 0)]),
        (Query(Item.BREAK), [(5, 4)]),
        (Query(Item.DTR), [(5, 7)]),
        (Query(Item.RTS), [(5, 10)]),
        (Query(Item.INBOUND_FLOW), [(5, 13)]),
        (Query(Item.MODEM_LINES), [(7, 0)]),
        (Query(Item.LINE_STATE), [(6, 0)]),
        (Query(Item.SIGNATURE), [(0,)]),
        (Query(Item.MODEM_MASK), []),
        (Query(Item.PURGE), []),
    ],
)
def test_requests_become_commands(client, request_, commands):
    said = b"".join(command(code, bytes(payload)) for code, *payload in commands)
    assert client.ask(request_, 0.0) == said
    assert client.deadline() == (ANSWER_TIMEOUT if commands else None)


def test_masks(client):
    assert client.set_masks(255, 0x1E, 0.0) == command(10, b"\x1e") + command(11, b"\xff")
    assert told(client, 10, 0x1E) == [Told(Item.LINE_MASK, 0x1E)]
    assert told(client, 11, 255) == [Told(Item.MODEM_MASK, 255)]
    assert client.deadline() is None


# --- answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "item", "value"),
    [
        ((1, 0, 1, 0xC2, 0), Item.BAUDRATE, 115200),
        ((1, 14), Item.BAUDRATE, 115200),
        ((2, 7), Item.DATA_BITS, 7),
        ((3, 4), Item.PARITY, Parity.MARK),
        ((4, 3), Item.STOP_BITS, StopBits.ONE_AND_A_HALF),
        ((5, 2), Item.FLOW_CONTROL, FlowControl.XON_XOFF),
        ((5, 5), Item.BREAK, True),
        ((5, 9), Item.DTR, False),
        ((5, 11), Item.RTS, True),
        ((5, 16), Item.INBOUND_FLOW, FlowControl.HARDWARE),
        ((12, 2), Item.PURGE, Purge(unsent=True)),
        ((2, 7, 0, 0), Item.DATA_BITS, 7),
    ],
)
def test_what_is_told_unasked_has_no_request(client, answer, item, value):
    assert told(client, *answer) == [Told(item, value)]


def test_an_answer_belongs_to_the_oldest_question_about_the_item(client):
    first, second = SetLine(baudrate=300), SetLine(baudrate=9600)
    client.ask(first, 0.0)
    client.ask(SetModem(dtr=True, rts=True), 0.0)
    client.ask(second, 0.0)
    assert told(client, 5, 11) == [Told(Item.RTS, True, SetModem(dtr=True, rts=True))]
    assert told(client, 1, 0, 0, 1, 44) == [Told(Item.BAUDRATE, 300, first)]
    assert told(client, 1, 0, 0, 1, 44) == [Told(Item.BAUDRATE, 300, second)]
    assert told(client, 1, 0, 0, 1, 44) == [Told(Item.BAUDRATE, 300)]


def test_modem_lines_are_a_change_and_an_answer_only_if_asked(client):
    lines = ModemLines(cts=True)
    assert told(client, 7, 0x11) == [ModemChange(lines)]
    client.ask(Query(Item.MODEM_LINES), 0.0)
    assert told(client, 7, 0x10) == [
        ModemChange(lines),
        Told(Item.MODEM_LINES, lines, Query(Item.MODEM_LINES)),
    ]


def test_line_state_is_a_fault_if_it_says_one(client):
    assert told(client, 6, 0x60) == []
    assert told(client, 6, 0x62) == [LineFault(overrun=True)]
    client.ask(Query(Item.LINE_STATE), 0.0)
    assert told(client, 6, 0x60) == [Told(Item.LINE_STATE, 0x60, Query(Item.LINE_STATE))]


@pytest.mark.parametrize("payload", [(), (0,)])
def test_flow(client, payload):
    assert told(client, 8, *payload) == [Flow(suspended=True)]
    assert told(client, 9, *payload) == [Flow(suspended=False)]


@pytest.mark.parametrize(
    "answer",
    [
        (1,),
        (1, 0),
        (1, 0, 0),
        (1, 0, 0, 0, 0),
        (2,),
        (2, 9),
        (3, 0),
        (4, 4),
        (5, 0),
        (5, 17),
        (5, 99),
        (7,),
        (12, 0),
        (13, 1),
        (155, 1),
    ],
)
def test_what_nobody_understands_means_nothing(client, answer):
    assert told(client, *answer) is None


# --- servers that answer otherwise --------------------------------------------------------------


def test_sredird_answers_lines_with_its_flow_control(client):
    client.ask(SetModem(dtr=True, rts=True), 0.0)
    assert told(client, 5, 1) == []
    assert told(client, 5, 1) == []
    assert client.deadline() is None
    assert told(client, 5, 1) == [Told(Item.FLOW_CONTROL, FlowControl.NONE)]


def test_sredird_answers_inbound_flow_with_nothing(client):
    client.ask(Query(Item.INBOUND_FLOW), 0.0)
    assert told(client, 5, 0) == []
    assert client.deadline() is None


def test_a_line_told_unasked_retires_nothing(client):
    client.ask(SetLine(flow_control=FlowControl.NONE), 0.0)
    assert told(client, 5, 8) == [Told(Item.DTR, True)]
    assert client.deadline() is not None


def test_an_answer_without_a_value_retires_its_question(client):
    client.ask(SetLine(parity=Parity.MARK, baudrate=300), 0.0)
    assert told(client, 3, 0) == []
    assert told(client, 1, 0, 0, 0, 0) == []
    assert client.deadline() is None


def test_a_server_that_does_not_answer_is_counted(client):
    client.ask(SetLine(parity=Parity.MARK), 1.0)
    client.ask(SetLine(baudrate=300), 2.0)
    assert client.deadline() == 1.0 + ANSWER_TIMEOUT
    client.tick(0.9 + ANSWER_TIMEOUT)
    assert client.unanswered == 0
    client.tick(1.0 + ANSWER_TIMEOUT)
    assert (client.unanswered, client.unanswered_items) == (1, {Item.PARITY})
    assert client.deadline() == 2.0 + ANSWER_TIMEOUT
    client.tick(2.0 + ANSWER_TIMEOUT)
    assert client.unanswered == 2
    assert client.deadline() is None


def test_it_knows_which_of_two_equal_requests_waits(client):
    first, second = SetModem(dtr=True), SetModem(dtr=True)
    client.ask(first, 0.0)
    client.ask(second, 1.0)
    assert (client.waits(first), client.waits(second)) == (True, True)
    told(client, 5, 8)
    assert (client.waits(first), client.waits(second)) == (False, True)
    client.tick(1.0 + ANSWER_TIMEOUT)
    assert not client.waits(second)


def test_what_waits_is_bounded(client):
    asked = [Query(Item.DTR) for _ in range(2 * PENDING_LIMIT + 3)]
    for query in asked:
        client.ask(query, 0.0)
    assert client.unanswered >= PENDING_LIMIT + 3
    answers = [told(client, 5, 9)[0].request for _ in range(len(asked) + 1)]
    assert 0 < sum(request is not None for request in answers) <= 2 * PENDING_LIMIT
    assert answers[-1] is None


# --- answers that come late -----------------------------------------------------------------------


def given_up(client, request, now=0.0):
    """Ask, and have the server be silent for too long."""
    client.ask(request, now)
    client.tick(now + ANSWER_TIMEOUT)
    assert not client.waits(request)


def test_a_late_answer_is_not_taken_for_that_to_a_newer_question(client):
    first, second = Query(Item.LINE_STATE), Query(Item.LINE_STATE)
    given_up(client, first)
    client.ask(second, 600.0)
    assert told(client, Code.NOTIFY_LINESTATE, 0x60)[-1].request is first
    assert client.waits(second)
    told(client, Code.SET_BAUDRATE, 0, 0, 0x25, 0x80)  # the fence
    assert told(client, Code.NOTIFY_LINESTATE, 0)[-1].request is second


def test_a_fence_tells_that_a_late_answer_will_not_come(client):
    first, second = Query(Item.LINE_STATE), Query(Item.LINE_STATE)
    given_up(client, first)
    said = client.ask(second, 4.0)
    assert said == command(Code.SET_BAUDRATE, bytes(4)) + command(Code.NOTIFY_LINESTATE, b"\0")
    told(client, Code.SET_BAUDRATE, 0, 0, 0x25, 0x80)
    assert told(client, Code.NOTIFY_LINESTATE, 0x60)[-1].request is second
    assert client.ask(Query(Item.LINE_STATE), 5.0) == command(Code.NOTIFY_LINESTATE, b"\0")


def test_one_fence_is_enough_for_several_questions(client):
    given_up(client, Query(Item.LINE_STATE))
    client.ask(Query(Item.LINE_STATE), 4.0)
    assert client.ask(Query(Item.LINE_STATE), 4.0) == command(Code.NOTIFY_LINESTATE, b"\0")
    assert client.ask(SetLine(baudrate=300), 4.0) == command(Code.SET_BAUDRATE, b"\0\0\1\x2c")


def test_a_server_that_is_always_slow_is_understood(client):
    asked = [Query(Item.LINE_STATE) for _ in range(20)]
    for position, query in enumerate(asked):
        now = position * (ANSWER_TIMEOUT + 1)
        client.tick(now)
        if position:
            answer = told(client, Code.NOTIFY_LINESTATE, 0x60)
            assert answer[-1].request is asked[position - 1]
            if position > 1:
                told(client, Code.SET_BAUDRATE, 0, 0, 0x25, 0x80)
        client.ask(query, now)


def test_a_server_that_has_lost_everything_is_in_step_again(client):
    every = SetLine.everything(LineSettings())
    answers = [(1, 0, 0, 0x25, 0x80), (2, 8), (3, 1), (4, 1), (5, 1)]
    given_up(client, every)
    for start in (4.0, 8.0):
        again = SetLine.everything(LineSettings())
        client.ask(again, start)
        heard = [told(client, *answer)[0].request for answer in answers]
        client.tick(start + ANSWER_TIMEOUT)
    assert all(request is again for request in heard)
    assert client.deadline() is None


def test_what_a_server_tells_by_itself_says_nothing_of_what_is_late(client):
    late = Query(Item.LINE_STATE)
    given_up(client, late)
    client.ask(Query(Item.MODEM_LINES), 4.0)
    told(client, Code.NOTIFY_MODEMSTATE, 0xB0)
    told(client, Code.NOTIFY_MODEMSTATE, 0x30)
    assert told(client, Code.NOTIFY_LINESTATE, 0x60)[-1].request is late


# --- signature ----------------------------------------------------------------------------------


def test_who_the_server_is(client):
    client.ask(Query(Item.SIGNATURE), 0.0)
    assert client.take(Code.SIGNATURE, b"ser2net") == (
        [Told(Item.SIGNATURE, "ser2net", Query(Item.SIGNATURE))],
        b"",
    )
    assert client.peer_signature == "ser2net"


def test_a_server_may_have_no_name(client):
    client.ask(Query(Item.SIGNATURE), 0.0)
    assert told(client, 0) == [Told(Item.SIGNATURE, "", Query(Item.SIGNATURE))]


def test_a_server_may_ask_who_we_are_a_bounded_number_of_times(client):
    for _ in range(SIGNATURES_TOLD):
        assert client.take(Code.SIGNATURE, b"") == ([], command(0, b"Portline here"))
    assert client.take(Code.SIGNATURE, b"") == ([], b"")


# --- a server that says rates in one byte ---------------------------------------------------------


def test_who_answers_a_rate_in_one_byte_is_asked_in_one(client):
    request = SetLine(baudrate=19200)
    client.ask(request, 0.0)
    client.ask(SetLine(stop_bits=StopBits.TWO), 0.0)
    assert client.take(Code.SET_BAUDRATE, b"\x08") == ([], command(Code.SET_BAUDRATE, b"\x0a"))
    assert told(client, Code.SET_STOPSIZE, 2)
    assert told(client, Code.SET_BAUDRATE, 10) == [Told(Item.BAUDRATE, 19200, request)]
    assert client.deadline() is None
    assert client.ask(SetLine(baudrate=115200), 0.0) == command(Code.SET_BAUDRATE, b"\x0e")
    assert told(client, Code.SET_BAUDRATE, 8) == [
        Told(Item.BAUDRATE, 9600, SetLine(baudrate=115200))
    ]


def test_a_rate_without_a_code_is_still_said_in_four_bytes(client):
    client.ask(SetLine(baudrate=31250), 0.0)
    assert told(client, Code.SET_BAUDRATE, 8) == [
        Told(Item.BAUDRATE, 9600, SetLine(baudrate=31250))
    ]
    assert client.ask(SetLine(baudrate=31250), 0.0) == command(
        Code.SET_BAUDRATE, (31250).to_bytes(4, "big")
    )


def test_a_rate_that_was_understood_in_four_bytes_is_not_asked_for_again(client):
    client.ask(SetLine(baudrate=9600), 0.0)
    assert told(client, Code.SET_BAUDRATE, 8) == [Told(Item.BAUDRATE, 9600, SetLine(baudrate=9600))]
    assert told(client, Code.SET_BAUDRATE, 10) == [Told(Item.BAUDRATE, 19200, None)]


@pytest.mark.parametrize("first", [9600, 1200])
def test_of_rates_on_their_way_before_the_first_answer_the_last_is_asked_again(client, first):
    """The application may have opened the port meanwhile: the server has understood neither."""
    before, after = SetLine(baudrate=first), SetLine(baudrate=19200)
    client.ask(before, 0.0)
    client.ask(after, 0.0)
    assert told(client, Code.SET_BAUDRATE, 8) == [Told(Item.BAUDRATE, 9600, before)]
    assert client.take(Code.SET_BAUDRATE, b"\x08") == ([], command(Code.SET_BAUDRATE, b"\x0a"))
    assert told(client, Code.SET_BAUDRATE, 10) == [Told(Item.BAUDRATE, 19200, after)]
    assert client.deadline() is None


def test_who_stays_at_another_rate_is_asked_again_once(client):
    request = SetLine(baudrate=19200)
    client.ask(request, 0.0)
    assert client.take(Code.SET_BAUDRATE, b"\x08") == ([], command(Code.SET_BAUDRATE, b"\x0a"))
    assert told(client, Code.SET_BAUDRATE, 8) == [Told(Item.BAUDRATE, 9600, request)]
    assert client.deadline() is None
