"""The benchmark's arithmetic: medians, ratios, verdicts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.bridges import BRIDGES, PAIRS, Task
from bench.goals import GOALS, LAB, MEASURES, Goal, Measure
from bench.guest import measure_in_lab
from bench.process import BridgeError
from bench.report import Verdict, judge, render, summary
from bench.rungs import RUNGS, Findings
from bench.works import WORKS

SPEED = Measure("speed", "raw", "MB/s", 1)
FAST = Goal("speed", 0.9, at_least=True, against="C relay")
CHEAP = Goal("cpu", 0.8, at_least=False, against="ser2net tuned")


def test_a_ratio_is_that_of_the_medians() -> None:
    table = {"speed": {"portline": [90.0, 10.0, 95.0], "C relay": [100.0, 120.0, 80.0]}}
    judgement = judge(FAST, table)
    assert judgement.reached == pytest.approx(0.9)
    assert judgement.verdict is Verdict.MET


@pytest.mark.parametrize(("ours", "verdict"), [(7.9, Verdict.MET), (8.1, Verdict.MISSED)])
def test_a_cost_is_to_be_below_its_bound(ours: float, verdict: Verdict) -> None:
    table = {"cpu": {"portline": [ours], "ser2net tuned": [10.0]}}
    assert judge(CHEAP, table).verdict is verdict


def test_a_goal_may_compare_portline_with_itself() -> None:
    goal = Goal("p99", 3.0, at_least=False, own="p50")
    table = {"p99": {"portline": [140.0]}, "p50": {"portline": [70.0], "C relay": [1.0]}}
    assert judge(goal, table).reached == pytest.approx(2.0)


def test_a_goal_may_be_a_plain_limit() -> None:
    goal = Goal("memory", 45, at_least=False)
    assert judge(goal, {"memory": {"portline": [45.0]}}).verdict is Verdict.MET
    assert judge(goal, {"memory": {"portline": [45.1]}}).verdict is Verdict.MISSED


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"speed": {"C relay": [100.0]}},
        {"speed": {"portline": [100.0]}},
        {"speed": {"portline": [100.0], "C relay": []}},
        {"speed": {"portline": [100.0], "C relay": [0.0]}},
    ],
)
def test_without_both_figures_a_goal_stays_open(table: dict[str, dict[str, list[float]]]) -> None:
    assert judge(FAST, table).verdict is Verdict.OPEN


def test_our_own_zero_is_a_figure() -> None:
    assert judge(FAST, {"speed": {"portline": [0.0], "C relay": [1.0]}}).verdict is Verdict.MISSED


def test_a_block_shows_medians_ratios_and_goals() -> None:
    table = {"speed": {"portline": [90.0, 99.0, 80.0], "C relay": [120.0]}}
    assert render(SPEED, table, [FAST, CHEAP]).splitlines() == [
        "raw [MB/s]",
        "  portline               90.0   80.0 .. 99.0",
        "  C relay               120.0   120.0 .. 120.0         portline / this 0.75",
        "    portline / C relay 0.75, goal ≥ 0.9: MISSED",
    ]


def test_what_was_not_measured_has_no_block() -> None:
    assert render(SPEED, {"speed": {"portline": []}}, [FAST]) == ""


def test_the_summary_names_what_is_not_met() -> None:
    table = {"cpu": {"portline": [4.0], "ser2net tuned": [10.0]}}
    assert summary(table, [FAST, CHEAP, Goal("cpu", 1, at_least=False)]).splitlines() == [
        "3 goals: 1 met, 1 missed, 1 not measured",
        "  cpu: portline 4, goal ≤ 1: MISSED",
        "  not measured: speed",
    ]


def test_every_goal_speaks_of_a_measure() -> None:
    keys = [measure.key for measure in MEASURES]
    assert len(keys) == len(set(keys))
    for goal in GOALS:
        assert goal.measure in keys
        assert not goal.own or goal.own in keys


def test_every_work_has_a_name_of_its_own() -> None:
    names = [work.name for work in WORKS]
    assert len(names) == len(set(names))


OTHERS = ("python imports", "socat OPENSSL")
"""What goals compare with and is no bridge, or not one yet."""


def test_every_goal_compares_with_something_that_is_measured() -> None:
    names = [bridge.name for bridge in BRIDGES]
    assert len(names) == len(set(names))
    for goal in GOALS:
        assert goal.against in ("", *names, *OTHERS)


def test_a_pair_has_a_client_and_nothing_else_has() -> None:
    for bridge in BRIDGES:
        assert bool(bridge.kinds & PAIRS) is (bridge.client is not None)


@pytest.mark.parametrize("telnet", [False, True])
def test_a_client_connects_its_virtual_port_to_the_server(telnet: bool, tmp_path: Path) -> None:
    task = Task((("/dev/tty-none", 12345),), tmp_path, telnet)
    for bridge in BRIDGES:
        if bridge.client is not None:
            words = " ".join(bridge.client(task))
            assert str(task.virtual) in words
            assert "12345" in words
            assert "/dev/tty-none" not in words


def test_the_goal_of_the_pair_is_the_round_trip_next_to_two_socats() -> None:
    bounds = {
        goal.measure: goal.bound
        for goal in GOALS
        if goal.against == "two socats" and not goal.at_least
    }
    assert bounds == {
        f"pair-trip-{size}-p{part}": 1.0 for size in (1, 64, 256) for part in (50, 99)
    }


def test_the_ways_to_have_a_virtual_port_are_compared_with_the_first() -> None:
    cost = Measure("cost", "virtual port", "µs", base="pty")
    table = {"cost": {"pty": [50.0, 60.0, 40.0], "CUSE": [75.0]}}
    assert render(cost, table, []).splitlines()[2:] == [
        "  CUSE                     75   75 .. 75               this / pty 1.50",
    ]


def test_each_way_is_measured_here_and_in_the_lab_next_to_the_pty() -> None:
    keys = {measure.key for measure in MEASURES if measure.base}
    assert {key.removeprefix(LAB) for key in keys if key.startswith(LAB)} == {
        key for key in keys if not key.startswith(LAB)
    }
    assert {measure.base for measure in MEASURES if measure.base} == {RUNGS[0].name}
    assert [rung.backend for rung in RUNGS] == ["pty", "pty", "usbip", "cuse"]


def test_what_was_found_is_the_same_after_its_way_as_json() -> None:
    findings = Findings("Linux 1.2", missing={"CUSE": "no module"}, faults=["it broke"])
    findings.note("rung-da", "pty", 1.5)
    findings.note("rung-da", "pty", 2.5)
    again = Findings(**json.loads(json.dumps(findings.document())))
    assert again == findings
    assert again.values == {"rung-da": {"pty": [1.5, 2.5]}}


def test_what_the_lab_lacks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BridgeError, match=r"^lab: .*(is missing; install|runs on Linux on)"):
        measure_in_lab(["portline"], 1, 0.1, 0.1)
