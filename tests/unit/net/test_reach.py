from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any

import pytest

import portline.net.reach as module
from portline.errors import NetworkError
from portline.net.lookup import Lookups
from portline.net.proxy import Proxy, ProxyKind
from portline.net.reach import reach
from portline.net.resolver import Addresses
from tests.proxies import SocksProxy, silent_address

if TYPE_CHECKING:
    from tests.conftest import Run


class Names(Lookups):
    """Look-ups that find these addresses of 127.0.0.1 and ::1, or wait for ever."""

    def __init__(self, *found: tuple[str, int]) -> None:
        super().__init__(asyncio.get_running_loop())
        self.found = found

    async def addresses(self, host: str, port: int) -> Addresses:
        if not self.found:
            await asyncio.get_running_loop().create_future()
        return [
            (socket.AF_INET6 if ":" in address else socket.AF_INET, 1, 6, "", (address, port))
            for address, port in self.found
        ]


async def go(
    host: str, port: int, *, proxy: Proxy | None = None, limit: float = 10, names: Any = None
) -> tuple[socket.socket, str]:
    loop = asyncio.get_running_loop()
    return await reach(loop, names or Lookups(loop), host, port, proxy=proxy, limit=limit)


def unused() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_it_connects_and_names_the_peer(run: Run, host: str) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            sock, name = await go(host, port)
            with sock:
                assert (name, sock.getblocking()) == (f"127.0.0.1:{port}", False)

    run(scenario())


def test_an_address_that_is_silent_leaves_time_for_the_next(run: Run) -> None:
    async def scenario() -> None:
        with silent_address() as silent, socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            names = Names(("127.0.0.1", silent), ("127.0.0.1", unused()), ("127.0.0.1", port))
            sock, name = await go("some.test", 4001, names=names, limit=0.5)
            assert name == f"127.0.0.1:{port}"
            sock.close()

    run(scenario())


def test_a_server_that_is_not_there(run: Run) -> None:
    async def scenario() -> None:
        port = unused()
        with pytest.raises(NetworkError) as refused:
            await go("localhost", port)
        assert refused.value.address == f"localhost:{port}"
        assert str(refused.value) == (
            f"localhost:{port}: connection refused, nothing listens there; "
            "start the server or check the port"
        )

    run(scenario())


@pytest.mark.parametrize("looking", [True, False])
def test_what_does_not_answer_is_given_up(run: Run, looking: bool) -> None:
    async def scenario() -> None:
        with silent_address() as silent:
            names = Names() if looking else Names(("127.0.0.1", silent))
            fault = "its name was not found" if looking else "no answer"
            with pytest.raises(NetworkError, match=rf"^some.test:4001: {fault} within 0.1 s[;,] "):
                await go("some.test", 4001, names=names, limit=0.1)

    run(scenario())


def test_who_waits_for_an_answer_can_be_stopped(run: Run) -> None:
    async def scenario() -> None:
        with silent_address() as silent:
            task = asyncio.get_running_loop().create_task(go("127.0.0.1", silent))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(scenario())


def test_a_socket_that_is_connected_to_itself_is_as_good_as_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        port = unused()

        def bound(family: int) -> socket.socket:
            sock = socket.socket(family)
            sock.setblocking(False)
            sock.bind(("127.0.0.1", port))
            return sock

        monkeypatch.setattr(module, "_socket", bound)
        with pytest.raises(NetworkError, match="nothing listens there"):
            await go("127.0.0.1", port)

    run(scenario())


def test_a_peer_that_leaves_while_we_connect(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(loop: object, family: int, address: object) -> socket.socket:
        return socket.socket(family)

    async def scenario() -> None:
        monkeypatch.setattr(module, "_connect", connect)
        with pytest.raises(NetworkError, match="not connected"):
            await go("127.0.0.1", 1)

    run(scenario())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionResetError(errno.ECONNRESET, "reset"), "reset while connecting"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "check the address and the network"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "No route to host"),
        (OSError(errno.EPERM, "Operation not permitted"), "firewall"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (OSError("odd"), "odd"),
        (OSError(errno.ETIMEDOUT, "Connection timed out"), "no answer within 10 s"),
    ],
)
def test_each_fault_says_what_to_do(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: OSError, words: str
) -> None:
    async def fail(loop: object, family: int, address: object) -> socket.socket:
        raise error

    async def scenario() -> None:
        monkeypatch.setattr(module, "_connect", fail)
        with pytest.raises(NetworkError, match=words):
            await go("127.0.0.1", 1)

    run(scenario())


@pytest.mark.parametrize(
    ("host", "words"),
    [("nowhere.invalid", "host name is not known"), ("two..dots", "cannot be the name of a host")],
)
def test_a_name_without_an_address(run: Run, host: str, words: str) -> None:
    async def scenario() -> None:
        with pytest.raises(NetworkError, match=words):
            await go(host, 1)

    run(scenario())


def test_a_name_with_no_address_at_all(run: Run) -> None:
    class Nothing(Names):
        async def addresses(self, host: str, port: int) -> Addresses:
            return []

    async def scenario() -> None:
        with pytest.raises(NetworkError, match="refused"):
            await go("some.test", 1, names=Nothing())

    run(scenario())


# --- through a proxy ------------------------------------------------------------------------------


def socks(port: int, host: str = "localhost") -> Proxy:
    return Proxy(ProxyKind.SOCKS5, host, port, "me", "secret")


def test_through_a_proxy_the_peer_is_called_as_the_user_calls_it(run: Run) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            played = SocksProxy(user="me", password="secret")
            async with played.running():
                task = asyncio.get_running_loop().create_task(
                    go("far.test", port, proxy=socks(played.port))
                )
                server.setblocking(False)
                far, _ = await asyncio.get_running_loop().sock_accept(server)
                far.send(b"first words")
                sock, name = await task
                with sock, far:
                    assert name == f"far.test:{port}"
                    assert await asyncio.get_running_loop().sock_recv(sock, 99) == b"first words"

    run(scenario())


def test_a_fault_of_the_proxy_names_the_proxy_and_no_password(run: Run) -> None:
    async def scenario() -> None:
        played = SocksProxy(user="me", password="other")
        async with played.running():
            with pytest.raises(NetworkError) as refused:
                await go("far.test", 4001, proxy=socks(played.port))
        assert str(refused.value) == (
            f"far.test:4001: through the proxy socks5://me:***@localhost:{played.port}: "
            "it refuses the login; check the user and the password"
        )
        with pytest.raises(NetworkError, match=r"through the proxy .*: connection refused, "):
            await go("far.test", 4001, proxy=socks(unused()))
        with pytest.raises(NetworkError, match=r"through the proxy .*: the host name is not known"):
            await go("far.test", 4001, proxy=socks(1, "nowhere.invalid"))
        with silent_address() as silent:
            proxy = socks(silent, "127.0.0.1")
            with pytest.raises(NetworkError, match=r"no answer through the proxy .* within 0.1 s"):
                await go("far.test", 4001, proxy=proxy, limit=0.1)

    run(scenario())
