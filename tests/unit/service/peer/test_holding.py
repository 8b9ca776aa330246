from __future__ import annotations

from portline.service.peer.holding import EARLY_LIMIT, HOLD_LIMIT, REFUSAL_SHOWN, Holding


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


def test_a_refusal_is_one_printable_line_of_bounded_length() -> None:
    holding = Holding(since=10.0)
    assert holding.refusal == ""
    holding.early = b"  port\x07 in\nuse \xff\r\n"
    assert holding.refusal == 'the peer does not serve us: "port? in?use \ufffd"'
    holding.early = b"a" * (2 * REFUSAL_SHOWN)
    assert holding.refusal.count("a") == REFUSAL_SHOWN
