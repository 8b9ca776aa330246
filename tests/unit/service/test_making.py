from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

import portline
from portline.config.models import (
    ClientConnection,
    ConnectionConfig,
    ServerConnection,
    UdpConnection,
)
from portline.errors import PortAbsent, PortError
from portline.line import Item, LineSettings, Parity, Query, Told
from portline.port.pty.port import PtyPort
from portline.port.tty.port import PosixPort
from portline.service.making import make_network, make_port, make_wire
from portline.service.network.calling import Calling
from portline.service.network.datagrams import Datagrams
from portline.service.network.reception import Reception
from portline.service.news import News
from portline.wire.base import RawWire
from portline.wire.rfc2217 import Rfc2217Wire
from tests.conftest import Run
from tests.helpers import WirePair
from tests.ports import Recorder

LOG = logging.LoggerAdapter(logging.getLogger("portline.connection"), {"connection": "meter"})


def configured(**table: object) -> ServerConnection:
    return ServerConnection.model_validate(table)


def test_a_device_becomes_a_real_port_with_its_settings(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        path = str(tmp_path / "ttyUSB0")
        config = configured(port=path, baudrate=19200, parity="even")
        port = make_port(config, owner=Recorder(), loop=asyncio.get_running_loop(), log=LOG)
        assert isinstance(port, PosixPort)
        assert port.name == path
        assert port.state.settings == LineSettings(baudrate=19200, parity=Parity.EVEN)
        with pytest.raises(PortAbsent):
            port.open()

    run(scenario())


def test_a_virtual_port_is_made(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "ttyV0"
        config = configured(virtual=str(path), backend="pty")
        port = make_port(config, owner=Recorder(), loop=asyncio.get_running_loop(), log=LOG)
        assert isinstance(port, PtyPort)
        assert not path.exists()
        port.open()
        assert path.exists()
        port.close()

    run(scenario())


def test_a_virtual_port_over_a_device_is_made(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "ttyS1"
        config = configured(virtual=str(path), backend="pty", overlap=True)
        port = make_port(config, owner=Recorder(), loop=asyncio.get_running_loop(), log=LOG)
        with pytest.raises(PortAbsent, match="no device to lie over"):
            port.open()
        assert not path.exists()

    run(scenario())


@pytest.mark.parametrize("adapter", ["pl2303", "ftdi", "cdc-acm"])
def test_a_usb_port_says_what_is_missing_when_it_opens(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adapter: str
) -> None:
    monkeypatch.setattr("portline.port.usbip.vhci.obstacle", lambda *_: "nothing to plug into")

    async def scenario() -> None:
        path = tmp_path / "ttyV0"
        config = configured(virtual=str(path), backend="usbip", adapter=adapter)
        port = make_port(config, owner=Recorder(), loop=asyncio.get_running_loop(), log=LOG)
        assert (port.capabilities.backend, port.capabilities.variant) == ("usbip", adapter)
        with pytest.raises(PortError, match="ttyV0: nothing to plug into"):
            port.open()
        assert list(tmp_path.iterdir()) == []

    run(scenario())


def test_raw_peers_get_bytes_as_they_are() -> None:
    assert isinstance(make_wire("raw", "meter", configured(port="/dev/x")), RawWire)


def test_a_real_port_serves_and_a_virtual_one_asks() -> None:
    real = make_wire("rfc2217", "meter", configured(port="/dev/x", protocol="rfc2217"))
    virtual = make_wire("rfc2217", "v", configured(virtual="v", protocol="rfc2217"))
    assert isinstance(real, Rfc2217Wire)
    assert isinstance(virtual, Rfc2217Wire)
    pair = WirePair(virtual, real)
    pair.start()
    assert (real.serving, real.asking) == (True, False)
    assert virtual.asking
    pair.client.unsent += virtual.ask(Query(Item.SIGNATURE), 0.0)
    pair.settle()
    signature = f"Portline {portline.__version__} meter"
    assert [event for event in pair.client.events if isinstance(event, Told)][-1].value == signature


@pytest.mark.parametrize(
    ("model", "table", "kind"),
    [
        (ServerConnection, {"listen": "127.0.0.1:0"}, Reception),
        (ClientConnection, {"connect": ["127.0.0.1:4001"]}, Calling),
        (UdpConnection, {"connect": ["127.0.0.1:5000"]}, Datagrams),
    ],
)
def test_each_kind_of_connection_has_its_network_side(
    run: Run, model: type[ConnectionConfig], table: dict[str, object], kind: type[object]
) -> None:
    async def scenario() -> None:
        config = model.model_validate({"port": "/dev/ttyUSB0"} | table)
        log = logging.LoggerAdapter(logging.getLogger("portline.connection"), {})
        made = make_network(
            "meter",
            config,
            loop=asyncio.get_running_loop(),
            peers=tuple,
            moved=lambda: 0,
            enter=lambda link, protocol: pytest.fail("nobody has connected"),
            news=News(log),
            log=log,
        )
        assert isinstance(made, kind)
        made.close()

    run(scenario())
