"""What passes, fetched as a file over HTTP; Wireshark reads one in tests/interop."""

from __future__ import annotations

import asyncio
import io
import json
import os
from pathlib import Path

import pytest

from portline.recording.pcapng import read_pcapng
from portline.recording.record import Kind, Record
from portline.web import api, download
from tests.conftest import Run
from tests.unit.web.conftest import Answer, Host, hosting
from tests.unit.web.test_live import virtual
from tests.waiting import until


def packets(file: bytes) -> list[Record]:
    return list(read_pcapng(io.BytesIO(file).read))


async def fetched(host: Host, folder: Path, query: str, *data: bytes) -> Answer:
    """Fetch a file while an application writes."""
    tap = host.served.gateway.connections["a"].tap
    fd = os.open(folder / "ttyA", os.O_RDWR | os.O_NOCTTY)
    try:
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(host.ask("GET", f"/api/record?name=a&{query}", host.basic))
            await until(lambda: tap.watchers)
            for each in data:
                os.write(fd, each)
                await asyncio.sleep(0.02)
    finally:
        os.close(fd)
    return asked.result()


def test_each_format(folder: Path, run: Run) -> None:
    async def scenario() -> None:
        async with hosting(folder, virtual(folder)) as host:
            answer = await fetched(host, folder, "format=json&seconds=1", b"hello")
            assert answer.status == 200
            assert answer.headers["content-type"] == "application/x-ndjson"
            assert answer.headers["content-disposition"] == 'attachment; filename="a.jsonl"'
            records = [Record.of(json.loads(line)) for line in answer.body.splitlines()]
            assert b"".join(each.data for each in records) == b"hello"
            answer = await fetched(host, folder, "format=hex&seconds=1", b"hello")
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            assert b"68 65 6c 6c 6f" in answer.body
            answer = await fetched(host, folder, "seconds=1", b"x" * 3000)
            assert answer.headers["content-disposition"] == 'attachment; filename="a.pcapng"'
            found = [each for each in packets(answer.body) if each.kind is Kind.DATA]
            assert b"".join(each.data for each in found) == b"x" * 3000
            assert not host.served.gateway.connections["a"].tap.watchers

    run(scenario())


@pytest.mark.parametrize("form", ["hex", "json", "pcapng"])
def test_a_full_file_ends_complete(folder: Path, run: Run, form: str) -> None:
    async def scenario() -> None:
        async with hosting(folder, virtual(folder)) as host:
            query = f"format={form}&seconds=60&size=4096"
            answer = await fetched(host, folder, query, *(b"x" * 1000 for _ in range(10)))
            assert 2000 < len(answer.body) <= 4096
            if form == "json":
                assert all(json.loads(line) for line in answer.body.splitlines())
            elif form == "pcapng":
                assert packets(answer.body)

    run(scenario())


def test_it_ends_with_the_connection_and_with_who_fetches_it(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "CHECK", 0.05)

    async def scenario() -> None:
        async with hosting(folder, virtual(folder)) as host:
            connection = host.served.gateway.connections["a"]
            stranger = await host.connect()
            headers = {"Host": "localhost", **host.basic}
            stranger.asks("GET", "/api/record?name=a", headers)
            await stranger.reader.readuntil(b"\r\n\r\n")
            await until(lambda: connection.tap.watchers)
            await stranger.goes()
            await until(lambda: not connection.tap.watchers)
            browser = await host.browser()
            async with asyncio.TaskGroup() as group:
                asked = group.create_task(browser.get("/api/record?name=a"))
                await until(lambda: connection.tap.watchers)
                await browser.post("/logout", {})
            assert asked.result().status == 200
            browser = await host.browser()
            async with asyncio.TaskGroup() as group:
                asked = group.create_task(browser.get("/api/record?name=a"))
                await until(lambda: connection.tap.watchers)
                await browser.post("/api/remove", {"name": "a"})
            assert packets(asked.result().body)

    run(scenario())


def test_what_is_refused(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with hosting(folder, virtual(folder)) as host:
            for query, status, fault in (
                ("", 400, "needs the parameter 'name'"),
                ("name=a&format=raw", 400, "one of pcapng, hex, json"),
                ("name=a&seconds=0", 400, "0.1 to 86400"),
                ("name=a&seconds=1e9", 400, "0.1 to 86400"),
                ("name=a&size=1", 400, "4096 to 1073741824"),
                ("name=a&files=2", 400, "no parameter 'files'"),
                ("name=x", 404, "there is no connection 'x'"),
            ):
                answer = await host.ask("GET", f"/api/record?{query}", host.basic)
                assert (answer.status, fault in answer.json["detail"]) == (status, True), query
            assert (await host.ask("GET", "/api/record?name=a")).status == 401
            assert (await host.ask("POST", "/api/record", host.basic, {})).status == 405
            answer = await host.ask("HEAD", "/api/record?name=a", host.basic)
            assert (answer.status, answer.body) == (200, b"")
            monkeypatch.setattr(api, "STREAMS_MAX", 0)
            assert (await host.ask("GET", "/api/record?name=a", host.basic)).status == 429
            assert not host.served.gateway.connections["a"].tap.watchers

    run(scenario())
