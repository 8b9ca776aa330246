from dataclasses import replace

import pytest

from portline.line import (
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
    StopBits,
    Told,
    Watch,
)
from portline.wire.rfc2217_codes import Code, command
from portline.wire.rfc2217_server import (
    ComPortServer,
    MaskQuery,
    ShortQuery,
    ShortSetLine,
)

STATE = PortState(LineSettings.parse("9600-8N1"))
ALL_ON = ModemLines(cts=True, dsr=True, dcd=True, ri=True)


def told(code, *payload):
    return command(100 + code, bytes(payload))


def lines_told(*payload):
    return told(Code.NOTIFY_MODEMSTATE, *payload)


@pytest.fixture
def server():
    """A server whose client has agreed and heard that no line is on."""
    server = ComPortServer("Portline meter")
    for event in server.activate()[1:]:
        server.answer(event, STATE)
    return server


# --- beginning and end ---------------------------------------------------------------------------


def test_a_client_hears_the_modem_lines_at_once_and_once():
    server = ComPortServer()
    assert server.activate() == [Watch(modem_lines=True, faults=False), Query(Item.MODEM_LINES)]
    assert server.activate() == []
    state = replace(STATE, lines=ModemLines(cts=True, ri=True))
    assert server.answer(Query(Item.MODEM_LINES), state) == lines_told(0x50)


def test_a_command_shows_that_the_peer_is_a_client():
    server = ComPortServer()
    assert server.take(Code.SET_DATASIZE, b"\7") == [
        Watch(modem_lines=True, faults=False),
        Query(Item.MODEM_LINES),
        SetLine(data_bits=7),
    ]
    assert server.active


def test_something_malformed_does_not():
    server = ComPortServer()
    assert server.take(Code.SET_DATASIZE, b"\7\7") is None
    assert not server.active


def test_a_peer_that_is_no_client_any_more_wants_nothing(server):
    assert server.deactivate() == [Watch(modem_lines=False, faults=False)]
    assert server.deactivate() == []
    assert server.report(ModemChange(ALL_ON)) == b""


def test_the_masks_begin_anew_with_the_next_agreement(server):
    server.take(Code.SET_MODEMSTATE_MASK, b"\0")
    assert server.deactivate() == []
    assert server.activate() == [Watch(modem_lines=True, faults=False), Query(Item.MODEM_LINES)]


# --- commands and answers ------------------------------------------------------------------------

COMMANDS = [
    # what the client says, what it means, and the answer when the port obeys
    (1, b"\x00\x00\x25\x80", SetLine(baudrate=9600), (1, 0, 0, 0x25, 0x80)),
    (1, b"\x00\x00\x00\x32", SetLine(baudrate=50), (1, 0, 0, 0, 50)),
    (1, b"\x00\x3d\x09\x00", SetLine(baudrate=4_000_000), (1, 0, 0x3D, 9, 0)),
    (1, b"\x00\x00\x00\x00", Query(Item.BAUDRATE), (1, 0, 0, 0x25, 0x80)),
    (1, b"\x00\x00\x00\x31", Query(Item.BAUDRATE), (1, 0, 0, 0x25, 0x80)),
    (1, b"\x00\x3d\x09\x01", Query(Item.BAUDRATE), (1, 0, 0, 0x25, 0x80)),
    (1, b"\xff\xff\xff\xff", Query(Item.BAUDRATE), (1, 0, 0, 0x25, 0x80)),
    (1, b"\x0e", ShortSetLine(baudrate=115200), (1, 14)),
    (1, b"\x00", ShortQuery(Item.BAUDRATE), (1, 8)),
    (1, b"\x09", ShortQuery(Item.BAUDRATE), (1, 8)),
    (2, b"\x07", SetLine(data_bits=7), (2, 7)),
    (2, b"\x00", Query(Item.DATA_BITS), (2, 8)),
    (2, b"\x09", Query(Item.DATA_BITS), (2, 8)),
    (3, b"\x03", SetLine(parity=Parity.EVEN), (3, 3)),
    (3, b"\x00", Query(Item.PARITY), (3, 1)),
    (3, b"\x06", Query(Item.PARITY), (3, 1)),
    (4, b"\x03", SetLine(stop_bits=StopBits.ONE_AND_A_HALF), (4, 3)),
    (4, b"\x00", Query(Item.STOP_BITS), (4, 1)),
    (4, b"\x04", Query(Item.STOP_BITS), (4, 1)),
    (5, b"\x00", Query(Item.FLOW_CONTROL), (5, 1)),
    (5, b"\x03", SetLine(flow_control=FlowControl.HARDWARE), (5, 3)),
    (5, b"\x04", Query(Item.BREAK), (5, 6)),
    (5, b"\x05", SetBreak(True), (5, 5)),
    (5, b"\x06", SetBreak(False), (5, 6)),
    (5, b"\x07", Query(Item.DTR), (5, 9)),
    (5, b"\x08", SetModem(dtr=True), (5, 8)),
    (5, b"\x09", SetModem(dtr=False), (5, 9)),
    (5, b"\x0a", Query(Item.RTS), (5, 12)),
    (5, b"\x0b", SetModem(rts=True), (5, 11)),
    (5, b"\x0c", SetModem(rts=False), (5, 12)),
    (5, b"\x0d", Query(Item.INBOUND_FLOW), (5, 14)),
    (5, b"\x0f", SetLine(inbound_flow=FlowControl.XON_XOFF), (5, 15)),
    (5, b"\x11", Query(Item.FLOW_CONTROL), (5, 1)),
    (5, b"\x12", Query(Item.INBOUND_FLOW), (5, 14)),
    (5, b"\x13", Query(Item.FLOW_CONTROL), (5, 1)),
    (5, b"\x7f", Query(Item.FLOW_CONTROL), (5, 1)),
    (6, b"", Query(Item.LINE_STATE), (6, 0x60)),
    (7, b"", Query(Item.MODEM_LINES), (7, 0)),
    (7, b"\x00", Query(Item.MODEM_LINES), (7, 0)),
    (11, b"\xff", MaskQuery(Item.MODEM_MASK, 255), (11, 255)),
    (10, b"\x60", MaskQuery(Item.LINE_MASK, 0x60), (10, 0x60)),
    (12, b"\x01", Purge(received=True), (12, 1)),
    (12, b"\x02", Purge(unsent=True), (12, 2)),
    (12, b"\x03", Purge(received=True, unsent=True), (12, 3)),
]


def obeyed(request):
    match request:
        case SetLine():
            return replace(STATE, settings=request.applied_to(STATE.settings))
        case SetModem(dtr, rts):
            return replace(STATE, dtr=bool(dtr), rts=bool(rts))
        case SetBreak(on):
            return replace(STATE, break_on=on)
        case _:
            return STATE


@pytest.mark.parametrize(("code", "payload", "request_", "answer"), COMMANDS)
def test_each_command_is_one_request_and_has_one_answer(server, code, payload, request_, answer):
    assert server.take(code, payload) == [request_]
    assert server.answer(request_, obeyed(request_)) == told(*answer)


@pytest.mark.parametrize(("code", "payload", "request_", "answer"), COMMANDS)
def test_a_port_that_does_not_obey_answers_what_is_in_force(
    server, code, payload, request_, answer
):
    reply = server.answer(request_, STATE)
    assert reply[3] == 100 + code
    assert reply[-2:] == b"\xff\xf0"


def test_the_value_in_force_is_the_answer(server):
    assert server.answer(SetLine(baudrate=300), STATE) == told(1, 0, 0, 0x25, 0x80)
    assert server.answer(SetModem(dtr=True), STATE) == told(5, 9)
    assert server.answer(SetBreak(True), STATE) == told(5, 6)


def test_a_rate_next_to_the_one_asked_for_is_told_as_it_is(server):
    nearly = replace(STATE, settings=LineSettings(baudrate=115108))
    assert server.answer(SetLine(baudrate=115200), nearly) == told(1, 0, 1, 0xC1, 0xA4)
    assert server.answer(Query(Item.BAUDRATE), nearly) == told(1, 0, 1, 0xC1, 0xA4)


def test_a_rate_without_a_code_is_answered_in_four_bytes(server):
    odd = replace(STATE, settings=LineSettings(baudrate=250_000))
    assert server.answer(ShortQuery(Item.BAUDRATE), odd) == told(1, 0, 3, 0xD0, 0x90)


def test_a_request_of_several_fields_is_answered_field_by_field(server):
    request = SetLine(baudrate=9600, parity=Parity.NONE)
    assert server.answer(request, STATE) == told(1, 0, 0, 0x25, 0x80) + told(3, 1)
    assert server.answer(SetModem(dtr=False, rts=False), STATE) == told(5, 9) + told(5, 12)


def test_iac_in_an_answer_is_doubled(server):
    state = replace(STATE, settings=LineSettings(baudrate=65280))
    assert server.answer(Query(Item.BAUDRATE), state) == b"\xff\xfa\x2c\x65\0\0\xff\xff\0\xff\xf0"


def test_a_transmitter_at_work_is_not_empty(server):
    assert server.answer(Query(Item.LINE_STATE), replace(STATE, idle=False)) == told(6, 0)


def test_a_pulse_and_a_purge_of_nothing_have_no_answer(server):
    assert server.answer(SendBreak(), STATE) == b""
    assert server.answer(Purge(), STATE) == b""
    assert server.answer(Query(Item.PURGE), STATE) == b""


def test_masks_can_be_answered_without_having_been_set(server):
    assert server.answer(Query(Item.MODEM_MASK), STATE) == told(11, 255)
    assert server.answer(Query(Item.LINE_MASK), STATE) == told(10, 0)


def test_each_mask_is_answered_with_itself(server):
    (first,) = server.take(Code.SET_MODEMSTATE_MASK, b"\x10")
    (second,) = server.take(Code.SET_MODEMSTATE_MASK, b"\x20")
    assert server.answer(first, STATE) == told(11, 0x10)
    assert server.answer(second, STATE) == told(11, 0x20)


@pytest.mark.parametrize(
    ("code", "payload"),
    [
        (1, b""),
        (1, b"\0\0"),
        (1, b"\0\0\0"),
        (1, b"\0\0\0\0\0"),
        (2, b""),
        (2, b"\0\0\0\x08"),
        (3, b"\1\1"),
        (4, b""),
        (5, b""),
        (5, b"\1\1"),
        (6, b"\0\0"),
        (7, b"\0\0"),
        (8, b"\0"),
        (9, b"\0"),
        (10, b""),
        (11, b"\0\0"),
        (12, b""),
        (12, b"\0"),
        (12, b"\4"),
        (13, b""),
        (0x33, b"\0"),
        (99, b"\1"),
    ],
)
def test_malformed_commands_mean_nothing(server, code, payload):
    assert server.take(code, payload) is None


# --- signature and flow --------------------------------------------------------------------------


def test_who_are_you(server):
    (request,) = server.take(Code.SIGNATURE, b"")
    assert request == Query(Item.SIGNATURE)
    assert server.answer(request, STATE) == command(100, b"Portline meter")


def test_who_the_client_is_is_remembered(server):
    assert server.take(Code.SIGNATURE, b"HW VSP 3") == []
    assert server.peer_signature == "HW VSP 3"


def test_suspend_and_resume_are_not_answered(server):
    assert server.take(Code.FLOWCONTROL_SUSPEND, b"") == [Flow(suspended=True)]
    assert server.take(Code.FLOWCONTROL_RESUME, b"") == [Flow(suspended=False)]


# --- modem lines ---------------------------------------------------------------------------------


def change(server, **lines):
    return server.report(ModemChange(ModemLines(**lines)))


def test_each_change_is_told_with_its_delta(server):
    assert change(server, cts=True) == lines_told(0x10 | 1)
    assert change(server, cts=True, dsr=True) == lines_told(0x30 | 2)
    assert change(server, cts=True, dsr=True, dcd=True) == lines_told(0xB0 | 8)
    assert change(server) == lines_told(0x00 | 1 | 2 | 8)


def test_a_state_that_was_told_is_not_told_again(server):
    assert change(server, cts=True) != b""
    assert change(server, cts=True) == b""


def test_of_ring_only_the_trailing_edge_is_a_delta(server):
    assert change(server, ri=True) == lines_told(0x40)
    assert change(server) == lines_told(0x00 | 4)


def test_a_line_that_the_mask_hides_is_not_told(server):
    server.take(Code.SET_MODEMSTATE_MASK, b"\x11")
    assert change(server, dsr=True) == b""
    assert change(server, dsr=True, cts=True) == lines_told(0x11)


def test_without_delta_bits_in_the_mask_levels_are_told_down_to_zero(server):
    server.take(Code.SET_MODEMSTATE_MASK, b"\xf0")
    assert change(server, cts=True) == lines_told(0x10)
    assert change(server) == lines_told(0x00)


def test_with_delta_bits_only_changes_are_told(server):
    server.take(Code.SET_MODEMSTATE_MASK, b"\x05")
    assert change(server, cts=True) == lines_told(1)
    assert change(server) == lines_told(1)
    assert change(server, ri=True) == b""
    assert change(server) == lines_told(4)


def test_a_mask_that_uncovers_a_line_tells_it(server):
    (watch, first) = server.take(Code.SET_MODEMSTATE_MASK, b"\0")
    assert watch == Watch(modem_lines=False, faults=False)
    server.answer(first, STATE)
    assert change(server, dcd=True) == b""
    (watch, second) = server.take(Code.SET_MODEMSTATE_MASK, b"\xff")
    assert watch == Watch(modem_lines=True, faults=False)
    state = replace(STATE, lines=ModemLines(dcd=True))
    assert server.answer(second, state) == told(11, 255) + lines_told(0x88)


def test_a_mask_that_uncovers_a_level_tells_it():
    server = ComPortServer()
    server.activate()
    server.answer(Query(Item.MODEM_LINES), STATE)
    server.take(Code.SET_MODEMSTATE_MASK, b"\x01")
    assert change(server, cts=True) == lines_told(1)
    (query,) = server.take(Code.SET_MODEMSTATE_MASK, b"\xff")
    state = replace(STATE, lines=ModemLines(cts=True))
    assert server.answer(query, state) == told(11, 255) + lines_told(0x10)


def test_a_poll_tells_everything_whatever_the_mask_is(server):
    server.take(Code.SET_MODEMSTATE_MASK, b"\0")
    state = replace(STATE, lines=ALL_ON)
    assert server.answer(Query(Item.MODEM_LINES), state) == lines_told(0xF0 | 1 | 2 | 8)
    assert server.answer(Query(Item.MODEM_LINES), state) == lines_told(0xF0)


def test_a_change_before_the_first_answer_has_no_delta():
    server = ComPortServer()
    server.activate()
    assert change(server, cts=True) == lines_told(0x10)


def test_before_the_agreement_nothing_is_told():
    assert change(ComPortServer(), cts=True) == b""


# --- line faults ---------------------------------------------------------------------------------


def test_faults_are_told_to_those_who_want_them(server):
    fault = LineFault(overrun=True, break_received=True)
    assert server.report(fault) == b""
    assert server.take(Code.SET_LINESTATE_MASK, b"\x10")[0] == Watch(modem_lines=True, faults=True)
    assert server.report(fault) == told(6, 0x10)
    assert server.report(LineFault(parity=True)) == b""


def test_a_mask_of_what_is_only_polled_watches_nothing(server):
    assert server.take(Code.SET_LINESTATE_MASK, b"\xe1") == [MaskQuery(Item.LINE_MASK, 0xE1)]


# --- settings changed by others ------------------------------------------------------------------


def test_what_a_server_told_us_is_nothing_to_a_client(server):
    assert server.report(Told(Item.BAUDRATE, 9600)) == b""


def test_settings_that_others_made_are_told(server):
    everything = told(1, 0, 0, 0x25, 0x80) + told(2, 8) + told(3, 1) + told(4, 1)
    assert server.report(LineChange(STATE.settings)) == everything
    assert server.report(LineChange(STATE.settings)) == b""
    assert server.report(LineChange(LineSettings.parse("9600-8E1"))) == told(3, 3)


def test_flow_control_is_never_told_unasked(server):
    server.report(LineChange(STATE.settings))
    changed = replace(STATE.settings, flow_control=FlowControl.HARDWARE)
    assert server.report(LineChange(changed)) == b""


def test_what_was_answered_is_known(server):
    server.report(LineChange(STATE.settings))
    changed = replace(STATE, settings=LineSettings.parse("9600-7N1"))
    (request,) = server.take(Code.SET_DATASIZE, b"\7")
    assert server.answer(request, changed) == told(2, 7)
    assert server.report(LineChange(changed.settings)) == b""


def test_news_wait_for_the_answers_that_they_could_be_taken_for(server):
    server.report(LineChange(STATE.settings))
    (first,) = server.take(Code.SET_PARITY, b"\2")
    (second,) = server.take(Code.SET_STOPSIZE, b"\0")
    changed = replace(STATE, settings=LineSettings.parse("300-8N1"))
    assert server.report(LineChange(changed.settings)) == b""
    assert server.answer(first, changed) == told(3, 1)
    assert server.answer(second, changed) == told(4, 1) + told(1, 0, 0, 1, 44)
