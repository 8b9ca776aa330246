"""Which ports are tested on which loops, and when."""

from __future__ import annotations

import pytest

LATER = ("ftdi-uvloop", "cdc-acm-uvloop", "cuse-strict-uvloop")
"""Ports that share their way to the loop with another one: their second loop is a slow test."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out uvloop where a kernel that is emulated makes the suite last for minutes.

    What differs between loops does not differ between kernels; the models of the drivers run on
    both.
    """
    left_out = []
    for item in items:
        case = item.callspec.id if hasattr(item, "callspec") else ""
        if item.get_closest_marker("lab") and "-uvloop" in case:
            left_out.append(item)
        elif case.startswith(LATER):
            item.add_marker(pytest.mark.slow)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
