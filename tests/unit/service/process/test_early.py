from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from portline.config.models import GatewayConfig
from portline.service.process.early import CHANGING, held, hold
from portline.service.process.run import Service
from portline.service.process.store import Store
from tests.conftest import Run
from tests.unit.service.process.test_run import Loading


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in CHANGING}
    yield
    held()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def config(tmp_path: Path) -> GatewayConfig:
    table = {"port": str(tmp_path / "ttyUSB0"), "listen": "127.0.0.1:0"}
    return GatewayConfig.model_validate({"connections": {"meter": table}})


def test_what_comes_is_kept_and_told_once() -> None:
    hold()
    assert held() == frozenset()
    for number in CHANGING:
        os.kill(os.getpid(), number)
    assert held() == frozenset(CHANGING)
    assert held() == frozenset()


def test_a_thread_leaves_the_signals_alone() -> None:
    before = signal.getsignal(signal.SIGHUP)
    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGHUP) == before


def test_an_early_hang_up_reads_the_configuration_again(run: Run, config: GatewayConfig) -> None:
    hold()
    os.kill(os.getpid(), signal.SIGHUP)

    async def scenario() -> None:
        service = Service(config, Loading(lambda: config))
        told: list[list[str]] = []

        def reloaded(lines: list[str]) -> None:
            told.append(lines)
            service.end()

        async with asyncio.timeout(10):
            await service.run(reloaded=reloaded)
        assert told == [[]]

    run(scenario())


def test_an_early_wish_to_restart_is_granted(run: Run, config: GatewayConfig) -> None:
    hold()
    os.kill(os.getpid(), signal.SIGUSR2)

    async def scenario() -> None:
        service = Service(config, Loading(lambda: config), store=Store({}), restartable=True)
        async with asyncio.timeout(10):
            await service.run()
        assert service.restarts

    run(scenario())
