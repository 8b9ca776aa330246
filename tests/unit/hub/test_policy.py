from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.hub.policy import (
    Occupant,
    Overflow,
    Permissions,
    Selection,
    WhenFull,
    give_way,
    select,
)
from portline.line import (
    Item,
    ModemLines,
    Purge,
    Query,
    SendBreak,
    SetBreak,
    SetInputs,
    SetLine,
    SetModem,
)


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        (Selection.NONE, ()),
        (Selection.FIRST, ("a",)),
        (Selection.LAST, ("c",)),
        (Selection.LAST_ACTIVE, ("b",)),
        (Selection.ALL, ("a", "b", "c")),
    ],
)
def test_each_selection_of_three_peers(selection: Selection, chosen: tuple[str, ...]) -> None:
    assert select(selection, ("a", "b", "c"), ["c", "b"]) == chosen
    assert select(selection, (), []) == ()


def test_nobody_is_last_active_before_somebody_has_sent() -> None:
    assert select(Selection.LAST_ACTIVE, ("a", "b"), []) == ()


def test_the_words_are_those_of_the_configuration() -> None:
    assert [s.value for s in Selection] == ["none", "first", "last", "last-active", "all"]
    assert [o.value for o in Overflow] == ["drop-oldest", "disconnect"]


def test_what_a_controlling_peer_may_do() -> None:
    everything = Permissions()
    nothing = Permissions(settings=False, dtr=False, rts=False, send_break=False)
    for request in (SetLine(), SetModem(dtr=True, rts=True), SetBreak(True), SendBreak()):
        assert everything.allows(request)
    for request in (SetLine(), SetModem(dtr=True), SetModem(rts=True), SetBreak(True), SendBreak()):
        assert not nothing.allows(request)
    assert nothing.allows(Purge(unsent=True))
    assert nothing.allows(Query(Item.DTR))
    assert Permissions(dtr=False).allows(SetModem(rts=True))
    assert not Permissions(dtr=False).allows(SetModem(dtr=False, rts=True))
    assert not everything.allows(SetInputs(ModemLines()))


# --- who gives way to a newcomer ------------------------------------------------------------------

NOW = 1000.0
IDLE_AFTER = 60.0


def occupants(*rows: tuple[str, float, float]) -> list[Occupant]:
    """Make peers of rows of host, age and seconds without data."""
    return [Occupant(host, NOW - age, NOW - idle) for host, age, idle in rows]


def who(rule: WhenFull, inside: Sequence[Occupant], newcomer: str = "c") -> int | None:
    return give_way(rule, inside, newcomer, idle_after=IDLE_AFTER, now=NOW)


def test_who_gives_way_under_each_rule() -> None:
    inside = occupants(("a", 500, 1), ("b", 400, 300), ("c", 300, 70), ("c", 200, 2))
    assert {rule: who(rule, inside) for rule in WhenFull} == {
        WhenFull.REFUSE: None,
        WhenFull.REPLACE_OLDEST: 0,
        WhenFull.REPLACE_IDLE: 1,
        WhenFull.REPLACE_SAME_ADDRESS: 2,
    }


def test_nobody_gives_way_where_nobody_is() -> None:
    assert [who(rule, []) for rule in WhenFull] == [None] * 4


@st.composite
def crowds(draw: st.DrawFn) -> list[Occupant]:
    """Peers in the order in which they connected."""
    seconds = st.floats(0, 200)
    ages = sorted(draw(st.lists(seconds, max_size=8)), reverse=True)
    rows = ((draw(st.sampled_from("abc")), age, min(age, draw(seconds))) for age in ages)
    return occupants(*rows)


@given(rule=st.sampled_from(WhenFull), inside=crowds(), newcomer=st.sampled_from("abc"))
def test_whoever_gives_way_is_the_one_that_the_rule_means(
    rule: WhenFull, inside: list[Occupant], newcomer: str
) -> None:
    place = who(rule, inside, newcomer)
    match rule:
        case WhenFull.REFUSE:
            meant = []
        case WhenFull.REPLACE_OLDEST:
            meant = inside[:1]
        case WhenFull.REPLACE_SAME_ADDRESS:
            meant = [p for p in inside if p.host == newcomer][:1]
        case WhenFull.REPLACE_IDLE:
            idle = [p for p in inside if NOW - p.active_at >= IDLE_AFTER]
            meant = [p for p in idle if p.active_at == min(q.active_at for q in idle)][:1]
    assert ([] if place is None else [inside[place]]) == meant
