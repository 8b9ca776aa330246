"""Operations on connections that run, on sockets and a pseudo terminal in place of a device."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from portline.config.models import GatewayConfig
from portline.config.saving import change
from portline.control.operations import configuration
from portline.control.operations.table import OPERATIONS
from portline.control.schema import parameters_schema, result_schema
from portline.errors import ConfigError, NameUnknown, PortError, UsageError
from portline.service.gateway import Gateway
from portline.service.status import State
from tests.conftest import Run
from tests.peers import Peer
from tests.unit.control.conftest import host
from tests.unit.control.obeying import disobeys
from tests.unit.control.test_schema import told
from tests.waiting import until


@pytest.fixture
def device() -> Iterator[str]:
    """A terminal that stands for a device; it has no signal lines."""
    ours, theirs = os.openpty()
    yield os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


class Running:
    """A gateway that has read a file, and whoever asks it."""

    def __init__(self, path: Path, *tables: str) -> None:
        self.path = path
        path.write_text("\n".join(tables))
        self.gateway = Gateway(self.read())
        self.subject = host(self.gateway).subject
        self.subject.served.edit = self.edit  # type: ignore[method-assign]

    def read(self) -> GatewayConfig:
        return change(self.path, str)

    async def edit(self, edit: Callable[[str], str]) -> list[str]:
        return self.gateway.apply(change(self.path, edit)).lines()

    async def __aenter__(self) -> Running:
        self.gateway.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.gateway.stop()

    async def ask(self, name: str, /, **parameters: object) -> dict[str, Any]:
        """Return an answer as a caller reads it, who may rely on the schemas."""
        operation = OPERATIONS[name]
        assert list(disobeys(parameters, parameters_schema(operation))) == []
        result = await operation.run(self.subject, **operation.arguments(parameters))
        answer = told(result)
        assert list(disobeys(answer, result_schema(operation.result))) == []
        assert isinstance(answer, dict)
        return answer

    def peer(self, name: str = "meter") -> Peer:
        return Peer(int(self.gateway.connections[name].network.places[0].split()[0].split(":")[1]))


def meter(device: str, more: str = "") -> str:
    return f'[connections.meter]\nport = "{device}"\nlisten = "127.0.0.1:0"\n{more}'


def test_an_edit_says_what_the_device_does_not_do_of_it(
    run: Run, tmp_path: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with Running(tmp_path / "x.toml", meter(device)) as made:
            connection = made.gateway.connections["meter"]
            await until(lambda: connection.keeper.open)
            # The kernel gives pseudo terminals 8 bits and no parity.
            answer = await made.ask("update", name="meter", options={"parity": "even"})
            assert answer["changes"] == ["meter: parity changed"]
            assert "the device does not do 9600-8E1; it stays at 9600-8N1" in answer["note"]
            await until(lambda: connection.keeper.open)
            answer = await made.ask("update", name="meter", options={"parity": None})
            assert (answer["changes"], answer["note"]) == (["meter: parity changed"], "")
            monkeypatch.setattr(configuration, "ANSWER", 0.01)
            monkeypatch.setattr(type(connection.port), "configure", lambda *_: None)
            answer = await made.ask("update", name="meter", options={"parity": "even"})
            assert answer["note"] == "", "what has not answered is not waited for"

    run(scenario())


def test_who_adds_a_connection_is_told_its_trouble(run: Run, tmp_path: Path, device: str) -> None:
    async def scenario() -> None:
        async with Running(tmp_path / "x.toml", meter(device)) as made:
            absent = {"port": str(tmp_path / "ttyABSENT"), "listen": "127.0.0.1:0"}
            answer = await made.ask("add", name="absent", options=absent)
            assert answer["changes"] == ["absent: added"]
            assert answer["note"].startswith(f"port absent - {absent['port']}: is not there")
            answer = await made.ask("update", name="absent", options={"port": "/dev/null"})
            assert answer["note"].startswith("error - /dev/null: is not a serial port")
            virtual = {"virtual": str(tmp_path / "v"), "listen": "127.0.0.1:0"}
            answer = await made.ask("add", name="virtual", options=virtual)
            assert (answer["changes"], answer["note"]) == (["virtual: added"], "")

    run(scenario())


def test_a_connection_is_stopped_and_started(run: Run, tmp_path: Path, device: str) -> None:
    async def scenario() -> None:
        async with Running(tmp_path / "x.toml", meter(device)) as made:
            address = made.gateway.connections["meter"].network.places[0].split()[0]
            with made.peer() as peer:
                await until(lambda: made.gateway.connections["meter"].hub.peers)
                answer = await made.ask("stop", name="meter")
                assert answer["changes"] == ["meter: stopped"]
                assert (answer["state"], answer["reason"]) == ("stopped", "stopped by hand")
                await until(lambda: (peer.look(), peer.end)[1])
            with socket.socket() as other:  # as by another program
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                other.bind(("127.0.0.1", int(address.rpartition(":")[2])))
                other.listen()
            assert (await made.ask("stop", name="meter"))["changes"] == []
            (status,) = (await made.ask("status"))["connections"]
            assert (status["state"], status["port"]["open"]) == ("stopped", False)
            assert (await made.ask("start", name="meter"))["state"] == "listening"
            assert (await made.ask("start", name="meter"))["changes"] == []
            for name in ("start", "stop", "enable", "disable", "lines", "break", "settings"):
                with pytest.raises(NameUnknown, match="no connection 'x'; there are: meter"):
                    await made.ask(name, name="x")

    run(scenario())


def test_a_connection_is_enabled_and_disabled(run: Run, tmp_path: Path, device: str) -> None:
    async def scenario() -> None:
        path = tmp_path / "x.toml"
        async with Running(path, meter(device)) as made:
            text = path.read_text()
            answer = await made.ask("disable", name="meter")
            assert answer["changes"] == ["meter: disabled"]
            assert answer["reason"] == "not enabled (enabled = false)"
            assert path.read_text() == text + "enabled = false\n"
            assert not made.gateway.connections["meter"].keeper.open
            assert (await made.ask("disable", name="meter"))["changes"] == []
            assert (await made.ask("start", name="meter"))["state"] == "listening"
            answer = await made.ask("disable", name="meter")  # what runs ends all the same
            assert answer["changes"] == ["meter: stopped"]
            assert answer["state"] == "stopped"
            answer = await made.ask("enable", name="meter")
            assert (answer["changes"], answer["state"]) == (["meter: enabled"], "listening")
            assert path.read_text() == text
            await made.ask("stop", name="meter")
            answer = await made.ask("enable", name="meter")
            assert (answer["changes"], answer["state"]) == (["meter: started"], "listening")

    run(scenario())


def test_a_peer_is_sent_away(run: Run, tmp_path: Path, device: str) -> None:
    async def scenario() -> None:
        async with Running(tmp_path / "x.toml", meter(device)) as made:
            hub = made.gateway.connections["meter"].hub
            with made.peer() as one, made.peer() as two, made.peer() as three:
                await until(lambda: len(hub.peers) == 3)
                hub.peers[0].deliver(b"what waits for it")
                first = hub.peers[0].name
                answer = await made.ask("disconnect", name="meter", peer=hub.peers[0].number)
                assert (answer["peer"], answer["again"]) == (first, False)
                ended = next(each for each in (one, two, three) if each.address == first)
                await ended.hears(b"what waits for it")
                await until(lambda: (ended.look(), ended.end)[1])
                assert ended.end == "FIN"
                with pytest.raises(
                    UsageError, match=r"127\.0\.0\.1 is more than one peer; say which"
                ):
                    await made.ask("disconnect", name="meter", peer="127.0.0.1")
                await made.ask("disconnect", name="meter", peer=hub.peers[0].name)
                await made.ask("disconnect", name="meter", peer="127.0.0.1")
                assert hub.peers == ()
                with pytest.raises(UsageError, match="no peer '1'; connected: nobody"):
                    await made.ask("disconnect", name="meter", peer=1)
            with pytest.raises(UsageError, match="peer must be the number of a peer"):
                OPERATIONS["disconnect"].arguments({"name": "meter", "peer": None})

    run(scenario())


def test_a_host_of_datagrams_is_no_guest(run: Run, tmp_path: Path, device: str) -> None:
    table = f'[connections.far]\nkind = "udp"\nport = "{device}"\nconnect = "127.0.0.1:9"\n'

    async def scenario() -> None:
        async with Running(tmp_path / "x.toml", table) as made:
            await until(lambda: made.gateway.connections["far"].hub.peers)
            with pytest.raises(UsageError, match="is sent to because connect names it; take it"):
                await made.ask("disconnect", name="far", peer=1)
            assert made.gateway.status()[0].state is State.CONNECTED

    run(scenario())


def test_the_panel_of_a_real_port(run: Run, tmp_path: Path, device: str) -> None:
    async def scenario() -> None:
        async with Running(tmp_path / "x.toml", meter(device)) as made:
            answer = await made.ask("lines", name="meter")
            assert answer["driven"] == ["dtr", "rts"]
            assert answer["lines"] == {}
            assert "has no signal lines" in answer["note"]
            with pytest.raises(PortError, match="the device has no signal lines"):
                await made.ask("lines", name="meter", lines={"dtr": True, "rts": None})
            answer = await made.ask("settings", name="meter", options={"baudrate": "19200"})
            assert (answer["settings"]["baudrate"], answer["notation"]) == (19200, "19200-8N1")
            assert (await made.ask("settings", name="meter"))["notation"] == "19200-8N1"
            assert (await made.ask("break", name="meter", seconds=0.01))["seconds"] == 0.01
            await made.ask("stop", name="meter")
            with pytest.raises(PortError, match="is not open now"):
                await made.ask("break", name="meter")

    run(scenario())


def test_mistakes_in_settings_are_told_by_option(run: Run, tmp_path: Path, device: str) -> None:
    async def scenario() -> None:
        async with Running(tmp_path / "x.toml", meter(device)) as made:
            wrong = {"baudrate": 1, "parity": "x", "listen": 1, "stop_bits": 2}
            with pytest.raises(ConfigError) as caught:
                await made.ask("settings", name="meter", options=wrong)
            assert [key for key, _ in caught.value.faults] == ["baudrate", "parity", "listen"]
            assert caught.value.mistakes[0].startswith("baudrate: 1 must be 50 to 4000000 bit/s")
            assert made.gateway.status()[0].port.settings.baudrate == 9600

    run(scenario())


@pytest.mark.parametrize(
    ("name", "parameters", "told"),
    [
        ("lines", {"lines": {"dtr": 1}}, "lines must be a table of lines"),
        ("lines", {"lines": ["dtr"]}, "lines must be a table of lines"),
        ("break", {"seconds": 0}, "seconds must be a number in 0.001 to 5"),
        ("break", {"seconds": True}, "seconds must be a number in 0.001 to 5"),
        ("break", {"seconds": 6}, "seconds must be a number in 0.001 to 5"),
        ("disconnect", {"peer": " "}, "peer must be the number"),
        ("disconnect", {"peer": False}, "peer must be the number"),
    ],
)
def test_wrong_parameters(name: str, parameters: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=f"{name}: {told}"):
        OPERATIONS[name].arguments({"name": "meter"} | parameters)


def test_the_ports_of_the_machine(
    run: Run, tmp_path: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portline.port.inventory.holder import Holder
    from portline.port.inventory.ports import FoundPort, Usb
    from portline.port.inventory.topology import Socket
    from portline.service import devices as module

    found = [
        FoundPort(device, usb=Usb("0403", "6001"), socket=Socket("1-1:1.0")),
        FoundPort("/dev/ttyS9", console=True),
    ]
    monkeypatch.setattr(module, "found_ports", lambda: found)
    monkeypatch.setattr(module, "holders", lambda paths: {p: [Holder(9, "x")] for p in paths})

    async def scenario() -> None:
        async with Running(tmp_path / "x.toml", meter(device)) as made:
            answer = await made.ask("ports")
            assert [each["path"] for each in answer["ports"]] == [device, "/dev/ttyS9"]
            assert answer["ports"][0]["held"] == "pid 9 (x)"
            assert answer["connections"] == {device: "meter"}

    run(scenario())
