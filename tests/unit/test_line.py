from __future__ import annotations

import pytest

from portline.line import (
    FlowControl,
    LineSettings,
    ModemLines,
    Parity,
    PortState,
    Purge,
    SendBreak,
    SetBreak,
    SetInputs,
    SetLine,
    SetModem,
    StopBits,
)


def test_a_character_takes_its_bits() -> None:
    assert LineSettings().bits_per_character == 10
    line = LineSettings(300, data_bits=5, parity=Parity.EVEN, stop_bits=StopBits.ONE_AND_A_HALF)
    assert line.bits_per_character == 8.5
    assert line.character_time == pytest.approx(8.5 / 300)


def test_the_usual_notation() -> None:
    assert str(LineSettings()) == "9600-8N1"
    assert str(LineSettings(115200, flow_control=FlowControl.HARDWARE)) == "115200-8N1 hardware"
    line = LineSettings(inbound_flow=FlowControl.XON_XOFF)
    assert str(line) == "9600-8N1 inbound xon-xoff"
    assert line.inbound is FlowControl.XON_XOFF


@pytest.mark.parametrize("text", ["1200-7E2", "1200,7,E,2", "1200 7e2", "1200, 7E2"])
def test_it_is_read_back(text: str) -> None:
    assert LineSettings.parse(text) == LineSettings(1200, 7, Parity.EVEN, StopBits.TWO)
    assert LineSettings.parse("4800") == LineSettings(4800)


@pytest.mark.parametrize("text", ["", "fast", "9600-9N1", "9600-8X1", "49", "4000001-8N1"])
def test_what_is_no_line_setting(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not"):
        LineSettings.parse(text)


def test_equal_lines_are_equal_however_they_are_written() -> None:
    both = LineSettings(flow_control=FlowControl.XON_XOFF, inbound_flow=FlowControl.XON_XOFF)
    assert both == LineSettings(flow_control=FlowControl.XON_XOFF)
    assert both.inbound_flow is None


def test_a_change_leaves_the_rest_alone() -> None:
    before = LineSettings(1200, inbound_flow=FlowControl.XON_XOFF)
    assert SetLine().applied_to(before) == before
    assert SetLine(parity=Parity.ODD).applied_to(before).inbound is FlowControl.XON_XOFF
    # RFC 2217: SET-CONTROL 1 to 3 mean both directions.
    assert SetLine(flow_control=FlowControl.NONE).applied_to(before).inbound is FlowControl.NONE
    assert SetLine.everything(before).applied_to(LineSettings()) == before


def test_outputs_that_are_not_named_stay() -> None:
    before = PortState(dtr=True, rts=False)
    assert SetModem().applied_to(before) == before
    assert SetModem(rts=True).applied_to(before) == PortState(dtr=True, rts=True)
    assert SetModem(dtr=False, rts=False).applied_to(before) == PortState()


def test_what_the_log_says() -> None:
    assert str(SetLine(baudrate=1200, parity=Parity.EVEN)) == "baudrate=1200 parity=even"
    assert str(SetLine(flow_control=FlowControl.HARDWARE)) == "flow-control=hardware"
    assert str(SetModem(dtr=False)) == "dtr=off"
    assert str(SetBreak(True)) == "break=on"
    assert str(SetInputs(ModemLines(cts=True))) == "inputs=CTS"
    assert str(SendBreak()) == "a break of 0.25 s"
    assert str(Purge(received=True, unsent=True)) == "purge received unsent"
    assert str(PortState(dtr=True)) == "9600-8N1 dtr=on rts=off break=off"
    assert str(ModemLines(cts=True, ri=True)) == "CTS RI"
    assert str(ModemLines()) == "-"
