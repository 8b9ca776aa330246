from __future__ import annotations

from portline.service.peer.holding import EARLY_LIMIT, HOLD_LIMIT, Holding


def test_to_agree_is_not_enough_and_to_refuse_is() -> None:
    holding = Holding(since=10.0)
    assert not holding.settled(serves=False, refuses=False)
    assert not holding.settled(serves=True, refuses=False)
    assert holding.settled(serves=False, refuses=True)
    holding.told = True
    assert not holding.settled(serves=False, refuses=False)
    assert holding.settled(serves=True, refuses=False)


def test_who_says_more_than_a_refusal_is_known_not_to_serve() -> None:
    holding = Holding(since=10.0)
    holding.early = b"x" * EARLY_LIMIT
    assert not holding.settled(serves=False, refuses=False)
    holding.early += b"x"
    assert holding.settled(serves=False, refuses=False)


def test_waiting_has_an_end() -> None:
    holding = Holding(since=10.0)
    assert not holding.overdue(10.0 + HOLD_LIMIT / 2)
    assert holding.overdue(10.0 + HOLD_LIMIT)


def test_a_login_is_asked_for() -> None:
    holding = Holding(since=10.0)
    holding.early = b"portline: login 1 SCRAM-SHA-256"
    assert not holding.asks_login
    holding.early += b"\r\n"
    assert holding.asks_login
