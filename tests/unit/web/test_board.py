"""What is told to viewers, of connections that are only played; the real ones are in test_live."""

from __future__ import annotations

import asyncio
import json
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from portline.control.operations.subject import Process
from portline.web import board as module
from portline.web.board import STATUSES, Board
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Run


class Played:
    """A connection, and what its status says."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard = self.spoken = 0
        self.age = 0.0
        self.made = 0
        self.network = SimpleNamespace(state="listening", error=None)
        self.port = SimpleNamespace(trouble=None, state="9600")
        self.keeper = SimpleNamespace(error=None, open=True)
        self.hub = SimpleNamespace(peers=[])


class Stage:
    """A board over played connections, and a viewer."""

    def __init__(self, *names: str) -> None:
        self.connections = {name: Played(name) for name in names}
        self.called = 0
        process = Process(os.getpid(), "serve", None, "1", 0.5)
        self.board = Board(
            SimpleNamespace(  # type: ignore[arg-type]  # what a board asks of a subject
                served=SimpleNamespace(gateway=self),
                rates=SimpleNamespace(of=lambda *_: None),
                process=process,
            )
        )

    def news(self) -> None:
        self.called += 1

    def told(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.board.since(number))["status"]
        return found

    async def sees(self, name: str, number: int) -> None:
        await until(lambda: name in [each["name"] for each in self.told(number)["connections"]])


@pytest.fixture(autouse=True)
def _played(monkeypatch: pytest.MonkeyPatch) -> None:
    def survey(connection: Played, now: float) -> Played:
        connection.made += 1
        return connection

    def snapshot(status: Played, rates: object) -> dict[str, object]:
        peer = {"address": "192.0.2.1:5", "connected_for": status.age}
        return {"name": status.name, "heard": status.heard, "peers": [peer]}

    monkeypatch.setattr(module, "survey", survey)
    monkeypatch.setattr(module, "snapshot", snapshot)
    monkeypatch.setattr(module, "LOOK", 0.01)


def test_a_viewer_is_sent_what_is_newer_than_what_it_has_seen(run: Run) -> None:
    async def scenario() -> None:
        stage = Stage("meter", "scale")
        board = stage.board
        board.join(stage.news)
        await until(lambda: stage.called)
        seen = board.number
        first = stage.told(0)
        assert first["order"] == ["meter", "scale"]
        assert [each["name"] for each in first["connections"]] == ["meter", "scale"]
        assert stage.told(seen)["connections"] == []
        stage.connections["scale"].heard = 5
        stage.connections["scale"].network.state = "connected"
        await stage.sees("scale", seen)
        (scale,) = stage.told(seen)["connections"]
        assert (scale["name"], scale["heard"]) == ("scale", 5)
        assert len(stage.told(0)["connections"]) == 2  # who comes now is told everything
        board.leave(stage.news)

    run(scenario())


def test_ages_alone_are_no_news(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD", 0.02)

    async def scenario() -> None:
        stage = Stage("meter")
        meter, board = stage.connections["meter"], stage.board
        board.join(stage.news)
        await until(lambda: meter.made)
        seen, meter.age = board.number, 7.0
        made = meter.made
        await until(lambda: meter.made > made + 1)
        assert (board.number, stage.called) == (seen, 1)
        meter.heard = 1  # a number: seen at the next look at everything
        await stage.sees("meter", seen)
        monkeypatch.setattr(module, "AGE_MAX", 0.0)
        seen = board.number
        await stage.sees("meter", seen)
        board.leave(stage.news)

    run(scenario())


def test_another_order_is_news_and_who_has_gone_is_left_out(run: Run) -> None:
    async def scenario() -> None:
        stage = Stage("meter", "scale")
        board = stage.board
        board.join(stage.news)
        await until(lambda: stage.called)
        seen = board.number
        meter = stage.connections.pop("meter")
        await until(lambda: board.number > seen)
        told = stage.told(seen)
        assert (told["order"], told["connections"]) == (["scale"], [])
        stage.connections["meter"] = meter
        await stage.sees("meter", seen)
        assert stage.told(0)["order"] == ["scale", "meter"]
        board.leave(stage.news)

    run(scenario())


def test_while_nobody_looks_nothing_is_made(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD", 0.0)

    async def scenario() -> None:
        stage = Stage("meter")
        meter, board = stage.connections["meter"], stage.board
        other: list[int] = []

        def also() -> None:
            other.append(board.number)

        board.join(stage.news)
        await until(lambda: stage.called)
        board.join(also)
        assert other == [board.number]  # at once, since there is something
        board.leave(stage.news)
        made = meter.made
        await until(lambda: meter.made > made)
        board.leave(also)
        made = meter.made
        assert board.number == 0
        for _ in range(20):
            await asyncio.sleep(0)
        assert meter.made == made
        board.join(also)
        await until(lambda: len(other) > 1)
        assert [each["name"] for each in stage.told(0)["connections"]] == ["meter"]
        board.leave(also)

    run(scenario())


def test_the_loop_has_a_turn_after_every_few(run: Run) -> None:
    async def scenario() -> None:
        stage = Stage(*(f"c{number}" for number in range(5 * STATUSES)))
        board = stage.board
        board.join(stage.news)
        most = before = 0
        while not stage.called:
            await asyncio.sleep(0)
            made = sum(each.made for each in stage.connections.values())
            most, before = max(most, made - before), made
        assert most == STATUSES
        board.leave(stage.news)

    run(scenario())


def test_a_status_that_cannot_be_made_is_told_and_begun_again(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        stage = Stage("meter")
        with monkeypatch.context() as patched:
            patched.setattr(module, "survey", lambda *_: 1 / 0)
            stage.board.join(stage.news)
            await until(lambda: caplog.records)
        assert "the statuses for the page failed" in caplog.text
        assert stage.called == 0
        stage.board.join(stage.news)
        await until(lambda: stage.called)
        stage.board.leave(stage.news)

    run(scenario())
