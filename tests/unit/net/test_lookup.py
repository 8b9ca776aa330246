from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING

import pytest

import portline.net.lookup as lookup_module
import portline.net.resolver as module
from portline.net.lookup import Lookups
from portline.net.resolver import Resolver
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Run


def lookups() -> Lookups:
    return Lookups(asyncio.get_running_loop(), Resolver())


class NameServer:
    """Answers when it may; ``asked`` is how often it was."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.may_answer = threading.Event()
        self.asked = 0
        self._real = socket.getaddrinfo
        patch.setattr(module.socket, "getaddrinfo", self.getaddrinfo)

    def getaddrinfo(self, host: str, port: int, **options: int) -> object:
        if options.get("flags") or host != "slow.test":
            return self._real(host, port, **options)
        self.asked += 1
        assert self.may_answer.wait(10)
        return self._real("127.0.0.1", port, **options)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_literal_address_needs_no_thread(run: Run, host: str) -> None:
    async def scenario() -> None:
        threads = threading.active_count()
        found = await lookups().addresses(host, 4001)
        assert [address[:2] for *_, address in found] == [(host, 4001)]
        assert threading.active_count() == threads

    run(scenario())


def test_those_who_want_the_same_name_share_one_look_up(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        server = NameServer(monkeypatch)
        names = lookups()
        for _ in range(3):  # they give up
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(names.addresses("slow.test", 4001), 0.01)
        waiting = [
            asyncio.get_running_loop().create_task(names.addresses("slow.test", 4001))
            for _ in range(3)
        ]
        await asyncio.sleep(0)
        server.may_answer.set()
        for found in await asyncio.gather(*waiting):
            assert found[0][4] == ("127.0.0.1", 4001)
        assert server.asked == 1
        await names.addresses("slow.test", 4001)
        assert server.asked == 2

    run(scenario())


def test_an_end_that_nobody_waits_for_is_no_trouble(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(host: str, port: int, **options: int) -> object:
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    async def scenario() -> None:
        monkeypatch.setattr(module.socket, "getaddrinfo", broken)
        names = lookups()
        task = asyncio.get_running_loop().create_task(names.addresses("slow.test", 4001))
        await asyncio.sleep(0)
        task.cancel()
        await until(lambda: not names._under_way)

    run(scenario())
    assert not caplog.records


def test_a_loop_that_has_closed_is_not_called(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    server = NameServer(monkeypatch)
    resolver = Resolver()

    async def scenario() -> None:
        names = Lookups(asyncio.get_running_loop(), resolver)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(names.addresses("slow.test", 4001), 0.01)

    run(scenario())
    server.may_answer.set()
    for thread in threading.enumerate():
        if thread.name == "portline look-up":
            thread.join(10)
    assert resolver.running == 0


def test_what_is_found_too_late_is_there_for_who_asks_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        server = NameServer(monkeypatch)
        names = lookups()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(names.addresses("slow.test", 4001), 0.01)
        server.may_answer.set()
        await until(lambda: not names._under_way)
        assert (await names.addresses("slow.test", 4001))[0][4] == ("127.0.0.1", 4001)
        assert server.asked == 1
        await names.addresses("slow.test", 4001)
        assert server.asked == 2  # and for him alone

    run(scenario())


def test_what_was_found_long_ago_is_not_used(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(lookup_module, "KEPT", -1.0)
        server = NameServer(monkeypatch)
        names = lookups()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(names.addresses("slow.test", 4001), 0.01)
        server.may_answer.set()
        await until(lambda: not names._under_way)
        await names.addresses("slow.test", 4001)
        assert server.asked == 2

    run(scenario())


def test_what_is_no_name_and_what_has_no_address(run: Run) -> None:
    async def scenario() -> None:
        with pytest.raises(ValueError, match="label"):
            await lookups().addresses("two..dots", 4001)
        with pytest.raises(socket.gaierror):
            await lookups().addresses("nowhere.invalid", 4001)

    run(scenario())
