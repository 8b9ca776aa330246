"""Every request is answered, once."""

from __future__ import annotations

import errno
from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from portline.port.cuse.ledger import Ledger
from portline.port.cuse.wire import OUT_HEADER, failure, success

LIMIT = 4


class Requests(RuleBasedStateMachine):
    """Requests come, wait, are answered, interrupted and given up, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: Counter[int] = Counter()
        self.errors: dict[int, int] = {}
        self.asked: list[int] = []
        self.held: set[int] = set()
        self.closed = False

    @initialize()
    def make(self) -> None:
        self.ledger = Ledger(self.send, LIMIT)

    def send(self, message: bytes) -> None:
        _, error, unique = OUT_HEADER.unpack_from(message)
        self.answers[unique] += 1
        self.errors[unique] = -error
        self.held.discard(unique)

    def give_up(self, unique: int) -> object:
        def answer(error: int) -> bytes:
            assert unique in self.held, "it is asked of what waits, and once"
            return failure(unique, error)

        return answer

    @rule(how=st.sampled_from(["answer", "hold", "forget", "hold and answer", "answer and hold"]))
    def ask(self, how: str) -> None:
        unique = 2 * len(self.asked) + 2
        self.asked.append(unique)
        self.ledger.begin(unique)
        if "answer" in how and not how.startswith("hold"):
            assert self.ledger.answer(unique, success(unique))
        if "hold" in how:
            full = len(self.held) >= LIMIT
            if self.ledger.hold(unique, self.give_up(unique)):  # type: ignore[arg-type]  # see above
                assert not full
                self.held.add(unique)
            elif how != "answer and hold":
                assert full
                assert self.errors[unique] == errno.ENOMEM
        if how == "hold and answer":
            self.ledger.answer(unique, success(unique))
        settled = self.ledger.settle(unique)
        assert settled is (how != "forget")
        if how == "forget":
            assert self.errors[unique] == errno.EIO

    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        if self.asked:
            unique = data.draw(st.sampled_from(self.asked))
            waits = unique in self.held
            assert self.ledger.answer(unique, success(unique)) is waits

    @rule(data=st.data())
    def interrupt(self, data: st.DataObject) -> None:
        if self.asked:
            unique = data.draw(st.sampled_from([*self.asked, 999_999]))
            waits = unique in self.held
            self.ledger.interrupt(unique)
            if waits:
                assert self.errors[unique] == errno.EINTR

    @rule()
    def close(self) -> None:
        waited = set(self.held)
        self.ledger.close(errno.EIO)
        assert all(self.errors[unique] == errno.EIO for unique in waited)
        assert not self.held

    @invariant()
    def everything_is_answered_once_or_waits(self) -> None:
        for unique in self.asked:
            assert self.answers[unique] == (0 if unique in self.held else 1)
        assert self.ledger.held == len(self.held)


TestRequests = Requests.TestCase


def test_a_mistake_in_giving_up_still_answers() -> None:
    sent: list[bytes] = []
    ledger = Ledger(sent.append)

    def give_up(_error: int) -> bytes:
        raise RuntimeError

    ledger.begin(2)
    assert ledger.hold(2, give_up)
    with pytest.raises(RuntimeError):
        ledger.interrupt(2)
    assert sent == [failure(2, errno.EIO)]
