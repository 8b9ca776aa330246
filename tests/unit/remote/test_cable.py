from __future__ import annotations

from portline.line import (
    FlowControl,
    Item,
    LineChange,
    LineFault,
    LineSettings,
    ModemChange,
    ModemLines,
    Purge,
    Query,
    SetBreak,
    SetLine,
    SetModem,
)
from portline.remote.cable import Cable
from portline.wire.rfc2217 import Rfc2217Wire
from portline.wire.rfc2217_client import ANSWER_TIMEOUT
from portline.wire.rfc2217_codes import ANSWER, command


def cable() -> Cable:
    """A cable to a server that has agreed."""
    made = Cable(Rfc2217Wire(serves=False, asks=True))
    made.feed(b"\xff\xfd\x2c", 0.0)
    return made


def says(code: int, *payload: int) -> bytes:
    return command(code + ANSWER, bytes(payload))


def test_answers_are_gathered_until_all_have_come() -> None:
    made = cable()
    said, asked = made.ask(SetLine(baudrate=300, data_bits=7), 0.0)
    assert said == command(1, b"\0\0\x01\x2c") + command(2, b"\7")
    assert made.feed(says(1, 0, 0, 1, 44), 0.0) == []
    assert not asked.done
    assert made.feed(says(2, 8), 0.0) == []
    assert asked.done
    assert list(asked.differences()) == [(Item.DATA_BITS, 7, 8)]
    assert made.state.settings == LineSettings(300, 8)


def test_what_is_not_answered_is_given_up() -> None:
    made = cable()
    _, asked = made.ask(SetModem(dtr=True), 1.0)
    made.tick(0.9 + ANSWER_TIMEOUT)
    assert not asked.done
    made.tick(1.0 + ANSWER_TIMEOUT)
    assert asked.done
    assert list(asked.differences()) == [(Item.DTR, True, None)]


def test_what_nobody_can_answer_is_done_at_once() -> None:
    said, asked = cable().ask(SetLine(), 0.0)
    assert (said, asked.done, list(asked.differences())) == (b"", True, [])


def test_what_is_told_is_in_force() -> None:
    made = cable()
    for request in (SetModem(dtr=True, rts=True), SetBreak(True), Purge(received=True)):
        made.ask(request, 0.0)
    made.feed(says(5, 8) + says(5, 11) + says(5, 5) + says(12, 1), 0.0)
    assert (made.state.dtr, made.state.rts, made.state.break_on) == (True, True, True)


def test_what_changes_by_itself_is_news() -> None:
    made = cable()
    change = ModemChange(ModemLines(dsr=True))
    assert made.feed(says(7, 0x22), 0.0) == [change]
    assert made.feed(says(7, 0x20), 0.0) == []
    assert made.feed(b"data" + says(6, 0x62), 0.0) == [b"data", LineFault(overrun=True)]
    hardware = LineChange(LineSettings(flow_control=FlowControl.HARDWARE))
    assert made.feed(says(5, 3), 0.0) == [hardware]
    assert made.feed(says(5, 3) + says(10, 0), 0.0) == []


def test_an_answer_to_a_query_is_no_news() -> None:
    made = cable()
    made.ask(Query(Item.BAUDRATE), 0.0)
    assert made.feed(says(1, 0, 0, 1, 44), 0.0) == []
    assert made.state.settings.baudrate == 300


def test_a_server_may_suspend_and_resume() -> None:
    made = cable()
    made.feed(says(8), 0.0)
    assert made.suspended
    made.feed(says(9) + b"\xff\xf3", 0.0)  # and a BRK, which an access server has no reason to say
    assert not made.suspended
