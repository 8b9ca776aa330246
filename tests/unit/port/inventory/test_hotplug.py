"""News of devices, as the kernel and udev write them, through a socket that the test holds."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, cast

import pytest

from portline.port.inventory import hotplug as module
from portline.port.inventory.hotplug import (
    LOOKS,
    MESSAGE_SIZE,
    NOISE_LIMIT,
    SETTLE,
    UDEV_TIME,
    Hotplug,
    announces_tty,
)
from tests.ports import SlowLoop

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator
    from pathlib import Path

PATH = b"/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0/ttyUSB0/tty/ttyUSB0"
TEXTS = b"\0".join(
    (b"ACTION=%s", b"DEVPATH=" + PATH, b"SUBSYSTEM=%s", b"MAJOR=188", b"DEVNAME=ttyUSB0", b"")
)


def kernel(action: bytes = b"add", subsystem: bytes = b"tty") -> bytes:
    return action + b"@" + PATH + b"\0" + TEXTS % (action, subsystem)


def udev(action: bytes = b"add", subsystem: bytes = b"tty") -> bytes:
    header = b"libudev\0" + b"\xfe\xed\xca\xfe" + bytes(28)
    return header + TEXTS % (action, subsystem)


@pytest.mark.parametrize("made", [kernel, udev])
def test_what_announces_a_tty(made: type[bytes]) -> None:
    assert announces_tty(made(b"add"))
    assert announces_tty(made(b"change"))
    assert not announces_tty(made(b"remove"))
    assert not announces_tty(made(b"add", b"usb"))
    assert not announces_tty(made(b"add", b"tty")[:60])


def test_noise() -> None:
    assert not announces_tty(b"")
    assert not announces_tty(b"\0SUBSYSTEM=tt")


class Bench:
    """A loop turned by hand, and a socket that says what the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.loop = SlowLoop()
        self.near, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.near.setblocking(False)
        self.control = folder / "control"
        self.looks: list[int] = []

        def opened(ear: module._Ear) -> socket.socket:
            ear._loop.add_reader(self.near.fileno(), ear._hear, self.near)
            return self.near

        monkeypatch.setattr(self.loop, "add_reader", self._add_reader)
        monkeypatch.setattr(module._Ear, "_opened", opened)
        monkeypatch.setattr(module, "UDEV_CONTROL", self.control)

    def _add_reader(self, fd: int, callback: object, *args: object) -> None:
        assert callable(callback)
        self.loop.readers[fd] = lambda: callback(*args)

    def wait(self, number: int = 0) -> Hotplug:
        return Hotplug(
            lambda: self.looks.append(number), cast("asyncio.AbstractEventLoop", self.loop)
        )

    def say(self, *messages: bytes) -> None:
        for message in messages:
            self.far.send(message)
        self.loop.readers[self.near.fileno()]()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(monkeypatch, tmp_path)
    yield made
    made.near.close()
    made.far.close()


def test_a_burst_leads_to_one_look_when_it_is_over(bench: Bench) -> None:
    hotplug = bench.wait()
    bench.say(kernel(subsystem=b"usb"), kernel())
    bench.loop.pass_time(SETTLE / 2)
    bench.say(kernel())
    bench.loop.pass_time(SETTLE / 2)
    assert bench.looks == []
    bench.loop.pass_time(SETTLE)
    assert bench.looks == [0]
    bench.say(kernel(b"remove"), kernel(b"add", b"net"))
    assert bench.loop.waiting == []
    hotplug.close()


def test_udev_has_the_last_word(bench: Bench) -> None:
    bench.control.touch()
    hotplug = bench.wait()
    bench.say(kernel())
    bench.loop.pass_time(2 * SETTLE)
    assert bench.looks == []
    bench.say(udev())
    bench.loop.pass_time(SETTLE)
    assert bench.looks == [0]
    bench.say(kernel())
    bench.loop.pass_time(UDEV_TIME)
    assert bench.looks == [0, 0]
    hotplug.close()


def test_who_closes_is_not_called_and_the_last_one_closes_the_socket(bench: Bench) -> None:
    first, second = bench.wait(1), bench.wait(2)
    bench.say(kernel())
    first.close()
    bench.loop.pass_time(SETTLE)
    assert bench.looks == [2]
    bench.say(kernel())
    second.close()
    second.close()
    assert bench.near.fileno() == -1
    assert bench.loop.readers == {}
    assert bench.loop.waiting == []


def test_many_get_their_looks_in_turns(bench: Bench) -> None:
    count = 2 * LOOKS + 1
    waiting = [bench.wait(number) for number in range(count)]
    bench.say(kernel())
    bench.loop.pass_time(SETTLE)
    assert bench.looks == list(range(count))
    for hotplug in waiting:
        hotplug.close()


def test_noise_without_end_puts_no_look_off_for_good(bench: Bench) -> None:
    hotplug = bench.wait()
    steps = round(5 * NOISE_LIMIT / SETTLE)  # 2.5 times the limit, never SETTLE of silence
    for _ in range(steps):
        bench.say(kernel(), kernel())
        bench.loop.pass_time(SETTLE / 2)
    assert len(bench.looks) == 2
    hotplug.close()


def test_news_between_the_turns_of_many_begin_no_round_before_all_have_looked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 3 * LOOKS
    waiting = [bench.wait(number) for number in range(count)]
    later = bench.loop.call_later

    def call_later(delay: float, *rest: Any) -> asyncio.TimerHandle:
        if delay == 0 and len(bench.looks) < 2 * count:
            bench.loop.call_soon(bench.say, kernel())
            bench.loop.turn()
        return later(delay, *rest)

    monkeypatch.setattr(bench.loop, "call_later", call_later)
    bench.say(kernel())
    bench.loop.pass_time(SETTLE)
    assert bench.looks == list(range(count))
    bench.loop.pass_time(SETTLE)
    assert bench.looks == [*range(count), *range(count)]
    for hotplug in waiting:
        hotplug.close()


def test_a_look_may_end_the_wait_of_others(bench: Bench) -> None:
    waiting: list[Hotplug] = []

    def close_all() -> None:
        bench.looks.append(0)
        for hotplug in waiting:
            hotplug.close()

    loop = cast("asyncio.AbstractEventLoop", bench.loop)
    waiting += [Hotplug(close_all, loop) for _ in range(LOOKS + 1)]
    bench.say(kernel())
    bench.loop.pass_time(1)
    assert bench.looks == [0]
    assert bench.loop.waiting == []


def test_lost_messages_are_a_hint_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    class Overrun:
        def recv(self, size: int) -> bytes:
            assert size == MESSAGE_SIZE
            raise OSError(105, "No buffer space available")

    hotplug = bench.wait()
    module._EARS[cast("asyncio.AbstractEventLoop", bench.loop)]._hear(
        cast("socket.socket", Overrun())
    )
    bench.loop.pass_time(SETTLE)
    assert bench.looks == [0]
    hotplug.close()


def test_without_netlink_nothing_is_heard_and_nothing_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object) -> socket.socket:
        raise OSError(93, "Protocol not supported")

    monkeypatch.setattr(module.socket, "socket", refused)
    loop = SlowLoop()
    hotplug = Hotplug(lambda: None, cast("asyncio.AbstractEventLoop", loop))
    assert loop.readers == {}
    hotplug.close()


def test_the_real_socket_opens_and_closes() -> None:
    """The kernel lets anybody listen; what it would say needs a device (tests/lab)."""
    loop = SlowLoop()
    try:
        probe = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, module.NETLINK_KOBJECT_UEVENT)
    except OSError as error:
        pytest.skip(f"no uevent socket here: {error}")
    probe.close()
    heard: dict[int, object] = {}
    loop.add_reader = lambda fd, callback, *args: heard.update({fd: args})  # type: ignore[method-assign]
    loop.remove_reader = heard.pop  # type: ignore[method-assign,assignment]
    hotplug = Hotplug(lambda: None, cast("asyncio.AbstractEventLoop", loop))
    assert len(heard) == 1
    hotplug.close()
    assert heard == {}
