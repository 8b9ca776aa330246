"""What every test may use."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.waiting import IN_LAB

if not IN_LAB:  # no test of the lab draws examples, and there this import takes ten seconds
    from hypothesis import HealthCheck, settings

    # How long an example takes says something about the machine, not about the code.
    settings.register_profile(
        "portline", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
    )
    settings.load_profile("portline")


def pytest_configure() -> None:
    """Take signals as a program of a terminal does, also where `nohup` or a job of a script begins
    the tests with some of them ignored: what the tests start inherits that."""
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _of_the_code(record: logging.LogRecord) -> bool:
    return record.funcName != "_run_once"


# Developer mode lets asyncio warn of each callback that took 0.1 s. That says something about the
# machine, too, and may come in the middle of any log that a test looks at.
logging.getLogger("asyncio").addFilter(_of_the_code)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests for the lab's kernel elsewhere; skip them where they are asked for.

    In the lab, leave out those that take minutes unless PORTLINE_LAB_LONG asks for them.  In CI,
    leave out those that slow ones cover.
    """
    if IN_LAB:
        if "PORTLINE_LAB_LONG" not in os.environ:
            long = {item for item in items if item.get_closest_marker("long")}
            config.hook.pytest_deselected(items=list(long))
            items[:] = [item for item in items if item not in long]
        return
    if "PORTLINE_TESTS_REQUIRE" in os.environ:
        covered = [item for item in items if item.get_closest_marker("covered")]
        config.hook.pytest_deselected(items=covered)
        items[:] = [item for item in items if item not in set(covered)]
    of_lab = [item for item in items if item.get_closest_marker("lab")]
    if "lab" in (config.option.markexpr or ""):
        for item in of_lab:
            item.add_marker(pytest.mark.skip(reason="needs the kernel of the lab: `make lab`"))
    elif of_lab:
        config.hook.pytest_deselected(items=of_lab)
        items[:] = [item for item in items if item not in set(of_lab)]


def pytest_collection_finish() -> None:
    """Set aside what collecting has made: each look for garbage would go through all of it.

    What tests leave behind came later, and is found as before.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the Portlines of these tests a folder of their own for keys and known servers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STATE_DIRECTORY", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True, scope="session")
def control_sockets() -> Iterator[str]:
    """Give the Portlines of these tests a folder of their own for their control sockets.

    Its name is short, because the path of a socket has at most 107 bytes.
    """
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory(prefix="ctl-") as folder:
        patch.setenv("RUNTIME_DIRECTORY", folder)
        yield folder


Run = Callable[[Coroutine[Any, Any, None]], None]

BOUND = 300 if IN_LAB else 60
"""Seconds for one scenario, less than pytest gives a test: so the loop is closed in any case."""


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a scenario in a fresh event loop; each test runs on both kinds."""
    if request.param == "uvloop":
        import uvloop

        factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    else:
        factory = asyncio.new_event_loop

    def run_it(scenario: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(asyncio.wait_for(scenario, BOUND))

    return run_it
