from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from portline.config.models import GatewayConfig

Runs = list[tuple["GatewayConfig", int, bool]]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """What the commands would have run, in place of a gateway."""
    made: Runs = []
    module = ModuleType("portline.service.process.run")

    def run(
        config: GatewayConfig,
        *,
        verbose: int,
        announce: bool,
        companion: object,
        ask: Callable[[], str],
        load: Callable[[], GatewayConfig] | None = None,
        change: Callable[..., GatewayConfig] | None = None,
        restartable: bool = True,
    ) -> int:
        assert restartable
        assert load is None or load() == config
        assert change is None or change(str) == config
        assert callable(ask)
        made.append((config, verbose, announce))
        return 0

    monkeypatch.setattr(module, "run", run, raising=False)
    monkeypatch.setitem(sys.modules, "portline.service.process.run", module)
    return made
