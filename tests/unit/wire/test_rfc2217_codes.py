import pytest

from portline.line import (
    FlowControl,
    Item,
    LineFault,
    LineSettings,
    ModemLines,
    Parity,
    PortState,
    Purge,
    Query,
    SetBreak,
    SetLine,
    SetModem,
    StopBits,
)
from portline.wire.rfc2217_codes import (
    SIGNATURE_LIMIT,
    Code,
    command,
    encode,
    fault_bits,
    fault_of,
    item_of,
    levels_of,
    lines_of,
    setting,
    settings_of,
    signature_bytes,
    signature_text,
    value_in_force,
    value_of,
)

# What RFC 2217 s3 says, number by number.
NUMBERS = [
    (Item.DATA_BITS, 5, 2, 5),
    (Item.DATA_BITS, 8, 2, 8),
    (Item.PARITY, Parity.NONE, 3, 1),
    (Item.PARITY, Parity.ODD, 3, 2),
    (Item.PARITY, Parity.EVEN, 3, 3),
    (Item.PARITY, Parity.MARK, 3, 4),
    (Item.PARITY, Parity.SPACE, 3, 5),
    (Item.STOP_BITS, StopBits.ONE, 4, 1),
    (Item.STOP_BITS, StopBits.TWO, 4, 2),
    (Item.STOP_BITS, StopBits.ONE_AND_A_HALF, 4, 3),
    (Item.FLOW_CONTROL, FlowControl.NONE, 5, 1),
    (Item.FLOW_CONTROL, FlowControl.XON_XOFF, 5, 2),
    (Item.FLOW_CONTROL, FlowControl.HARDWARE, 5, 3),
    (Item.BREAK, True, 5, 5),
    (Item.BREAK, False, 5, 6),
    (Item.DTR, True, 5, 8),
    (Item.DTR, False, 5, 9),
    (Item.RTS, True, 5, 11),
    (Item.RTS, False, 5, 12),
    (Item.INBOUND_FLOW, FlowControl.NONE, 5, 14),
    (Item.INBOUND_FLOW, FlowControl.XON_XOFF, 5, 15),
    (Item.INBOUND_FLOW, FlowControl.HARDWARE, 5, 16),
    (Item.PURGE, Purge(received=True), 12, 1),
    (Item.PURGE, Purge(unsent=True), 12, 2),
    (Item.PURGE, Purge(received=True, unsent=True), 12, 3),
]


@pytest.mark.parametrize(("item", "value", "code", "byte"), NUMBERS)
def test_numbers_mean_values(item, value, code, byte):
    assert encode(item, value) == (code, bytes((byte,)))
    assert value_of(code, byte) == value
    assert item_of(code, byte) is item
    assert list(settings_of(setting(item, value))) == [(item, value)]


def test_a_baud_rate_is_four_bytes_in_network_order():
    assert encode(Item.BAUDRATE, 115200) == (1, b"\x00\x01\xc2\x00")
    assert setting(Item.BAUDRATE, 115200) == SetLine(baudrate=115200)


def test_a_command_doubles_iac():
    assert command(1, b"\x00\x00\xff\x00") == b"\xff\xfa\x2c\x01\x00\x00\xff\xff\x00\xff\xf0"


@pytest.mark.parametrize(
    ("byte", "item"),
    [
        (0, Item.FLOW_CONTROL),
        (4, Item.BREAK),
        (7, Item.DTR),
        (10, Item.RTS),
        (13, Item.INBOUND_FLOW),
        (17, Item.FLOW_CONTROL),
        (18, Item.INBOUND_FLOW),
        (19, Item.FLOW_CONTROL),
        (20, Item.FLOW_CONTROL),
    ],
)
def test_control_bytes_without_a_value_still_are_about_something(byte, item):
    assert value_of(Code.SET_CONTROL, byte) is None
    assert item_of(Code.SET_CONTROL, byte) is item


def test_an_item_cannot_have_the_value_of_another():
    with pytest.raises(ValueError, match="parity cannot be set to 8"):
        setting(Item.PARITY, 8)


def test_what_a_request_sets_is_said_in_order():
    everything = SetLine(
        inbound_flow=FlowControl.NONE,
        flow_control=FlowControl.HARDWARE,
        stop_bits=StopBits.TWO,
        parity=Parity.EVEN,
        data_bits=7,
        baudrate=300,
    )
    assert [item for item, _ in settings_of(everything)] == [
        Item.BAUDRATE,
        Item.DATA_BITS,
        Item.PARITY,
        Item.STOP_BITS,
        Item.FLOW_CONTROL,
        Item.INBOUND_FLOW,
    ]
    assert list(settings_of(SetModem(dtr=False, rts=True))) == [
        (Item.DTR, False),
        (Item.RTS, True),
    ]
    assert list(settings_of(SetBreak(False))) == [(Item.BREAK, False)]


@pytest.mark.parametrize("request_", [SetLine(), SetModem(), Purge(), Query(Item.DTR)])
def test_what_sets_nothing_says_nothing(request_):
    assert list(settings_of(request_)) == []


def test_the_value_in_force():
    state = PortState(LineSettings.parse("300-7E2"), dtr=True, break_on=True)
    told = {item: value_in_force(item, state) for item in Item}
    assert {item: value for item, value in told.items() if value is not None} == {
        Item.BAUDRATE: 300,
        Item.DATA_BITS: 7,
        Item.PARITY: Parity.EVEN,
        Item.STOP_BITS: StopBits.TWO,
        Item.FLOW_CONTROL: FlowControl.NONE,
        Item.INBOUND_FLOW: FlowControl.NONE,
        Item.DTR: True,
        Item.RTS: False,
        Item.BREAK: True,
    }


@pytest.mark.parametrize(
    ("lines", "bits"),
    [
        (ModemLines(cts=True), 0x10),
        (ModemLines(dsr=True), 0x20),
        (ModemLines(ri=True), 0x40),
        (ModemLines(dcd=True), 0x80),
        (ModemLines(), 0),
    ],
)
def test_modem_state(lines, bits):
    assert levels_of(lines) == bits
    assert lines_of(bits | 0x0F) == lines


@pytest.mark.parametrize(
    ("fault", "bits"),
    [
        (LineFault(overrun=True), 2),
        (LineFault(parity=True), 4),
        (LineFault(framing=True), 8),
        (LineFault(break_received=True), 16),
        (LineFault(), 0),
    ],
)
def test_line_state(fault, bits):
    assert fault_bits(fault) == bits
    assert fault_of(bits | 0xE1) == fault


def test_a_signature_is_cut_between_characters():
    assert signature_bytes("x" + "ä" * SIGNATURE_LIMIT) == ("x" + "ä" * 99).encode()
    assert signature_bytes("Portline\udc80") == b"Portline?"


def test_a_peers_signature_is_fit_to_be_shown():
    assert signature_text(b"sredird\x1b[2J \xff") == "sredird?[2J \ufffd"
    assert len(signature_text(b"n" * 4000)) == SIGNATURE_LIMIT
