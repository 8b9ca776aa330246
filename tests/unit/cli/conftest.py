from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from portline.config.models import GatewayConfig
from portline.config.saving import ConfigFile

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
        source: ConfigFile | None = None,
        restartable: bool = True,
    ) -> int:
        assert restartable
        if source is not None:
            assert source.load() == source.change(str, lambda config: None) == config
        assert callable(ask)
        made.append((config, verbose, announce))
        return 0

    monkeypatch.setattr(module, "run", run, raising=False)
    monkeypatch.setitem(sys.modules, "portline.service.process.run", module)
    return made
