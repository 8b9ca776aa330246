"""Which ports are tested on which loops."""

from __future__ import annotations

import pytest

from tests.usb_lab import KernelBench


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out uvloop where a kernel that is emulated makes the suite last for minutes.

    What differs between loops does not differ between kernels; the model of the drivers runs on
    both.
    """
    left_out = []
    for item in items:
        given = item.callspec.params if hasattr(item, "callspec") else {}
        bench, loop = given.get("check"), given.get("run")
        if isinstance(bench, type) and issubclass(bench, KernelBench) and loop == "uvloop":
            left_out.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
