"""Operators at virtual ports: applications in processes of their own."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from portline.config.models import GatewayConfig
from portline.errors import PortBusy, PortError
from portline.line import LineChange
from portline.service import retirement
from portline.service.gateway import Gateway
from portline.service.operator.terminal import open_terminal
from tests.peers import Peer
from tests.ports import FLAGS, until
from tests.waiting import LIMIT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from portline.service.connection import Connection
    from tests.conftest import Run


def begun(folder: Path, **options: object) -> Gateway:
    """Start a gateway with one connection, at a virtual port that is a pseudo terminal."""
    table = {"virtual": str(folder / "ttyV"), "backend": "pty", "listen": "127.0.0.1:0"} | options
    gateway = Gateway(GatewayConfig.model_validate({"connections": {"meter": table}}))
    gateway.start()
    return gateway


@asynccontextmanager
async def meter(folder: Path, **options: object) -> AsyncIterator[Connection]:
    """Run it as long as the block."""
    gateway = begun(folder, **options)
    try:
        yield gateway.connections["meter"]
    finally:
        await gateway.stop()
        await until(lambda: not gateway.connections["meter"].operators.applications)


def peer_of(connection: Connection) -> Peer:
    (listener,) = connection.network.entrance.listeners  # type: ignore[attr-defined]
    return Peer(int(listener.address.rpartition(":")[2]))


def test_it_is_the_application_of_the_port(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with meter(tmp_path) as connection:
            with peer_of(connection) as peer:
                terminal = await open_terminal(connection)
                application = connection.port.application
                assert application is not None
                await until(lambda: application.there)
                terminal.write(b"typed\xff")
                await peer.hears(b"typed\xff")
                peer.send(b"answered\xff")
                assert await terminal.read_exactly(9) == b"answered\xff"
                settings = await terminal.set(baudrate=19200, stop_bits="2")
                assert str(settings) == "19200-8N2"
                await until(lambda: str(application.settings) == "19200-8N2")
                await terminal.close()
                await until(lambda: not application.there)
                # What it has set stays for the next one, as with any application.
                terminal = await open_terminal(connection)
                assert str(terminal.settings) == "19200-8N2"
                await terminal.close()

    run(scenario())


def test_it_is_refused_while_an_application_is_there(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with meter(tmp_path) as connection:
            assert connection.port.path is not None
            fd = os.open(connection.port.path, FLAGS)
            application = connection.port.application
            assert application is not None
            await until(lambda: application.there)
            with pytest.raises(PortBusy, match="an application has this virtual port open"):
                await open_terminal(connection)
            os.close(fd)
            await until(lambda: not application.there)
            terminal = await open_terminal(connection)
            await until(lambda: application.there)
            with pytest.raises(
                PortBusy, match=r"an operator has this virtual port open: pid \d+ \("
            ):
                await open_terminal(connection)
            await terminal.close()

    run(scenario())


def test_the_program_ends_without_an_operator_and_with_the_connection(
    run: Run, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with meter(tmp_path) as connection:
            operators = connection.operators
            admission = await operators.admit()
            assert len(operators.applications) == 1
            admission.withdraw()
            await until(lambda: not operators.applications)
            application = connection.port.application
            await until(lambda: application is not None and not application.there)
            terminal = await open_terminal(connection)
        await until(lambda: terminal.ended)
        await terminal.close()

    run(scenario())


@pytest.mark.parametrize("seated", [False, True])
def test_a_service_that_ends_waits_for_its_programs(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seated: bool
) -> None:
    monkeypatch.setattr(retirement, "GOODBYE_LIMIT", LIMIT)

    async def scenario() -> None:
        gateway = begun(tmp_path)
        operators = gateway.connections["meter"].operators
        opening = asyncio.get_running_loop().create_task(
            open_terminal(gateway.connections["meter"])
        )
        await until(lambda: opening.done() if seated else operators.applications)
        await gateway.stop()
        assert not operators.applications
        if seated:
            await opening.result().close()
        else:
            with pytest.raises(PortError):
                await opening

    run(scenario())


def test_a_program_that_cannot_be_started(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with meter(tmp_path) as connection:
            monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
            with pytest.raises(PortError, match="no program can be started to open it: No such"):
                await open_terminal(connection)
            monkeypatch.setattr(sys, "executable", "/bin/false")
            with pytest.raises(PortError, match="the program that opens it has ended"):
                await open_terminal(connection)

    run(scenario())


def test_who_goes_while_a_program_starts_leaves_no_place_taken(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        async with meter(tmp_path) as connection:
            monkeypatch.setattr(asyncio, "create_subprocess_exec", never)
            opening = asyncio.get_running_loop().create_task(open_terminal(connection))
            await until(lambda: connection.operators.applications)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            assert not connection.operators.applications

    run(scenario())


def test_changes_of_settings_come_from_here_alone(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with meter(tmp_path, protocol="rfc2217") as connection:
            terminal = await open_terminal(connection)
            events = terminal.events()
            await terminal.set(baudrate=300)
            await terminal.close()
            assert [event async for event in events if isinstance(event, LineChange)] == []

    run(scenario())
