"""Which ports are tested on which loops, and when."""

from __future__ import annotations

import pytest

LATER = ("ftdi-uvloop", "cdc-acm-uvloop", "cuse-strict-uvloop")
"""Ports that share their way to the loop with another one: their second loop is a slow test."""

FEW = 50
"""Openings of the quick test; where a bench makes no more than that, the slow one is the same."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what says nothing new where an emulated kernel makes the suite last for minutes.

    What differs between loops does not differ between kernels, and the models of the drivers run on
    both: uvloop is left out there.  So are openings beyond those that count as often there.
    """
    left_out = []
    for item in items:
        call = getattr(item, "callspec", None)
        if call is None:
            continue
        if item.get_closest_marker("lab"):
            again = call.params.get("times", 0) > FEW >= call.params["check"].often
            if call.params.get("run") == "uvloop" or again:
                left_out.append(item)
        elif call.id.startswith(LATER):
            item.add_marker(pytest.mark.slow)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
