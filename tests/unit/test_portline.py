"""The public names: each is there, says what it is for, and costs nothing before it is used."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import portline

NAMES = [name for name in portline.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", NAMES)
def test_each_public_name_is_there_and_says_its_contract(name: str) -> None:
    assert inspect.getdoc(getattr(portline, name))


def test_every_error_is_found_under_the_one_that_all_are() -> None:
    errors = [getattr(portline, name) for name in NAMES if name.endswith(("Error", "Refused"))]
    assert len(errors) == 7
    assert all(issubclass(error, portline.PortlineError) for error in errors)


def test_what_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        portline.nothing  # noqa: B018


def test_an_import_loads_nothing_that_it_may_not_need() -> None:
    program = "import sys, portline; print(*sorted(m for m in sys.modules if 'portline' in m))"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = [name for name in ended.stdout.split() if not name.startswith("_")]
    assert loaded == ["portline"]
