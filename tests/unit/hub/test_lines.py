from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.hub.lines import InputRules, Level, LineRule, RemoteLines, Situation, crossed
from portline.line import ModemLines, SetModem

HIGH, LOW, LEAVE, FOLLOW = Level.HIGH, Level.LOW, Level.LEAVE, Level.FOLLOW

LINES = tuple(field.name for field in fields(InputRules))

rules = st.builds(
    InputRules,
    *[st.builds(LineRule, st.sampled_from(Level), st.sampled_from(Level), st.booleans())] * 4,
)
outputs = st.builds(crossed, dtr=st.booleans(), rts=st.booleans())
lines = st.builds(ModemLines, *[st.booleans()] * 4)
remote = st.builds(RemoteLines, *[st.none() | st.booleans()] * 4)
situations = st.builds(Situation, st.booleans(), outputs, remote)


def test_a_level_says_how_the_line_is_driven() -> None:
    assert [level.driven for level in Level] == [True, False, None, None]


def test_a_null_modem_cable() -> None:
    assert crossed(dtr=True, rts=False) == ModemLines(dsr=True, dcd=True)
    assert crossed(dtr=False, rts=True) == ModemLines(cts=True)


@pytest.mark.parametrize(
    ("level", "told", "own", "before", "state"),
    [
        (HIGH, False, False, False, True),
        (LOW, True, True, True, False),
        (LEAVE, None, True, False, False),
        (LEAVE, None, False, True, True),
        (LEAVE, True, False, False, True),
        (LEAVE, False, True, True, False),
        (FOLLOW, None, True, False, True),
        (FOLLOW, None, False, True, False),
        (FOLLOW, False, True, True, False),
        (FOLLOW, True, False, False, True),
    ],
)
def test_the_table(level: Level, told: bool | None, own: bool, before: bool, state: bool) -> None:
    rule = LineRule(connected=level, disconnected=LOW)
    assert rule.decided(connected=True, told=told, own=own, before=before) is state
    deaf = replace(rule, taken_over=False)
    expected = rule.decided(connected=True, told=None, own=own, before=before)
    assert deaf.decided(connected=True, told=told, own=own, before=before) is expected


def test_by_default_a_line_is_looped_back_until_the_remote_side_tells_it() -> None:
    alone = Situation(outputs=crossed(dtr=True, rts=True))
    told = replace(alone, connected=True, remote=RemoteLines().driven(SetModem(rts=False)))
    up = ModemLines(cts=True, dsr=True, dcd=True)
    assert InputRules().decided(alone, ModemLines()) == up
    assert InputRules().decided(told, up) == ModemLines(dsr=True, dcd=True)


def test_what_each_kind_of_peer_tells() -> None:
    told = RemoteLines.of_access_server(ModemLines(cts=True, ri=True))
    assert told == RemoteLines(cts=True, dsr=False, dcd=False, ri=True)
    assert told.driven(SetModem(dtr=True)) == RemoteLines(cts=True, dsr=True, dcd=True, ri=True)
    assert RemoteLines().driven(SetModem(rts=True)) == RemoteLines(cts=True)
    assert RemoteLines().driven(SetModem()) == RemoteLines()


@given(rules, situations, lines)
def test_held_lines_are_held_whatever_anybody_says(
    rules: InputRules, situation: Situation, before: ModemLines
) -> None:
    decided = rules.decided(situation, before)
    for name in LINES:
        rule: LineRule = getattr(rules, name)
        level = rule.connected if situation.connected else rule.disconnected
        if level.driven is not None:
            assert getattr(decided, name) is level.driven


@given(rules, situations, lines, remote)
def test_what_is_not_allowed_to_be_told_changes_nothing(
    rules: InputRules, situation: Situation, before: ModemLines, other: RemoteLines
) -> None:
    deaf = InputRules(*(replace(getattr(rules, name), taken_over=False) for name in LINES))
    assert deaf.decided(situation, before) == deaf.decided(replace(situation, remote=other), before)


@given(rules, situations, lines, remote)
def test_nobody_tells_anything_while_nobody_is_connected(
    rules: InputRules, situation: Situation, before: ModemLines, other: RemoteLines
) -> None:
    vacant = replace(situation, connected=False)
    assert rules.decided(vacant, before) == rules.decided(replace(vacant, remote=other), before)


@given(rules, situations, lines)
def test_one_decision_is_final(rules: InputRules, situation: Situation, before: ModemLines) -> None:
    decided = rules.decided(situation, before)
    assert rules.decided(situation, decided) == decided


@given(rules, outputs, remote, lines)
def test_a_transition_moves_no_line_that_both_moments_leave_or_hold_alike(
    rules: InputRules, own: ModemLines, told: RemoteLines, before: ModemLines
) -> None:
    """The last peer goes, the next one comes: what it told and that it was there end together."""
    occupied, vacant = Situation(True, own, told), Situation(False, own)
    first = rules.decided(occupied, before)
    second = rules.decided(vacant, first)
    third = rules.decided(replace(vacant, connected=True), second)
    for name in LINES:
        rule: LineRule = getattr(rules, name)
        if rule.connected is rule.disconnected and rule.connected is not FOLLOW:
            states = {getattr(each, name) for each in (first, second, third)}
            assert len(states) == 1


@given(rules, situations, lines)
def test_the_lines_are_independent(
    rules: InputRules, situation: Situation, before: ModemLines
) -> None:
    decided = rules.decided(situation, before)
    for name in LINES:
        others = InputRules(**{name: getattr(rules, name)})
        assert getattr(others.decided(situation, before), name) is getattr(decided, name)
