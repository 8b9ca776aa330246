from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from portline.errors import PortAbsent, PortBusy, SettingRefused
from portline.service.local.keeper import RETRY, RETRY_REFUSED, PortKeeper
from tests.memory import MemoryPort
from tests.ports import Recorder, SlowLoop

ABSENT = PortAbsent("/dev/ttyUSB0", "there is no such device")
REFUSED = SettingRefused("/dev/ttyUSB0", "baudrate", 31250, "the driver does not do that")
BUSY = PortBusy("/dev/ttyUSB0", "minicom (pid 7) holds it")


class Wish:
    """A keeper on a clock that the test turns, and the news that it told."""

    def __init__(self) -> None:
        self.loop = SlowLoop()
        self.port = MemoryPort(Recorder())
        self.told: list[str] = []
        loop = cast("asyncio.AbstractEventLoop", self.loop)
        self.keeper = PortKeeper(loop, self.port, self.note)

    def note(self) -> None:
        state = "open" if self.keeper.open else "not open"
        self.told.append(f"{state}: {self.keeper.error}")

    def news(self) -> list[str]:
        told, self.told = self.told, []
        return told


@pytest.fixture
def wish() -> Wish:
    return Wish()


def test_it_opens_once_and_closes_once(wish: Wish) -> None:
    wish.keeper.want(False)
    wish.keeper.want(True)
    wish.keeper.want(True)
    assert wish.news() == ["open: None"]
    wish.keeper.want(False)
    wish.keeper.want(False)
    assert wish.news() == ["not open: None"]
    assert wish.port.happened == ["open", "close"]
    assert wish.loop.waiting == []


def test_it_tries_again_for_ever_and_an_error_is_news_only_once(wish: Wish) -> None:
    wish.port.failure = ABSENT
    wish.keeper.want(True)
    assert wish.news() == ["not open: /dev/ttyUSB0: there is no such device"]
    wish.loop.pass_time(100 * RETRY)
    assert wish.news() == []
    wish.port.failure = BUSY
    wish.loop.pass_time(2 * RETRY)
    assert wish.news() == ["not open: /dev/ttyUSB0: minicom (pid 7) holds it"]
    wish.port.failure = None
    wish.loop.pass_time(RETRY)
    assert wish.news() == ["open: None"]
    assert wish.loop.waiting == []


def test_a_port_that_was_lost_is_opened_again_and_the_reason_stays_readable(wish: Wish) -> None:
    wish.keeper.want(True)
    wish.news()
    wish.keeper.lost(ABSENT)
    wish.keeper.lost(ABSENT)
    assert wish.loop.waiting == [RETRY]
    assert wish.keeper.error is ABSENT
    wish.loop.pass_time(RETRY)
    assert wish.news()[-1] == "open: None"
    assert wish.port.happened == ["open", "open"]


def test_who_wants_no_more_is_not_kept_trying(wish: Wish) -> None:
    wish.port.failure = ABSENT
    wish.keeper.want(True)
    wish.keeper.want(False)
    assert (wish.keeper.error, wish.loop.waiting) == (None, [])
    wish.keeper.lost(ABSENT)
    assert wish.loop.waiting == []


def test_a_device_that_refuses_its_settings_is_not_reset_every_second(wish: Wish) -> None:
    wish.port.failure = REFUSED
    wish.keeper.want(True)
    assert wish.loop.waiting == [RETRY_REFUSED]
    wish.port.failure = None
    wish.keeper.hurry()  # other settings are configured
    assert wish.keeper.open
    assert wish.loop.waiting == []
    wish.keeper.hurry()
    assert wish.port.happened == ["open"]
    wish.port.failure = REFUSED
    wish.keeper.lost(ABSENT)
    wish.loop.pass_time(RETRY)
    assert wish.loop.waiting == [RETRY_REFUSED]
    wish.port.failure = None
    wish.loop.pass_time(RETRY_REFUSED)
    assert wish.keeper.open


def test_a_device_that_is_plugged_in_ends_the_wait(
    wish: Wish, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ear:
        def __init__(self, plugged: Callable[[], None], loop: object) -> None:
            self.plugged = plugged
            ears.append(self)

        def close(self) -> None:
            ears.remove(self)

    ears: list[Ear] = []
    monkeypatch.setattr("portline.service.local.keeper.Hotplug", Ear)
    wish.keeper._plugs = True
    wish.keeper.want(True)
    assert ears == []
    wish.port.failure = ABSENT
    wish.keeper.lost(ABSENT)
    assert len(ears) == 1
    ears[0].plugged()
    assert wish.loop.waiting == [RETRY]
    wish.port.failure = None
    wish.news()
    ears[0].plugged()
    assert wish.news() == ["open: None"]
    assert (ears, wish.loop.waiting) == ([], [])
    wish.keeper.lost(ABSENT)
    wish.keeper.want(False)
    assert (ears, wish.loop.waiting) == ([], [])
