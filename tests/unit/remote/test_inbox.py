from __future__ import annotations

import pytest

from portline.remote import inbox as module
from portline.remote.inbox import RECEIVE_LIMIT, Inbox


class Noted:
    """A link that notes whether it is read."""

    def __init__(self) -> None:
        self.reads = True
        self.calls = 0

    def pause(self) -> None:
        self.reads = False
        self.calls += 1

    def resume(self) -> None:
        self.reads = True
        self.calls += 1


def make() -> tuple[Inbox, Noted]:
    link = Noted()
    return Inbox(link), link  # type: ignore[arg-type]  # it is what a link is to an inbox


def test_a_full_one_holds_the_server_back_until_there_is_room() -> None:
    inbox, link = make()
    inbox.data += bytes(RECEIVE_LIMIT - 1)
    inbox.hold_back()
    assert link.reads
    inbox.data += b"x"
    inbox.hold_back()
    assert not link.reads
    assert inbox.take(1) == b"\0"
    assert link.reads
    assert inbox.take(2 * RECEIVE_LIMIT) == bytes(RECEIVE_LIMIT - 2) + b"x"
    assert (inbox.take(1), link.calls) == (b"", 2)


def test_more_may_lie_there_while_an_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASKING_LIMIT", 2 * RECEIVE_LIMIT)
    inbox, link = make()
    inbox.data += bytes(RECEIVE_LIMIT)
    inbox.hold_back()
    inbox.begin_asking()
    inbox.begin_asking()
    assert link.reads
    inbox.data += bytes(RECEIVE_LIMIT)
    inbox.hold_back()
    assert not link.reads
    inbox.take(1)
    inbox.end_asking()  # another answer is waited for
    assert not link.reads
    inbox.take(RECEIVE_LIMIT)
    assert link.reads
    inbox.data += b"xx"
    inbox.end_asking()
    assert not link.reads
    inbox.clear()
    assert (link.reads, len(inbox.data)) == (True, 0)


def test_a_link_that_ends_is_read() -> None:
    inbox, link = make()
    inbox.end()
    inbox.data += bytes(2 * RECEIVE_LIMIT)
    inbox.hold_back()
    assert link.calls == 0
