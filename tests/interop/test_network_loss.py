"""The network is taken away while an application transfers, which must never notice.

The application writes and reads numbers all the time.  Whatever happens, its port stays: no error,
no end of file, the same name; and what does not reach the device is counted by the client, but for
what a server had already taken when it was killed.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import select
import signal
import socket
import struct
import termios
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.interop.cable import Cable, NotPermittedError, connections
from tests.interop.conftest import lacking
from tests.interop.device import PATIENCE
from tests.interop.pair import Client, eventually, open_port, set_port, status
from tests.interop.server import SUT, Server, free_port
from tests.interop.telnet_client import COM_PORT
from tests.interop.test_reconnecting import LAST_LOOK, RESET, SIZE, read, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.interop.device import Device

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SUT != "portline", reason="the client is Portline's"),
    pytest.mark.timeout(300),
]

PIECE = 6
"""Numbers that are written at once."""

PAUSE = 0.002
"""Seconds between two pieces: some 20 kB a second, with which the buffer lasts for seconds."""

RETRY_MAX = 0.2
"""Seconds."""

RETRY = ("--retry", "50ms", "--retry-max", str(RETRY_MAX))

RATES = (19200, 57600, 115200)
"""What the application asks for; the server's own is 9600."""


def times(quick: int, slow: int) -> Any:
    """Take the network away ``quick`` times in the quick run, and ``slow`` times in the other."""
    few = pytest.param(quick, marks=pytest.mark.covered)
    return pytest.mark.parametrize("losses", [few, pytest.param(slow, marks=pytest.mark.slow)])


protocols = pytest.mark.parametrize("protocol", ["raw", "rfc2217"])


class Application:
    """Transfers numbers in both directions; ``faults`` is everything that it ever notices."""

    def __init__(self, client: Client, device: Device) -> None:
        self.device = device
        self.path = client.path
        self.target = os.readlink(client.path)
        self.port = open_port(client.path, RATES[0])
        self.rate = RATES[0]
        self.sent = 0
        self.received = bytearray()
        self.delivered = bytearray()
        self.faults: list[str] = []
        self._stop_writing = threading.Event()
        self._stop_reading = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(each,), daemon=True)
            for each in (self._write, self._read, self._deliver, self._answer)
        ]
        for thread in self._threads:
            thread.start()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self.faults.append(f"{work.__name__}: {error!r}")

    def _write(self) -> None:
        number = 0
        while not self._stop_writing.wait(PAUSE):
            piece = b"".join(map(written, range(number, number + PIECE)))
            number += PIECE
            view = memoryview(piece)
            while view:
                count = os.write(self.port, view)
                self.sent += count
                view = view[count:]

    def _read(self) -> None:
        while not self._stop_reading.is_set():
            if select.select([self.port], [], [], 0.05)[0]:
                data = os.read(self.port, 4096)
                assert data, "end of file: the port was hung up"
                self.received += data

    def _deliver(self) -> None:
        while not self._stop_reading.is_set():
            self.delivered += self.device.read(4096, 0.05)

    def _answer(self) -> None:
        number = 0
        while not self._stop_writing.wait(0.01):
            # While the server is away nobody reads the device: then it loses what it says.
            with contextlib.suppress(BlockingIOError):
                os.write(self.device.master, b"".join(map(written, range(number, number + 2))))
            number += 2

    def changes_rate(self) -> None:
        """Change the settings, as often as not while there is no network."""
        self.rate = RATES[(RATES.index(self.rate) + 1) % len(RATES)]
        try:
            set_port(self.port, self.rate)
        except (OSError, termios.error) as error:
            self.faults.append(repr(error))

    def is_well(self) -> None:
        assert not self.faults, self.faults
        assert os.readlink(self.path) == self.target, "the name leads to another port"

    def settles(self, client: Client) -> Any:
        """Stop writing; return the client's status when everything has gone as far as it goes."""
        self._stop_writing.set()
        self._threads[0].join(PATIENCE)

        def gone() -> bool:
            now = status(client)
            if now["counters"]["heard"] < self.sent or now["counters"]["kept"]:
                return False
            before = len(self.delivered)
            return not self.device_gets_more(before)

        eventually(gone, f"{status(client)}", 2 * PATIENCE)
        return status(client)

    def device_gets_more(self, before: int) -> bool:
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            if len(self.delivered) > before:
                return True
            time.sleep(0.02)
        return False

    def close(self) -> None:
        self._stop_writing.set()
        self._stop_reading.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        os.close(self.port)


@pytest.fixture
def application(device: Device) -> Iterator[Callable[[Client], Application]]:
    with contextlib.ExitStack() as stack:

        def start(client: Client) -> Application:
            made = Application(client, device)
            stack.callback(made.close)
            return made

        yield start


def accounted(application: Application, client: Client, allowance: int = 0) -> None:
    """Compare what arrived with what was written; nothing is missing that is not counted."""
    now = application.settles(client)
    application.is_well()
    counters = now["counters"]
    assert counters["heard"] == application.sent
    numbers = read(bytes(application.delivered))
    missing = application.sent - SIZE * len(set(numbers))
    counted = sum(
        (
            counters["dropped"],
            counters["keep_discarded"],
            counters["unheard"],
            now["port"]["discarded"],
        )
    )
    # What had arrived, but whose acknowledgement was lost, is sent again.
    twice = SIZE * (len(numbers) - len(set(numbers)))
    losses = client.connections - 1
    print(f"sent {application.sent}, missing {missing}, counted {counted}, twice {twice}")
    assert twice <= losses * LAST_LOOK, "more came twice than can have been on its way"
    # A gap of some bytes may break one number at each of its ends.
    torn = 2 * SIZE * losses if counted else 0
    assert missing <= counted + torn + allowance, counters
    assert application.received, "nothing comes back"
    back = read(bytes(application.received))
    assert back == sorted(set(back)), "what the device said came out of order"


# --- connections that end ------------------------------------------------------------------------


class Relay(threading.Thread):
    """Stands between client and server, one connection at a time, and ends it when asked to.

    ``heads`` is how each connection began, as the client said it.
    """

    def __init__(self, server: int, dice: random.Random, *, one_peer: bool) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.one_peer = one_peer
        self._onwards: list[socket.socket] = []
        self.dice = dice
        self.port = free_port()
        self.heads: list[bytes] = []
        self._way = ""
        self._cuts = 0
        self._cut = threading.Event()
        self._stopping = False
        self._listener = self._listen()
        self.start()

    def _listen(self) -> socket.socket:
        return socket.create_server(("127.0.0.1", self.port), backlog=8)

    def cut(self, way: str) -> None:
        """End the connection that is there, or the next one."""
        eventually(lambda: len(self.heads) > self._cuts, "nobody connects")
        self._cuts += 1
        self._way = way
        self._cut.set()

    def stop(self) -> None:
        self._stopping = True
        self._cut.set()
        self.join(PATIENCE)
        for each in (self._listener, *self._onwards):
            each.close()

    def run(self) -> None:
        while not self._stopping:
            if not select.select([self._listener], [], [], 0.05)[0]:
                continue
            peer, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self.server), PATIENCE)
            self._onwards.append(server)
            for each in (peer, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._cut.clear()
            self.heads.append(b"")
            self._pass(peer, server)
            self._end(peer, server)

    def _pass(self, peer: socket.socket, server: socket.socket) -> None:
        while not self._cut.is_set():
            for each in select.select([peer, server], [], [], 0.005)[0]:
                try:
                    data = each.recv(65536)
                except ConnectionResetError:
                    data = b""
                if not data:
                    return
                if each is peer:
                    self._onward(server, data)
                else:
                    peer.sendall(data)

    def _onward(self, server: socket.socket, data: bytes) -> None:
        if len(self.heads[-1]) < 4096:
            self.heads[-1] += data
        server.sendall(data)

    def _end(self, peer: socket.socket, server: socket.socket) -> None:
        way, self._way = self._way, ""
        if way == "resets":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        elif way == "refuses":
            self._listener.close()
        if way != "resets":
            # As close() does, but what the kernel has acknowledged until now can still be read: it
            # takes nothing more and answers data with RST.
            peer.shutdown(socket.SHUT_RDWR)
        peer.setblocking(False)
        with contextlib.suppress(OSError):
            while data := peer.recv(65536):
                self._onward(server, data)
        peer.close()
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_WR)
            # Of a raw port it hears for a second more; of the other there is one peer at a time.
            while self.one_peer and server.recv(65536):
                pass
        if way == "refuses":
            time.sleep(self.dice.uniform(0.0, 0.3))
            self._listener = self._listen()


COMMAND = re.compile(
    rb"\xff(?:[\xfb-\xfe].|\xfa(?P<suboption>(?:[^\xff]|\xff[^\xf0])*)\xff\xf0)", re.DOTALL
)


def asked_first(head: bytes) -> int | None:
    """Return the last baudrate that was asked for before the first byte of data; None without any.

    A head that holds no data tells nothing; then it is 0.
    """
    rate: int | None = None
    at = 0
    while at < len(head):
        match = COMMAND.match(head, at)
        if match is None:
            return rate
        suboption = match["suboption"]
        if suboption and suboption[:2] == bytes((COM_PORT, 1)):
            (rate,) = struct.unpack("!I", suboption[2:].replace(b"\xff\xff", b"\xff"))
        at = match.end()
    return 0


@protocols
@times(20, 100)
def test_connections_end(
    device: Device,
    share: Callable[..., Server],
    attach: Callable[..., Client],
    application: Callable[[Client], Application],
    protocol: str,
    losses: int,
) -> None:
    dice = random.Random(f"ends {protocol} {losses}")
    server = share(protocol)
    relay = Relay(server.port, dice, one_peer=protocol == "rfc2217")
    client = attach(relay.port, protocol, *RETRY)
    try:
        client.connected()
        running = application(client)
        rates = [running.rate]
        resets = 0
        for turn in range(losses):
            time.sleep(dice.uniform(0.0, 0.1))
            way = dice.choice(("closes", "resets", "refuses"))
            resets += way == "resets"
            relay.cut(way)
            if dice.random() < 0.5:
                running.changes_rate()
            rates.append(running.rate)
            client.connected(turn + 2)
            running.is_well()
        if protocol == "rfc2217":
            eventually(lambda: device.in_force().baudrate == running.rate, "the rate is wrong")
            for head, before, after in zip(relay.heads[1:], rates, rates[1:], strict=False):
                assert asked_first(head) in (0, before, after), head
        accounted(running, client, allowance=LAST_LOOK if resets else 0)
    finally:
        relay.stop()


# --- the server is killed ------------------------------------------------------------------------


def waits(client: Client) -> None:
    """See that the next attempt is never further away than the configuration says."""

    def trying() -> re.Match[str] | None:
        return re.search(r"attempt \d+, next in ([0-9.]+) s: ", status(client)["reason"])

    eventually(trying, "it does not try again")
    found = trying()
    assert found is None or float(found[1]) <= RETRY_MAX, found


@protocols
@times(4, 10)
def test_the_server_is_killed(
    device: Device,
    share: Callable[..., Server],
    attach: Callable[..., Client],
    application: Callable[[Client], Application],
    protocol: str,
    losses: int,
) -> None:
    dice = random.Random(f"killed {protocol} {losses}")
    server = share(protocol)
    client = attach(server.port, protocol, *RETRY)
    client.connected()
    running = application(client)
    for turn in range(losses):
        time.sleep(dice.uniform(0.0, 0.3))
        server.process.send_signal(dice.choice((signal.SIGKILL, signal.SIGTERM)))
        server.process.wait(PATIENCE)
        if dice.random() < 0.5:
            running.changes_rate()
        waits(client)
        server = share(protocol, port=server.port)
        client.connected(turn + 2)
        running.is_well()
        if protocol == "rfc2217":
            eventually(lambda: device.in_force().baudrate == running.rate, "the rate is wrong")
    # What it had taken is gone with it: the kernel's and its own, at each time some milliseconds'.
    accounted(running, client, allowance=losses * LAST_LOOK)


# --- nothing comes through -----------------------------------------------------------------------

ESTABLISHED = "01"
"""What /proc/net/tcp says of a connection that is there."""


class Wire(Cable):
    """A cable from the server (near) to the client (far) that can be taken away in some ways."""

    NOBODY = "02:00:00:00:00:01"

    def drop(self, *, drop: bool) -> None:
        """Let everything that the client sends go to a machine that is not there."""
        hardware = self.NOBODY if drop else self._hardware(self.near, "near")
        entry = f"ip neighbour replace {self.NEAR} lladdr {hardware} dev far nud permanent"
        self._run(self.far, entry)

    def pull(self, *, out: bool) -> None:
        """Pull the cable out, or plug it in again."""
        self._run(self.far, f"ip link set far {'down' if out else 'up'}")
        if not out:
            self._run(self.far, f"ip route replace {self.NEAR}/32 dev far")

    def move(self, address: str, *, away: bool) -> None:
        """Take an address from the client's machine, which has another one; or give it back."""
        self._run(self.far, f"ip address {'del' if away else 'add'} {address}/32 dev far")

    def address_of(self, client: Client) -> str:
        """Return the address that a client is connected from."""
        for row in connections(client.process.pid):
            if row[3] == ESTABLISHED:
                return socket.inet_ntoa(struct.pack("=I", int(row[1].partition(":")[0], 16)))
        raise AssertionError("it is not connected")

    def _hardware(self, where: list[str], name: str) -> str:
        link = self._run(where, f"ip -oneline link show dev {name}").split()
        return link[link.index("link/ether") + 1]


@pytest.fixture
def wire() -> Iterator[Wire]:
    try:
        made = Wire().__enter__()
    except NotPermittedError as error:
        lacking(f"no network namespaces here: {error}")
    yield made
    made.close()


@protocols
@times(5, 20)
def test_nothing_comes_through(
    device: Device,
    share: Callable[..., Server],
    attach: Callable[..., Client],
    application: Callable[[Client], Application],
    wire: Wire,
    protocol: str,
    losses: int,
) -> None:
    """Packets are lost, the cable is pulled, the address changes, the server dies meanwhile."""
    dice = random.Random(f"lost {protocol} {losses}")
    keepalive = ("--keepalive", "1", "--keepalive-retry", "1")
    port = free_port()
    # The last --listen counts.
    words = ("--open", "--listen", f"{Wire.NEAR}:{port}", *keepalive)
    server = near_server(share, wire, protocol, words)
    client = attach(
        f"{Wire.NEAR}:{port}",
        protocol,
        *RETRY,
        *keepalive,
        "--connect-timeout",
        "500ms",
        prefix=wire.far,
    )
    client.connected()
    running = application(client)
    kills = 0
    for _ in range(losses):
        time.sleep(dice.uniform(0.0, 0.2))
        way = dice.choice(("drop", "pull", "move", "die"))
        before = client.connections
        if way == "move":
            address = wire.address_of(client)
            wire.move(address, away=True)
            client.connected(before + 1)
            wire.move(address, away=False)
        else:
            take = wire.pull if way == "pull" else wire.drop
            take(**{"out" if way == "pull" else "drop": True})
            time.sleep(dice.uniform(0.0, 1.0))
            if way == "die":  # the client's connection is half open: nobody says that it ended
                server.process.kill()
                server.process.wait(PATIENCE)
                kills += 1
            if dice.random() < 0.5:
                running.changes_rate()
            take(**{"out" if way == "pull" else "drop": False})
            if way == "die":
                server = near_server(share, wire, protocol, words)
                client.connected(before + 1)
        mark = len(running.delivered)
        eventually(lambda: len(running.delivered) > mark, f"nothing arrives after {way}")  # noqa: B023
        running.is_well()
        if protocol == "rfc2217":
            eventually(lambda: device.in_force().baudrate == running.rate, "the rate is wrong")
    accounted(running, client, allowance=kills * LAST_LOOK)


def near_server(
    share: Callable[..., Server], wire: Wire, protocol: str, words: tuple[str, ...]
) -> Server:
    """Start a server at the near end; there, nobody sees from here whether it listens."""
    server = share(protocol, *words, "-v", prefix=wire.near, wait=False)
    server.wait_errors("shares|listening")
    return server
