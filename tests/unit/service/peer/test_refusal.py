from __future__ import annotations

import pytest

from portline.service.peer.refusal import (
    NO_PASSWORD,
    NOT_A_WORD,
    SHOWN_MAX,
    TEXT_MAX,
    full,
    in_use,
    is_refusal,
    may_become_refusal,
    offers_rfc2217,
    reason_of,
)
from portline.wire.rfc2217 import Rfc2217Wire

SINCE = "2026-11-27 09:00:00"
TEXTS = [
    in_use("meter", "192.0.2.1:5", SINCE, ""),
    in_use("Boiler 2 ü", "[2001:db8::1]:5", SINCE, ", and nobody has been idle for 60 s"),
    full("x", 8, "192.0.2.1:5", SINCE, ", and nobody has your address 192.0.2.2"),
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_refusal_is_known_when_it_is_complete_and_may_be_one_before(text: str) -> None:
    said = text.encode() + b"\r\n"
    assert is_refusal(said)
    for size in range(len(said)):
        assert may_become_refusal(said[:size])
        assert not is_refusal(said[:size])
    for wrong in (said + b"x", b"x" + said, said * 2, said.replace(b"; try", b" try")):
        assert not is_refusal(wrong)
        assert not may_become_refusal(wrong)


def test_what_does_not_end_is_no_refusal() -> None:
    assert may_become_refusal(b"portline: ".ljust(TEXT_MAX, b"x"))
    assert not may_become_refusal(b"portline: ".ljust(TEXT_MAX + 1, b"x"))


def test_an_offer_of_rfc2217_is_known() -> None:
    for wire in (Rfc2217Wire(serves=True, asks=False), Rfc2217Wire(serves=False, asks=True)):
        assert offers_rfc2217(wire.start(0.0))
    assert offers_rfc2217(b"\xff\xfb\x00\xff\xfd\x2c")
    for other in (
        b"",
        b"\xff",
        b"x\xff\xfd\x2c",
        b"\xff\xfb\x01",
        b"\xff\xfe\x2c",
        b"\xff\xff\x2c",
    ):
        assert not offers_rfc2217(other)


def test_a_refusal_is_one_printable_line_of_bounded_length() -> None:
    told = reason_of(b"  port\x07 in\nuse \xff\r\n", left=False)
    assert told == 'the peer does not serve us: "port? in?use \ufffd"'
    assert reason_of(b"~" * (2 * SHOWN_MAX), left=True).count("~") == SHOWN_MAX


def test_who_has_said_nothing_is_no_reason_until_it_has_left() -> None:
    assert reason_of(b"", left=False) == ""
    assert reason_of(b"", left=True) == NOT_A_WORD
    assert reason_of(b"portline: login 1 SCRAM-SHA-256\r\n", left=True) == NO_PASSWORD
