"""What the interop tests share: a device, servers on it, and the programs they need."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from tests.interop.device import Device
from tests.interop.pair import Client
from tests.interop.server import SUT, Server
from tests.interop.telnet_client import TelnetClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.interop.rung import Rung

TelnetClient.signature_keeps_its_place = SUT != "ser2net"

REQUIRE_ALL = os.environ.get("PORTLINE_TESTS_REQUIRE") == "all"


def lacking(what: str) -> None:
    """Skip the test because of ``what``; fail it where everything has to be there."""
    if REQUIRE_ALL:
        pytest.fail(f"{what} (PORTLINE_TESTS_REQUIRE=all)")
    pytest.skip(what)


@pytest.fixture
def require() -> Callable[[str], str]:
    """Return a function that finds a program, or skips the test with its name."""

    def find(program: str) -> str:
        path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if path is None:
            lacking(f"{program} is not installed")
        return str(path)

    return find


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """A device of this test's own."""
    made = Device(tmp_path / "ttyDEVICE")
    yield made
    made.unplug()


@pytest.fixture
def share(device: Device, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Return a function that shares ``device``; all of them are ended, and checked, afterwards."""
    numbers = count(1)
    with ExitStack() as stack:

        def start(protocol: str = "rfc2217", *options: str, **keywords: object) -> Server:
            keywords.setdefault("log", tmp_path / f"server-{next(numbers)}.log")
            target = keywords.pop("device", device.path)
            server = Server(target, protocol, *options, **keywords)
            stack.callback(_stop_if_running, server)
            return server

        yield start


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder in which the processes of this test put their sockets, and nobody else."""
    with TemporaryDirectory(prefix="ctl-") as folder:
        monkeypatch.setenv("RUNTIME_DIRECTORY", folder)
        yield Path(folder)


@pytest.fixture
def attach(tmp_path: Path, sockets: Path) -> Iterator[Callable[..., Client]]:
    """Return a function that attaches a host as ``ttyAPP``; all are ended, and checked, after."""
    numbers = count(1)
    with ExitStack() as stack:

        def start(host: int | str, protocol: str = "rfc2217", *options: str, **more: Any) -> Client:
            more.setdefault("log", tmp_path / f"client-{next(numbers)}.log")
            more.setdefault("path", tmp_path / "ttyAPP")
            where = f"127.0.0.1:{host}" if isinstance(host, int) else host
            client = Client(where, protocol=protocol, options=options, **more)
            stack.callback(_stop_if_running, client)
            return client

        yield start


def _stop_if_running(server: Server) -> None:
    """Tests may have ended their server themselves; whoever still runs ends as it should."""
    if server.process.poll() is None:
        server.stop()
    server.check_errors()


@pytest.fixture(scope="module")
def shared_device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """The device of all tests of a module that leave it as they find it."""
    made = Device(tmp_path_factory.mktemp("device") / "ttyDEVICE")
    yield made
    made.unplug()


@pytest.fixture(scope="module")
def access_server(
    shared_device: Device, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One RFC 2217 server for all tests of a module: what one does must not harm the next."""
    server = Server(shared_device.path, log=tmp_path_factory.mktemp("server") / "server.log")
    yield server
    server.stop()


@pytest.fixture
def client(
    request: pytest.FixtureRequest, access_server: Server, shared_device: Device
) -> Iterator[TelnetClient]:
    """A client that has agreed on RFC 2217; parametrise indirectly for other segmentations."""
    shared_device.drain()
    with TelnetClient.when_free(access_server.port, getattr(request, "param", "whole")) as made:
        yield made


@pytest.fixture(scope="module")
def pty_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One Portline with a virtual port for all programs of a module."""
    yield from virtual_port(tmp_path_factory.mktemp("service"), "pty")


@pytest.fixture(scope="module")
def cuse_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One Portline with a device in user space."""
    yield from virtual_port(tmp_path_factory.mktemp("service"), "cuse", "/dev/programs-cuse")


def virtual_port(folder: Path, backend: str, name: str = "") -> Iterator[Server]:
    made = Server(
        "", "rfc2217", "--virtual", name or str(folder / "ttyV0"), "-v", "--backend", backend,
        log=folder / "log",
    )  # fmt: skip
    made.path = name or str(folder / "ttyV0")  # type: ignore[attr-defined]
    yield made
    made.stop()


@pytest.fixture(scope="module")
def made_rung(request: pytest.FixtureRequest) -> Iterator[Rung]:
    """One rung (a parameter) for all programs: what one leaves behind must not harm the next."""
    from tests.filtered import unavailable
    from tests.interop.rung import NetworkRung, UsbRung

    kind: str = request.param
    if kind == "usbip":
        made: Rung = UsbRung("/dev/programs")
    else:
        if kind == "run" and (reason := unavailable()):
            pytest.skip(reason)
        service = request.getfixturevalue("cuse_service" if kind == "cuse" else "pty_service")
        made = NetworkRung(service.path, service.port, launched=kind == "run", whole=kind == "cuse")
    made.kind = kind
    yield made
    made.close()


@pytest.fixture
def rung(made_rung: Rung) -> Rung:
    """A rung on which the far side is there, and nothing has been done."""
    made_rung.lines(cts=True, dsr=True, dcd=True)
    made_rung.forget()
    return made_rung


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a score when another server than ours was looked at."""
    if SUT != "portline":
        passed, failed = (
            len(terminalreporter.stats.get(kind, ())) for kind in ("passed", "failed")
        )
        terminalreporter.write_line(f"{SUT}: {passed} of {passed + failed} checks passed")
