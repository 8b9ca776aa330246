"""What is written into a journal is there for another process, whenever this one ends."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.line import ModemLines
from portline.port.usbip.journal import (
    RECEIVE_SIZE,
    RECEIVED_MAX,
    SENT_MAX,
    TEXT_MAX,
    Journal,
    Record,
)


@pytest.fixture
def journal() -> Iterator[Journal]:
    made = Journal.create()
    yield made
    made.close()


def seen(journal: Journal) -> Record:
    """Return what another process reads; logs without the zeros behind them."""
    other = Journal(os.dup(journal.descriptor))
    record = other.read()
    other.close()
    return Record(
        record.text,
        record.unsent,
        record.passed,
        record.lines,
        record.received.rstrip(b"\0"),
        record.sent.rstrip(b"\0"),
    )


FLAGS = st.booleans()
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("checkpoint"), st.binary(max_size=50)),
        st.tuples(st.just("receive"), st.binary(min_size=1, max_size=50)),
        st.tuples(st.just("sent"), st.binary(max_size=50)),
        st.tuples(st.just("unsent"), st.integers(0, 2**32 - 1)),
        st.tuples(st.just("passed"), st.tuples(*[st.integers(0, 2**32 - 1)] * 2)),
        st.tuples(st.just("lines"), st.builds(ModemLines, FLAGS, FLAGS, FLAGS, FLAGS)),
    )
)


@given(steps=STEPS)
def test_what_counts_is_the_last_checkpoint_and_what_came_after_it(steps: list) -> None:  # type: ignore[type-arg]
    journal = Journal.create()
    ours, kernel = socket.socketpair()
    text, unsent, passed, lines, received, sent = b"", 0, (0, 0), ModemLines(), b"", b""
    with ours, kernel:
        for what, value in steps:
            match what:
                case "checkpoint":
                    text, unsent, passed, received, sent = value, 7, (0, 0), b"", b""
                    journal.checkpoint(value, unsent=7, lines=lines)
                case "receive":
                    kernel.send(value)
                    assert journal.receive(ours) == value
                    received += value
                case "sent":
                    journal.sent(value)
                    sent += value
                case "unsent":
                    journal.unsent(value)
                    unsent = value
                case "passed":
                    journal.passed(*value)
                    passed = value
                case "lines":
                    journal.lines(value)
                    lines = value
            logs = received.rstrip(b"\0"), sent.rstrip(b"\0")
            assert seen(journal) == Record(text, unsent, passed, lines, *logs)
    journal.close()


def test_another_checkpoint_is_due_before_there_is_no_room(journal: Journal) -> None:
    ours, kernel = socket.socketpair()
    with ours, kernel:
        for _ in range(3):  # every half more than once
            total = 0
            while not journal.due:
                kernel.send(b"x" * 16384)
                total += len(journal.receive(ours))
            assert RECEIVED_MAX - RECEIVE_SIZE < total <= RECEIVED_MAX
            journal.checkpoint(b"again", unsent=0, lines=ModemLines())
            assert seen(journal).received == b""
    while not journal.due:
        journal.sent(b"y" * 16384)
    assert len(seen(journal).sent) < SENT_MAX


def test_more_than_fits_is_no_journal_any_more(journal: Journal) -> None:
    journal.sent(b"x" * SENT_MAX)
    journal.sent(b"y")
    with pytest.raises(ValueError, match="is not whole"):
        journal.read()
    with pytest.raises(ValueError, match=f"more than {TEXT_MAX} bytes"):
        journal.checkpoint(bytes(TEXT_MAX + 1), unsent=0, lines=ModemLines())
    journal.checkpoint(b"z" * TEXT_MAX, unsent=0, lines=ModemLines())
    assert seen(journal).text == b"z" * TEXT_MAX


def test_nothing_is_noted_of_a_port_that_is_closed(journal: Journal) -> None:
    journal.close()
    journal.passed(1, 1)
    journal.close()
