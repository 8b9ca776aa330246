from __future__ import annotations

import pytest

from portline.hub.policy import Overflow, Permissions, Selection, select
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
