from __future__ import annotations

import pytest

from portline.service.refusal import TEXT_MAX, full, in_use, is_refusal, may_become_refusal

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
