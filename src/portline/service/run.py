"""Runs a gateway in the foreground until a signal ends it."""

from __future__ import annotations

import asyncio
import signal
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portline.errors import UsageError
from portline.service.gateway import Gateway
from portline.service.log import start_logging
from portline.service.status import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from portline.config.models import GatewayConfig

__all__ = ["ENDING", "Service", "announcement", "new_event_loop", "run", "serve"]

ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that end the service cleanly: a service manager's, Ctrl-C, a terminal that closes."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a uvloop where it is installed, else asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def announcement(gateway: Gateway) -> list[str]:
    """Return one line for each connection: what is shared, and where."""
    lines = []
    for status in gateway.status():
        port = status.port
        what = f"{port.name} ({port.path})" if port.path not in (None, port.name) else port.name
        where = ", ".join(status.listeners)
        settings = f" {port.settings}" if port.in_use is None else ""
        trouble = f" - {status.state.value}, trying again" if status.reason else ""
        if status.state is State.WAITING:
            trouble = " - waiting for an application to open it"
        lines.append(f"{status.name}: {what}{settings} on {where}{trouble}")
    return lines


@dataclass(frozen=True, slots=True)
class Service:
    """A gateway that runs."""

    gateway: Gateway

    async def reload(self) -> list[str]:
        """Raise UsageError: there is no file."""
        raise UsageError("this Portline has no configuration file that could be read again")


async def serve(
    config: GatewayConfig,
    *,
    started: Callable[[Gateway], None] = lambda gateway: None,
    companion: Callable[[Service], AbstractContextManager[object]] = nullcontext,
) -> None:
    """Run a gateway until an ENDING signal comes or the task is cancelled, then stop it cleanly.

    ``started`` is called once, when every connection has made its first attempt; ``companion``
    makes what is there from before its start until it has stopped.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in ENDING:
        loop.add_signal_handler(number, ended.set)
    gateway = Gateway(config)
    with companion(Service(gateway)):
        gateway.start()
        try:
            started(gateway)
            await ended.wait()
        finally:
            await gateway.stop()
            for number in ENDING:
                loop.remove_signal_handler(number)


def run(
    config: GatewayConfig,
    *,
    verbose: int = 0,
    announce: bool = True,
    companion: Callable[[Service], AbstractContextManager[object]] = nullcontext,
) -> int:
    """Run a gateway in the foreground; returns the exit code of the process.  See :func:`serve`."""
    start_logging(verbose)

    def started(gateway: Gateway) -> None:
        if announce:
            print(*announcement(gateway), sep="\n", flush=True)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(config, started=started, companion=companion))
    return 0
