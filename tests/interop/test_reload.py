"""Another configuration while data flows: SIGHUP, as ``systemctl reload`` sends it."""

from __future__ import annotations

import signal
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from tests.interop.device import PATIENCE, Device
from tests.interop.server import Service, free_port, listening

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUSY = '[connections.busy]\nport = "{device}"\nlisten = {port}\n'
OTHER = '[connections.{name}]\nvirtual = "{link}"\nlisten = {port}\n{rest}\n'

ROUNDS = 20


class House:
    """A busy connection, and room for another one beside it."""

    def __init__(self, folder: Path) -> None:
        self.device = Device(folder / "ttyDEVICE")
        self.link = folder / "ttyOTHER"
        self.ports = free_port(), free_port()
        self.service = Service(
            self.config(), self.ports[0], file=folder / "portline.toml", log=folder / "serve.log"
        )

    def config(self, rest: str | None = None, name: str = "other", busy: str = "") -> str:
        """Return a file with the busy connection, and with another one unless ``rest`` is None."""
        text = BUSY.format(device=self.device.path, port=self.ports[0]) + busy
        if rest is None:
            return text
        return text + OTHER.format(name=name, link=self.link, port=self.ports[1], rest=rest)

    def connect(self, which: int = 0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.ports[which]), PATIENCE)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    try:
        yield made
        made.service.stop()
    finally:
        made.service.process.kill()
        made.service.process.wait()
        made.device.unplug()


def received(peer: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size and (chunk := peer.recv(65536)):
        got += chunk
    return got


def test_a_connection_that_is_not_touched_loses_no_byte(house: House) -> None:
    sent = b"".join(b"%06d\n" % number for number in range(60_000))
    with house.connect() as peer:
        writer = threading.Thread(target=house.device.write, args=(sent,))
        writer.start()
        for number in range(ROUNDS):
            if number % 2:
                house.service.reload(house.config(), "other: removed")
            else:
                house.service.reload(house.config("buffer-size = 10"), "other: added")
            house.service.reload(house.config('notify = "maybe"', busy="baudrate = 1\n"), "nothing")
        assert received(peer, len(sent)) == sent
        writer.join(PATIENCE)
        peer.sendall(b"and back")
        assert house.device.read(8) == b"and back"


def test_what_is_adapted_keeps_its_peers(house: House) -> None:
    house.service.reload(house.config(""), "other: added")
    with house.connect() as peer, house.connect(1) as beside:
        house.service.reload(
            house.config("max-connections = 1", busy="baudrate = 19200\n"),
            "busy: baudrate changed\nother: max-connections changed",
        )
        house.device.write(b"x")
        assert peer.recv(1) == b"x"
        assert house.device.in_force().baudrate == 19200
        with house.connect(1) as refused:
            assert b"in use by 127.0.0.1" in received(refused, 10_000)
        with house.link.open("r+b", buffering=0) as application:
            application.write(b"y")
            assert beside.recv(1) == b"y"
        house.service.reload(house.config("", name="another"), "other: is called another now")
        with house.link.open("r+b", buffering=0) as application:
            application.write(b"z")
            assert beside.recv(1) == b"z"


def test_every_mistake_is_told_and_nothing_is_changed(house: House) -> None:
    bad = house.config("listen-when-opened = true\nbuffer-size = -1", busy="parity = 9\n")
    house.service.reload(bad, "nothing was changed")
    for where in (":4: connections.busy.parity", "listen-when-opened", "buffer-size"):
        assert where in house.service.errors()
    assert not listening(house.ports[1])
    house.service.file.unlink()
    before = house.service.errors()
    house.service.process.send_signal(signal.SIGHUP)
    house.service.wait_errors("there is no such file")
    assert before in house.service.errors()
    with house.connect() as peer:
        house.device.write(b"x")
        assert peer.recv(1) == b"x"


def test_another_port_is_another_connection(house: House, tmp_path: Path) -> None:
    another = Device(tmp_path / "ttyANOTHER")
    try:
        with house.connect() as peer:
            text = house.config().replace(str(house.device.path), str(another.path))
            house.service.reload(text, "busy: port changed; begins anew")
            assert peer.recv(1) == b""
        house.service.wait_listening()
        with house.connect() as peer:
            peer.sendall(b"x")
            assert another.read(1) == b"x"
    finally:
        another.unplug()
