from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portline.net.channel import RECORD
from portline.net.ledger import LOOK, MARKS_MAX, Ledger

OVERHEAD = 22
"""Bytes that a record of TLS 1.3 adds (RFC 8446 section 5.2: header, type, tag)."""


def cipher_size(plain: int) -> int:
    return plain + OVERHEAD * -(-plain // RECORD)


def whole(writes: list[int], cipher: int) -> int:
    """Return the plain text in whole records among the first ``cipher`` bytes, one by one."""
    found = at = 0
    for size in writes:
        while size:
            record = min(size, RECORD)
            at += record + OVERHEAD
            if at > cipher:
                return found
            found, size = found + record, size - record
    return found


@given(
    st.lists(st.integers(1, 5 * RECORD), max_size=20),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_what_has_arrived_is_what_is_whole_of_it(
    writes: list[int], part: float, earlier: float
) -> None:
    ledger = Ledger()
    for size in writes:
        ledger.add(size, cipher_size(size))
    total = sum(map(cipher_size, writes))
    cipher = int(total * part)
    ledger.forget(int(cipher * earlier))
    assert ledger.plain_in(cipher) == whole(writes, cipher)
    assert ledger.plain_in(total) == ledger.plain == sum(writes)


def test_words_of_the_protocol_are_no_data() -> None:
    ledger = Ledger()
    ledger.skip(500)
    assert ledger.plain_in(100) == 0
    ledger.add(10, 32)
    ledger.skip(24)
    assert [ledger.plain_in(at) for at in (500, 531, 532, 540, 556)] == [0, 0, 10, 10, 10]


def test_many_small_writes_cost_little_and_are_never_said_to_have_arrived_too_early() -> None:
    ledger = Ledger()
    for count in range(1, 5 * MARKS_MAX):
        ledger.add(1, 23)
        if ledger.full:
            ledger.forget(0)  # nothing has arrived
        assert len(ledger._marks) <= MARKS_MAX
        assert ledger.plain_in(23 * count) == count
    for count in range(0, 5 * MARKS_MAX, 100):
        assert ledger.plain_in(23 * count) <= count
    assert ledger.plain_in(23 * 4 * MARKS_MAX) > 2 * MARKS_MAX


def test_what_has_arrived_is_forgotten_soon() -> None:
    ledger = Ledger()
    for count in range(1, 10 * LOOK):
        if ledger.full:
            ledger.forget(23 * (count - 1))  # all that was written before
        ledger.add(1, 23)
        assert len(ledger._marks) <= LOOK
