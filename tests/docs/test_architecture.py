"""What the pages for developers say of the house has to be so."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ROOT

SOURCE = ROOT / "src" / "portline"

ARCHITECTURE = "docs/explanation/architecture.md"


def named(page: str) -> set[str]:
    """Return the files and folders of the package that a page names, as it writes them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"`(?:src/portline/)?((?:[a-z]+/)+|(?:[a-z]+/)*[a-z0-9_]+\.py)`", text)
    return {path for path in found if path.partition("/")[0] not in {"tests", "docs", "src"}}


@pytest.mark.parametrize("page", [ARCHITECTURE, "CONTRIBUTING.md"])
def test_every_file_that_is_named_is_there(page: str) -> None:
    names = named(page)
    assert len(names) > 5
    assert [name for name in sorted(names) if not list(SOURCE.rglob(name))] == []


def test_every_file_of_the_composition_is_explained() -> None:
    names = {name.rpartition("/")[2] for name in named(ARCHITECTURE)}
    files = {path.name for path in (SOURCE / "service").rglob("[a-z]*.py")}
    assert sorted(files - names) == []


def test_every_room_is_named() -> None:
    text = (ROOT / ARCHITECTURE).read_text(encoding="utf-8")
    rooms = {path.parent.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("[a-z]*.py")}
    assert len(rooms) > 20
    assert [room for room in sorted(rooms - {"."}) if f"`{room}/" not in text] == []
