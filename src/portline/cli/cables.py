"""The remote ports of one program: client connections that last as long as it does.

Theory of operation
-------------------
They run in a child process, in a group of its own: Ctrl-C at the terminal is for the program.  Two
pipes join it with whoever started it::

    life     nothing is written until the program has ended; end of file when nobody who answers
             calls of the program or of what it has left behind is there any more
    report   a line of JSON when the ports are there, or why not; "stays" when processes that the
             program has left behind go on; end of file when all is over

So the ports are gone after the last process that may use them, however that ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from portline.cli.flags import described
from portline.config.models import GatewayConfig
from portline.errors import ConfigError, PortlineError
from portline.remote.place import PROTOCOLS, SECURE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from portline.service.gateway import Gateway
    from portline.service.process.run import Service

__all__ = ["CONNECT_WAIT", "Cables", "cable", "joined"]

CONNECT_WAIT: Final = 2.0
"""Seconds that a program waits for its remote ports to be connected, so that it finds the lines as
they are there.  Then it starts all the same: a virtual port does not depend on the network."""

LEFTOVER_WAIT: Final = 0.2
"""Seconds after the program's end in which whoever answered its calls is gone, unless processes of
the program go on."""

CLOSE_WAIT: Final = 1.0
"""Seconds that the ports may still be in use after the last process that was started has ended."""

LOOK_PERIOD: Final = 0.02
"""Seconds between two looks at something that tells nothing by itself."""

STAYS: Final = b"stays\n"


def cable(name: str, host: str, **security: str | bool | None) -> GatewayConfig:
    """Return the configuration of one remote port here, RFC 2217 unless ``host`` says otherwise.

    ``rfc2217s://`` and ``raws://`` before it mean TLS, as in :func:`portline.open`; ``security``
    are options of its encryption and its password.  Raises ConfigError with every mistake.
    """
    scheme, mark, place = host.partition("://")
    if mark and scheme in PROTOCOLS and scheme.endswith(SECURE):
        host, security["tls"] = f"{scheme.removesuffix(SECURE)}://{place}", True
    return described(
        "client",
        {
            "virtual": name,
            "connect": (host,),
            "protocol": "rfc2217",
            **security,
        },
        arguments={"virtual": "--port", "connect": "--port"},
        wording={},
    )


def joined(configs: Sequence[GatewayConfig]) -> GatewayConfig:
    """Return one configuration with the connections of all; raises ConfigError if they clash."""
    connections: dict[str, Any] = {}
    for config in configs:
        for name, connection in config.connections.items():
            if name in connections:
                raise ConfigError([f"--port: two ports are called {name}; give each its own name"])
            connections[name] = connection
    return GatewayConfig(connections=connections)


@dataclass(frozen=True, slots=True)
class Cables:
    """Remote ports that are there until :meth:`end`; ``paths`` is where programs find them."""

    paths: tuple[str, ...]
    pid: int
    life: int
    report: int

    @classmethod
    def lay(cls, config: GatewayConfig, verbose: int) -> Cables:
        """Make the ports and wait until they are connected, for CONNECT_WAIT at most.

        From a process with a single thread.  Raises PortlineError when a port cannot be made;
        nothing is left behind then.
        """
        watched, life = os.pipe()
        report, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(life)
            os.close(report)
            _be_cables(config, verbose, watched, told)
        os.close(watched)
        os.close(told)
        word = json.loads(_line(report) or b'{"error": "the remote ports could not be made"}')
        if "error" in word:
            os.close(life)
            os.close(report)
            os.waitpid(pid, 0)
            raise PortlineError(word["error"])
        return cls(tuple(word["paths"]), pid, life, report)

    def end(self) -> None:
        """Let go: the program has ended.  Waits until what it wrote is on its way, and all is over.

        Where processes that it has left behind go on, the ports stay for them.
        """
        os.write(self.life, b"\n")
        os.close(self.life)
        if _line(self.report) != STAYS:
            os.waitpid(self.pid, 0)
        os.close(self.report)


def _line(fd: int) -> bytes:
    """Return the next line of a pipe; b"" at its end."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(fd, 1)):
        line += byte
    return line


def _be_cables(config: GatewayConfig, verbose: int, life: int, report: int) -> None:
    """Be the child process; never returns."""
    code = 1
    try:
        from portline.service.process.log import start_logging
        from portline.service.process.run import new_event_loop

        os.setsid()
        _leave(0, 1)  # they are the program's
        start_logging(verbose)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_serve(config, life, report))
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


def _leave(*descriptors: int) -> None:
    """Leave what others read or write to them."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in descriptors:
        os.dup2(nowhere, fd)
    os.close(nowhere)


async def _serve(config: GatewayConfig, life: int, report: int) -> None:
    from portline.control.companion import companion
    from portline.service.process.run import Service

    service = Service(config)
    async with asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[None]] = []

        def started(gateway: Gateway) -> None:
            tasks.append(group.create_task(_accompany(service, gateway, life, report)))

        await service.run(started=started, companion=companion("run"))
        for task in tasks:
            task.cancel()  # a signal may have ended the service before the program


async def _accompany(service: Service, gateway: Gateway, life: int, report: int) -> None:
    """Tell the parent how things stand, and end when the last of its processes has ended."""
    troubles = [each.port.reason for each in gateway.status() if each.port.path is None]
    if troubles:
        os.write(report, json.dumps({"error": "; ".join(troubles)}).encode() + b"\n")
        service.end()
        return
    await _wait(lambda: all(each.peers for each in gateway.status()), CONNECT_WAIT)
    paths = [each.port.path for each in gateway.status()]
    os.write(report, json.dumps({"paths": paths}).encode() + b"\n")
    if await _readable(life) and os.read(life, 1):
        try:
            await asyncio.wait_for(_readable(life), LEFTOVER_WAIT)
        except TimeoutError:
            _leave(2)  # who has started the program has seen its end
            os.write(report, STAYS)
            await _readable(life)
    await _wait(lambda: not any(each.port.in_use for each in gateway.status()), CLOSE_WAIT)
    service.end()


async def _wait(condition: Callable[[], bool], limit: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    while not condition() and loop.time() < end:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(LOOK_PERIOD)


async def _readable(fd: int) -> bool:
    """Wait until there is something to read, or the end."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, lambda: None if future.done() else future.set_result(None))
    try:
        await future
    finally:
        loop.remove_reader(fd)
    return True
