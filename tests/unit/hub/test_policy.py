from __future__ import annotations

import pytest

from portline.hub.policy import Overflow, Selection, select


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
