from __future__ import annotations

import hmac
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.auth.seal import OVERHEAD, WINDOW, Seal, session_of

KEY = bytes(range(32))


def ends() -> tuple[Seal, Seal]:
    return Seal(KEY, initiator=True), Seal(KEY, initiator=False)


def expanded(info: bytes) -> bytes:
    """HKDF-SHA-256 of RFC 5869, without salt, for at most 32 bytes."""
    key = hmac.new(b"\0" * 32, KEY, "sha256").digest()
    return hmac.new(key, info + b"\1", "sha256").digest()


def test_the_bytes_are_those_of_the_page() -> None:
    first = Seal(KEY, initiator=True).close(b"*IDN?\n")
    session = expanded(b"portline udp 1 session")[:8]
    head = b"PLU1" + session + (1).to_bytes(8, "big") + b"*IDN?\n"
    key = expanded(b"portline udp 1 initiator")
    assert first == head + hmac.new(key, head, "sha256").digest()[:16]
    assert len(first) == 6 + OVERHEAD
    assert session_of(first) == session


@given(st.lists(st.binary(max_size=100), max_size=20))
def test_both_ends_hear_each_other(data: list[bytes]) -> None:
    one, other = ends()
    assert [other.open(one.close(each)) for each in data] == data
    assert [one.open(other.close(each)) for each in data] == data
    assert (one.forged, one.replayed, other.forged, other.replayed) == (0, 0, 0, 0)


@given(st.binary(max_size=40), st.integers(0, 10**6), st.integers(1, 255))
def test_no_byte_can_be_changed(data: bytes, place: int, bits: int) -> None:
    one, other = ends()
    datagram = bytearray(one.close(data))
    datagram[place % len(datagram)] ^= bits
    assert other.open(bytes(datagram)) is None
    assert other.forged == 1
    assert other.open(one.close(data)) == data


@given(st.binary(max_size=80))
def test_garbage_is_nothing(data: bytes) -> None:
    assert ends()[0].open(data) is None
    assert session_of(data) is None or data.startswith(b"PLU1")


def test_what_is_our_own_or_was_there_is_refused() -> None:
    one, other = ends()
    datagram = one.close(b"x")
    assert one.open(datagram) is None
    assert other.open(datagram) == b"x"
    assert other.open(datagram) is None
    assert (one.forged, other.replayed) == (1, 1)


@pytest.mark.parametrize("seed", range(5))
def test_each_is_heard_once_in_whatever_order(seed: int) -> None:
    one, other = ends()
    sent = [one.close(str(number).encode()) for number in range(WINDOW)]
    dice = random.Random(seed)
    order = sent * 2
    dice.shuffle(order)
    heard = [data for each in order if (data := other.open(each)) is not None]
    assert sorted(heard, key=int) == [str(number).encode() for number in range(WINDOW)]


def test_what_was_overtaken_by_too_many_is_refused() -> None:
    one, other = ends()
    sent = [one.close(b"") for _ in range(WINDOW + 1)]
    assert other.open(sent[-1]) == b""
    assert other.open(sent[0]) is None
    assert other.open(sent[1]) == b""
    for _ in range(5 * WINDOW):
        one.close(b"")
    assert other.open(one.close(b"far ahead")) == b"far ahead"
    assert other.open(sent[5]) is None
