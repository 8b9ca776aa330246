"""A few rounds of :mod:`tests.lab.killing`: nothing hangs, nothing is left, all comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab.killing import FarEnds, far_ends, kills

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.lab

ROUNDS = 5
SEED = 1


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarEnds]:
    with far_ends(tmp_path_factory.mktemp("far")) as found:
        yield found


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "backends",
    [
        ("usbip", "cuse", "usbip"),
        pytest.param(("cuse", "usbip", "cuse"), marks=pytest.mark.long),
    ],
)
def test_killed_and_stopped_at_any_moment(
    ends: FarEnds, backends: tuple[str, ...], tmp_path: Path
) -> None:
    print(*backends, kills(ends, backends, tmp_path, ROUNDS, SEED))
