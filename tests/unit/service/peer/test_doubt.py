from __future__ import annotations

import pytest

from portline.service.peer.doubt import DOUBT, Doubt
from portline.service.peer.refusal import in_use

GREETING = b"portline: login 1 SCRAM-SHA-256\r\n"
FULL = in_use("meter", "192.0.2.1:5", "2026-11-27 09:00:00", "").encode() + b"\r\n"


def test_a_refusal_in_pieces_is_never_data() -> None:
    doubt = Doubt(since=10.0)
    assert not doubt.is_data  # nothing was said
    for byte in FULL:
        assert not doubt.hear(bytes((byte,)))
    assert doubt.early == FULL
    assert not doubt.is_data
    assert not doubt.asks_login


def test_the_beginning_of_one_is_data_when_nothing_follows() -> None:
    doubt = Doubt(since=10.0)
    assert not doubt.hear(FULL[:9])
    assert doubt.is_data


@pytest.mark.parametrize("rest", [b"x", FULL])
def test_what_goes_on_is_data(rest: bytes) -> None:
    doubt = Doubt(since=10.0)
    assert not doubt.hear(FULL)
    assert doubt.hear(rest)
    assert doubt.early == FULL + rest


def test_a_login_is_asked_for_and_no_data() -> None:
    doubt = Doubt(since=10.0)
    assert not doubt.hear(GREETING)
    assert doubt.asks_login
    assert not doubt.is_data


def test_it_has_an_end() -> None:
    doubt = Doubt(since=10.0)
    assert not doubt.overdue(10.0 + DOUBT / 2)
    assert doubt.overdue(10.0 + DOUBT)
