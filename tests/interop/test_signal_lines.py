"""Signal lines from outside: who may change them, and what the two ends of a cable see.

A virtual port is the far end of a null modem cable to its application: DTR there is DSR and DCD
here, RTS there is CTS here.  A pseudo terminal hides what an application drives, except that
opening raises both outputs, closing drops them, and a rate of 0 hangs up.
"""

from __future__ import annotations

import os
import termios
from typing import TYPE_CHECKING

import pytest

from tests.interop.server import SUT
from tests.interop.telnet_client import (
    BREAK,
    COM_PORT,
    DO,
    IAC,
    WILL,
    TelnetClient,
    command,
    option,
)

serial = pytest.importorskip("serial", reason="pyserial is not installed")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.interop.server import Server

# Slow: a process for each option; the rules are in tests/unit/service/test_connection_lines.py.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning"),
    pytest.mark.skipif(SUT != "portline", reason="these are options of Portline"),
]

SET_CONTROL, NOTIFY_MODEMSTATE = 5, 7
DTR_QUERY, DTR_ON, DTR_OFF, RTS_QUERY, RTS_ON, RTS_OFF = 7, 8, 9, 10, 11, 12
BREAK_QUERY, BREAK_ON, BREAK_OFF = 4, 5, 6
CTS, DSR, RI, DCD = 0x10, 0x20, 0x40, 0x80
UP = CTS | DSR | DCD

FLAGS = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK


@pytest.fixture
def name(tmp_path: Path) -> Path:
    return tmp_path / "ttyV0"


@pytest.fixture
def virtual(share: Callable[..., Server], name: Path) -> Callable[..., Server]:
    """Return a function that shares a virtual port called ``name`` by RFC 2217."""
    return lambda *options: share("rfc2217", "--virtual", str(name), *options, device="")


class Application:
    """A program that has the port open, and nothing more."""

    def __init__(self, name: Path) -> None:
        self.fd = os.open(name, FLAGS)

    def sets(self, speed: int) -> None:
        attributes = termios.tcgetattr(self.fd)
        attributes[4] = attributes[5] = speed
        termios.tcsetattr(self.fd, termios.TCSANOW, attributes)

    def close(self) -> None:
        os.close(self.fd)


def lines(client: TelnetClient) -> int:
    """Return the levels of the four lines as the client was told last."""
    return client.notices[-1][1][0] & 0xF0 if client.notices else 0


def told(client: TelnetClient, levels: int) -> None:
    """Wait until the client is told these levels."""
    client.until(lambda: lines(client) == levels)


# --- a real port: each line may be denied by itself -----------------------------------------------


@pytest.mark.parametrize(
    ("denied", "on", "off", "query"),
    [
        ("--no-allow-dtr", DTR_ON, DTR_OFF, DTR_QUERY),
        ("--no-allow-rts", RTS_ON, RTS_OFF, RTS_QUERY),
        ("--no-allow-break", BREAK_ON, BREAK_OFF, BREAK_QUERY),
    ],
)
def test_a_line_that_is_denied_stays_and_the_others_follow(
    share: Callable[..., Server], denied: str, on: int, off: int, query: int
) -> None:
    server = share("rfc2217", denied)
    with TelnetClient.when_free(server.port) as client:
        in_force = client.ask(SET_CONTROL, query)
        for asked in (on, off, on):
            assert client.ask(SET_CONTROL, asked) == in_force
        others = {DTR_QUERY: (DTR_ON, DTR_OFF), RTS_QUERY: (RTS_ON, RTS_OFF)}
        others.pop(query, None)
        for other, pair in others.items():
            for asked in (pair[1], pair[0], pair[1]):
                assert client.ask(SET_CONTROL, asked) == bytes((asked,))
                assert client.ask(SET_CONTROL, other) == bytes((asked,))
        assert client.ask(SET_CONTROL, query) == in_force


@pytest.mark.parametrize("denied", ["--no-allow-break", ""])
def test_telnets_own_break_is_a_break_too(share: Callable[..., Server], denied: str) -> None:
    server = share("rfc2217", *filter(None, [denied]), "-v")
    with TelnetClient.when_free(server.port) as client:
        client.exchange(bytes((IAC, BREAK)))
    server.wait_errors(r'asked="a break of' + (r'.*"(?= \(not allowed\))' if denied else r'.*": '))


# --- a virtual port and a client ------------------------------------------------------------------


def test_pyserial_sees_an_application_come_and_go(
    virtual: Callable[..., Server], name: Path
) -> None:
    server = virtual()
    with serial.serial_for_url(f"rfc2217://127.0.0.1:{server.port}", timeout=5) as port:

        def seen() -> tuple[bool, bool, bool, bool]:
            return (port.cts, port.dsr, port.cd, port.ri)

        assert seen() == (False, False, False, False)
        for _ in range(2):
            application = Application(name)
            server._wait(lambda: seen() == (True, True, True, False), "it is not there")
            application.close()
            server._wait(lambda: seen() == (False, False, False, False), "it is not gone")


def test_a_rate_of_zero_hangs_up(virtual: Callable[..., Server], name: Path) -> None:
    server = virtual()
    with TelnetClient.when_free(server.port) as client:
        application = Application(name)
        told(client, UP)
        application.sets(termios.B0)
        told(client, 0)
        application.sets(termios.B1200)
        told(client, UP)
        application.close()
        told(client, 0)


def test_a_client_that_comes_later_is_told_how_it_is(
    virtual: Callable[..., Server], name: Path
) -> None:
    server = virtual()
    application = Application(name)
    server.wait_listening()
    with TelnetClient.when_free(server.port) as client:
        told(client, UP)
    application.close()


def test_a_clients_outputs_are_its_own_and_go_with_it(virtual: Callable[..., Server]) -> None:
    server = virtual("--no-allow-rts")
    with TelnetClient.when_free(server.port) as client:
        assert client.ask(SET_CONTROL, DTR_ON) == bytes((DTR_ON,))
        assert client.ask(SET_CONTROL, RTS_ON) == bytes((RTS_OFF,))
    with TelnetClient.when_free(server.port) as client:
        assert client.ask(SET_CONTROL, DTR_QUERY) == bytes((DTR_OFF,))


# --- a virtual port and an access server ----------------------------------------------------------


class AccessServer(TelnetClient):
    """A peer that owns a serial port: it is commanded, and answers with what it was told."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.dtr = self.rts = False
        self.send(option(DO, COM_PORT))
        self.until(lambda: (WILL, COM_PORT) in self.options)

    def _take(self, match: object) -> None:
        before = len(self.replies)
        super()._take(match)  # type: ignore[arg-type]  # what it gives, it gets
        for code, value in self.replies[before:]:
            if code == SET_CONTROL and value[0] in (DTR_ON, DTR_OFF):
                self.dtr = value[0] == DTR_ON
            elif code == SET_CONTROL and value[0] in (RTS_ON, RTS_OFF):
                self.rts = value[0] == RTS_ON
            if code in (1, 2, 3, 4, SET_CONTROL):
                self.send(command(code + 100, value))

    def reads(self, levels: int) -> None:
        """Tell that the device has moved its lines."""
        self.send(command(NOTIFY_MODEMSTATE + 100, levels))

    def drives(self, *, dtr: bool, rts: bool) -> None:
        """Wait until the device's outputs are asked to be like this."""
        self.until(lambda: (self.dtr, self.rts) == (dtr, rts))


@pytest.fixture
def outside(virtual: Callable[..., Server]) -> Iterator[tuple[Server, AccessServer]]:
    server = virtual("-v")
    peer = AccessServer(server.port)
    peer.reads(0)
    yield server, peer
    peer.close()


def test_an_access_server_drives_what_the_application_drives(
    outside: tuple[Server, AccessServer], name: Path
) -> None:
    server, peer = outside
    for _ in range(2):
        application = Application(name)
        peer.drives(dtr=True, rts=True)
        application.close()
        peer.drives(dtr=False, rts=False)
    peer.reads(CTS | RI)
    server.wait_errors(r"remote port .*CTS on, (DSR off, DCD off, )?RI on")


def test_who_sets_the_lines_of_a_virtual_port_hears_who_can_read_them(
    virtual: Callable[..., Server],
) -> None:
    assert "ENOTTY" not in virtual().errors()
    server = virtual("--cts-connected", "high", "--no-allow-ri")
    server.wait_errors("warning .*allow-ri, cts-connected: only programs that `portline run`")
