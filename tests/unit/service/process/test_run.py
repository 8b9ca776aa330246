from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop

from portline.config.document import load
from portline.config.models import GatewayConfig
from portline.config.saving import ConfigFile
from portline.errors import ConfigError, UsageError
from portline.service.gateway import Gateway
from portline.service.process import run as module
from portline.service.process.announcement import announcement
from portline.service.process.run import Service, new_event_loop
from portline.service.process.store import Store
from tests.conftest import Run
from tests.manager import Manager
from tests.ports import until
from tests.proxies import silent_address


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("asyncio")
    before = (root.handlers[:], root.level, own.level)
    yield
    root.handlers[:], level, own_level = before
    root.setLevel(level)
    own.setLevel(own_level)


@pytest.fixture
def config(tmp_path: Path) -> GatewayConfig:
    """A virtual port, and a device that is not there."""
    connections = {
        "scale": {"virtual": str(tmp_path / "ttyV0"), "listen": "127.0.0.1:0"},
        "meter": {"port": str(tmp_path / "ttyUSB0"), "listen": "rfc2217://127.0.0.1:0"},
    }
    return GatewayConfig.model_validate({"connections": connections})


@dataclass
class Loading:
    """A source that may only be read again."""

    load: Callable[[], GatewayConfig]

    def demand(self) -> None:
        pass

    def change(self, *_: object) -> GatewayConfig:
        raise AssertionError


def interrupt(how: int) -> None:
    """Send a signal to this process, once the loop that is running now takes it."""
    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), how)


def test_uvloop_is_taken_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = new_event_loop()
    assert isinstance(loop, uvloop.Loop)
    loop.close()
    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = new_event_loop()
    assert isinstance(loop, asyncio.BaseEventLoop)
    loop.close()


@pytest.mark.parametrize("there", [True, False, None])
def test_a_client_is_announced_when_its_host_has_been_tried(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool | None
) -> None:
    monkeypatch.setattr(module, "FIRST_ATTEMPTS", 600.0 if there is not None else 0.1)

    async def scenario(port: int) -> None:
        table = {"kind": "client", "virtual": str(tmp_path / "v"), "connect": f"127.0.0.1:{port}"}
        config = GatewayConfig.model_validate({"connections": {"far": table}})
        lines: list[str] = []

        def started(gateway: Gateway) -> None:
            lines.extend(announcement(gateway))
            interrupt(signal.SIGTERM)

        await Service(config).run(started=started)
        state = "connected" if there else "connecting"
        assert lines == [f"far: {tmp_path / 'v'} to 127.0.0.1:{port} (raw) - {state}"]

    if there is None:
        with silent_address() as port:
            run(scenario(port))
        return
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if there:
            run(scenario(port))
    if not there:
        run(scenario(port))


def test_who_ends_at_once_does_not_wait_for_first_attempts(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_ATTEMPTS", 600.0)
    table = {"kind": "client", "virtual": str(tmp_path / "v"), "connect-timeout": "5min"}

    async def scenario(port: int) -> None:
        table["connect"] = f"127.0.0.1:{port}"
        service = Service(GatewayConfig.model_validate({"connections": {"far": table}}))
        asyncio.get_running_loop().call_later(0.1, service.end)
        async with asyncio.timeout(60):
            await service.run()

    with silent_address() as port:
        run(scenario(port))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_comes(
    run: Run, config: GatewayConfig, tmp_path: Path, how: int
) -> None:
    async def scenario() -> None:
        gateways: list[Gateway] = []

        def started(gateway: Gateway) -> None:
            assert (tmp_path / "ttyV0").exists()
            gateways.append(gateway)
            interrupt(how)

        await Service(config).run(started=started)
        (gateway,) = gateways
        assert not any(
            listener.listening
            for listener in gateway.connections["scale"].network.entrance.listeners
        )
        assert not (tmp_path / "ttyV0").exists()

    run(scenario())


# --- another configuration ------------------------------------------------------------------------


def renamed(config: GatewayConfig) -> GatewayConfig:
    scale, meter = config.connections.values()
    return GatewayConfig(connections={"balance": scale, "meter": meter})


def test_a_hang_up_reads_the_configuration_again(run: Run, config: GatewayConfig) -> None:
    async def scenario() -> None:
        told: list[list[str]] = []

        def reloaded(lines: list[str]) -> None:
            told.append(lines)
            interrupt(signal.SIGTERM if len(told) > 1 else signal.SIGHUP)

        await Service(config, Loading(lambda: renamed(config))).run(
            started=lambda gateway: interrupt(signal.SIGHUP),
            reloaded=reloaded,
        )
        assert told == [["scale: is called balance now"], []]

    run(scenario())


def test_a_file_that_never_comes_keeps_nothing_from_ending(run: Run, config: GatewayConfig) -> None:
    never = threading.Event()

    async def scenario() -> None:
        reading = asyncio.Event()
        loop = asyncio.get_running_loop()

        def load() -> GatewayConfig:
            loop.call_soon_threadsafe(reading.set)
            never.wait()
            return config

        async def end_then() -> None:
            await reading.wait()
            interrupt(signal.SIGTERM)

        service = Service(config, Loading(load))
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(end_then())
            await service.run(started=lambda gateway: interrupt(signal.SIGHUP))
        assert await service.reload() == []

    try:
        run(scenario())
    finally:
        never.set()


def test_a_mistake_changes_nothing(
    run: Run, config: GatewayConfig, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        def load() -> GatewayConfig:
            interrupt_soon(signal.SIGTERM)
            raise ConfigError(["portline.toml:1: not TOML", "portline.toml:7: and more"])

        loop = asyncio.get_running_loop()

        def interrupt_soon(how: int) -> None:
            loop.call_soon_threadsafe(loop.call_later, 0.01, os.kill, os.getpid(), how)

        gateways: list[Gateway] = []

        def started(gateway: Gateway) -> None:
            gateways.append(gateway)
            interrupt(signal.SIGHUP)

        await Service(config, Loading(load)).run(started=started)
        assert [record.message for record in caplog.records if record.name == "portline"] == [
            "portline.toml:1: not TOML",
            "portline.toml:7: and more",
            "nothing was changed",
        ]
        assert gateways[0].config is config

    run(scenario())


def test_an_edit_of_the_file_is_put_in_force(
    run: Run, config: GatewayConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PORTLINE_PASSWORD", raising=False)
    path = tmp_path / "portline.toml"
    table = '[connections.{}]\nport = "{}"\nlisten = "127.0.0.1:0"\n'
    path.write_text("# mine\n" + table.format("a", tmp_path / "ttyA"))

    async def scenario() -> None:
        service = Service(load(path), ConfigFile(path))
        new = table.format("b", tmp_path / "ttyB")
        assert await service.edit(lambda text: text + new) == ["b: added"]
        assert list(service.gateway.connections) == ["a", "b"]
        with pytest.raises(ConfigError, match="packet-size"):
            await service.edit(lambda text: text + 'packet-size = "x"\n')
        assert list(service.gateway.connections) == ["a", "b"]
        with pytest.raises(ConfigError, match=r"connections\.b\.password: there is no environment"):
            await service.edit(lambda text: text + "password = true\n")
        assert path.read_text().startswith("# mine\n")
        assert "password" not in path.read_text()
        with pytest.raises(UsageError, match="no configuration file"):
            await Service(config).edit(str)
        await service.gateway.stop()

    run(scenario())


def test_a_file_that_is_gone_takes_no_connection_along(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "portline.toml"
    table = '[connections.{}]\nport = "{}"\nlisten = "127.0.0.1:0"\n'
    text = table.format("a", tmp_path / "ttyA")
    path.write_text(text)

    async def scenario() -> None:
        service = Service(load(path), ConfigFile(path, {}, needed=False))
        path.unlink()
        new = table.format("b", tmp_path / "ttyB")
        for act in (service.edit(lambda text: text + new), service.reload()):
            with pytest.raises(ConfigError, match="no such file any more, and its connections"):
                await act
        assert list(service.gateway.connections) == ["a"]
        assert not path.exists()
        path.write_text("")
        assert await service.reload() == ["a: removed"]
        path.unlink()  # as where a page makes the first connection
        assert await service.edit(lambda text: text + new) == ["b: added"]
        await service.gateway.stop()

    run(scenario())


def test_without_a_file_a_hang_up_ends_it(run: Run, config: GatewayConfig) -> None:
    async def scenario() -> None:
        with pytest.raises(UsageError, match="no configuration file"):
            await Service(config).reload()
        await Service(config).run(started=lambda gateway: interrupt(signal.SIGHUP))

    run(scenario())


def test_a_terminal_that_is_gone_ends_it(
    run: Run, config: GatewayConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    master, slave = os.openpty()
    is_gone = module._is_gone
    monkeypatch.setattr(os, "isatty", lambda fd: fd == 2)
    monkeypatch.setattr(module, "_is_gone", lambda fd: is_gone(slave))

    async def scenario() -> None:
        def reloaded(lines: list[str]) -> None:
            os.close(master)
            interrupt(signal.SIGHUP)

        await Service(config, Loading(lambda: config)).run(
            started=lambda gateway: interrupt(signal.SIGHUP),
            reloaded=reloaded,
        )

    assert not is_gone(slave)
    run(scenario())
    os.close(slave)


def test_a_cancelled_task_stops_cleanly_too(
    run: Run, config: GatewayConfig, tmp_path: Path
) -> None:
    async def scenario() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await Service(config).run()
        assert not (tmp_path / "ttyV0").exists()
        loop = asyncio.get_running_loop()
        assert not loop.remove_signal_handler(signal.SIGTERM)

    run(scenario())


@pytest.mark.parametrize("announce", [True, False])
def test_a_process_runs_in_the_foreground(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    config: GatewayConfig,
    announce: bool,
) -> None:
    start = Gateway.start

    def start_and_end(gateway: Gateway) -> None:
        start(gateway)
        interrupt(signal.SIGTERM)

    monkeypatch.setattr(Gateway, "start", start_and_end)
    turns: list[float] = []
    monkeypatch.setattr(sys, "setswitchinterval", turns.append)
    assert module.run(config, verbose=1, announce=announce) == 0
    assert turns == [module.TURN]
    assert sys.getswitchinterval() >= 10 * module.TURN
    said = capsys.readouterr()
    assert said.out.startswith("scale: ") is announce
    assert said.out.count("\n") == (2 if announce else 0)
    assert "info scale: listening on 127.0.0.1:" in said.err
    assert "warning meter: " in said.err


# --- a restart in place ---------------------------------------------------------------------------


def test_a_signal_restarts_it(run: Run, config: GatewayConfig) -> None:
    async def scenario() -> None:
        service = Service(config, Loading(lambda: config), store=Store({}), restartable=True)
        await service.run(started=lambda gateway: interrupt(signal.SIGUSR2))
        assert service.restarts

    try:
        run(scenario())
        # What comes before the next one can take it must not end it.
        assert signal.getsignal(signal.SIGUSR2) == signal.SIG_IGN
    finally:
        for number in (signal.SIGUSR2, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize("restartable", [True, False])
def test_what_stands_in_the_way_of_a_restart_is_logged(
    run: Run, config: GatewayConfig, caplog: pytest.LogCaptureFixture, restartable: bool
) -> None:
    def load() -> GatewayConfig:
        raise ConfigError(["/x.toml:3: a mistake"])

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        service = Service(config, Loading(load), store=Store({}), restartable=restartable)
        running = loop.create_task(service.run(started=lambda gateway: interrupt(signal.SIGUSR2)))
        await until(lambda: "not restarted" in caplog.text)
        service.end()
        await running
        assert not service.restarts

    run(scenario())
    reason = "/x.toml:3: a mistake" if restartable else "cannot be restarted in place"
    assert [each.message.partition(":")[0] for each in caplog.records if each.levelno > 30] == [
        reason.partition(":")[0] if restartable else "this Portline cannot be restarted in place",
        "not restarted",
    ]


def test_ports_are_left_at_a_restart_and_for_a_service_manager_only(
    run: Run, config: GatewayConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    left: list[bool] = []

    def leave_ports(self: Gateway, *, named: bool) -> None:
        left.append(named)

    monkeypatch.setattr(Gateway, "leave_ports", leave_ports)

    async def scenario(how: int, environment: dict[str, str]) -> None:
        service = Service(config, store=Store(environment), restartable=True)
        await service.run(started=lambda gateway: interrupt(how))

    manager = {"NOTIFY_SOCKET": str(tmp_path / "manager")}
    try:
        run(scenario(signal.SIGTERM, {}))
        assert left == []
        run(scenario(signal.SIGTERM, dict(manager)))
        run(scenario(signal.SIGUSR2, {}))
        assert left == [False, True]
    finally:
        for number in (signal.SIGUSR2, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)


def test_a_service_manager_hears_of_the_start_and_of_changes(
    run: Run, config: GatewayConfig, tmp_path: Path
) -> None:
    one = GatewayConfig.model_validate({"connections": {"scale": config.connections["scale"]}})
    with Manager(str(tmp_path / "manager")) as manager:

        async def scenario() -> None:
            store = Store(manager.environment())
            service = Service(config, Loading(lambda: one), store=store)

            def started(gateway: Gateway) -> None:
                manager.listen()
                assert not manager.ready

            running = asyncio.get_running_loop().create_task(service.run(started=started))
            await until(lambda: (manager.listen(), manager.ready)[1])
            assert manager.status == "2 connections, see portline status"
            await service.reload()
            manager.listen()
            assert manager.status == "1 connection, see portline status"
            service.end()
            await running

        run(scenario())


def test_a_restart_executes_the_same_command_line(
    config: GatewayConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    executed: list[tuple[str, list[str], dict[str, str]]] = []

    def execve(path: str, words: list[str], environment: dict[str, str]) -> None:
        executed.append((path, words, environment))
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "execve", execve)
    interrupts = iter([signal.SIGUSR2])
    monkeypatch.setattr(
        module, "announcement", lambda gateway: [interrupt(next(interrupts)) or "started"]
    )
    try:
        assert module.run(config) == 1
    finally:
        for number in (signal.SIGUSR2, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
    [(path, words, environment)] = executed
    assert (path, words) == (sys.executable, sys.orig_argv)
    assert environment["LISTEN_FDS"] == "0"
    assert "cannot restart" in capsys.readouterr().err
