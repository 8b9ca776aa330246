"""From the figures of all rounds to medians, ratios and verdicts, and their text.

Pure: values in, text out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from bench.goals import Goal, Measure

__all__ = ["Judgement", "Table", "Verdict", "judge", "render", "summary"]

OURS: Final = "portline"

Table: TypeAlias = Mapping[str, Mapping[str, Sequence[float]]]
"""Measure, then bridge, then the values of its rounds in order; what was not measured is absent."""


class Verdict(Enum):
    """How a goal came out."""

    MET = "met"
    MISSED = "MISSED"
    OPEN = "not measured"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A goal with what was reached: a ratio, or a median where the goal is a limit."""

    goal: Goal
    verdict: Verdict
    reached: float | None

    def __str__(self) -> str:
        goal = self.goal
        other = goal.against or goal.own
        reached = "-" if self.reached is None else f"{self.reached:.4g}"
        sign = "≥" if goal.at_least else "≤"
        subject = f"{OURS} / {other}" if other else OURS
        return f"{subject} {reached}, goal {sign} {goal.bound:g}: {self.verdict.value}"


def _median(table: Table, measure: str, bridge: str) -> float | None:
    values = table.get(measure, {}).get(bridge, ())
    return median(values) if values else None


def judge(goal: Goal, table: Table) -> Judgement:
    """Compare medians; the bound itself is good enough.

    A zero or absent figure of the other side leaves the goal open, so does an absent one of ours.
    """
    ours = _median(table, goal.measure, OURS)
    if ours is None:
        return Judgement(goal, Verdict.OPEN, None)
    reached = ours
    if goal.against or goal.own:
        other = _median(table, goal.own or goal.measure, goal.against or OURS)
        if not other:
            return Judgement(goal, Verdict.OPEN, None)
        reached = ours / other
    met = reached >= goal.bound if goal.at_least else reached <= goal.bound
    return Judgement(goal, Verdict.MET if met else Verdict.MISSED, reached)


def _row(measure: Measure, bridge: str, values: Sequence[float], base: float | None) -> str:
    middle = median(values)
    digits = measure.digits
    spread = f"{min(values):.{digits}f} .. {max(values):.{digits}f}"
    row = f"  {bridge:<16} {middle:>10.{digits}f}   {spread:<22}"
    if base and middle and bridge != (measure.base or OURS):
        row += (
            f" this / {measure.base} {middle / base:.2f}"
            if measure.base
            else f" {OURS} / this {base / middle:.2f}"
        )
    return row.rstrip()


def render(measure: Measure, table: Table, goals: Sequence[Goal]) -> str:
    """The block of one measure: every bridge's median and spread, the ratio, and the goals.

    An empty string when nothing was measured.
    """
    bridges = table.get(measure.key, {})
    if not any(bridges.values()):
        return ""
    base = _median(table, measure.key, measure.base or OURS)
    lines = [f"{measure.title} [{measure.unit}]"]
    lines += [_row(measure, name, values, base) for name, values in bridges.items() if values]
    lines += [f"    {judge(goal, table)}" for goal in goals if goal.measure == measure.key]
    return "\n".join(lines)


def summary(table: Table, goals: Sequence[Goal]) -> str:
    """How many goals were met, and which were not."""
    judgements = [judge(goal, table) for goal in goals]
    counts = dict.fromkeys(Verdict, 0)
    for judgement in judgements:
        counts[judgement.verdict] += 1
    lines = [
        f"{len(goals)} goals: {counts[Verdict.MET]} met, {counts[Verdict.MISSED]} missed, "
        f"{counts[Verdict.OPEN]} not measured"
    ]
    lines += [
        f"  {judgement.goal.measure}: {judgement}"
        for judgement in judgements
        if judgement.verdict is Verdict.MISSED
    ]
    left = dict.fromkeys(j.goal.measure for j in judgements if j.verdict is Verdict.OPEN)
    if left:
        lines.append(f"  {Verdict.OPEN.value}: {', '.join(left)}")
    return "\n".join(lines)
