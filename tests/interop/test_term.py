"""``portline term`` with a terminal of its own, at real connections and devices."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import pytest

from portline.line import Item, PortState, Query, SetLine, SetModem
from portline.wire.rfc2217 import Rfc2217Wire
from tests.interop.device import PATIENCE
from tests.interop.server import SUT, free_port
from tests.interop.test_programs import shows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.interop.device import Device
    from tests.interop.server import Server

pytestmark = [
    pytest.mark.skipif(SUT != "portline", reason="it is about Portline's own commands"),
    pytest.mark.usefixtures("sockets"),
]

ESCAPE = b"\x1d"

TERM = [sys.executable, "-X", "dev", "-m", "portline", "term"]


class Sitting:
    """Somebody at a terminal in which ``portline term`` runs."""

    def __init__(self, *words: str, stdout: IO[bytes] | None = None) -> None:
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            [*TERM, *words],
            stdin=self.slave,
            stdout=self.slave if stdout is None else stdout,
            stderr=self.slave,
            start_new_session=True,
        )
        self.shown = b""

    def sees(self, wanted: str | bytes) -> bytes:
        """Wait until this is shown; return what came before it since the last call."""
        wanted = wanted.encode() if isinstance(wanted, str) else wanted
        found = self.shown if wanted in self.shown else self.shown + shows(self.master, wanted)
        assert wanted in found, found
        before, _, self.shown = found.partition(wanted)
        return before

    def types(self, data: bytes) -> None:
        os.write(self.master, data)

    def ends(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while (code := self.process.poll()) is None:
            assert time.monotonic() < deadline, self.shown + shows(self.master, b"never")
            self.shown += _there(self.master)
            time.sleep(0.005)
        self.shown += _there(self.master)
        return code

    @property
    def is_raw(self) -> bool:
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    @property
    def is_as_before(self) -> bool:
        return termios.tcgetattr(self.slave) == self.before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


def _there(master: int) -> bytes:
    import select

    found = b""
    while select.select([master], [], [], 0)[0]:
        try:
            found += os.read(master, 65536)
        except OSError:
            break
    return found


@contextmanager
def sitting(*words: str, stdout: IO[bytes] | None = None) -> Iterator[Sitting]:
    made = Sitting(*words, stdout=stdout)
    try:
        yield made
    finally:
        made.close()


def test_a_terminal_at_a_connection(device: Device, share: Callable[..., Server]) -> None:
    server = share("raw", "--name", "meter")
    with sitting("meter") as person:
        person.sees(f"meter ({device.path}) 9600-8N1")
        person.sees("Ctrl-] q quits")
        assert person.is_raw
        device.write(b"hello\r\n")
        person.sees("hello")
        person.types(b"*IDN?\r\x03")  # Ctrl-C is for the device
        assert device.read(7) == b"*IDN?\r\x03"
        person.types(ESCAPE + b"u")
        person.sees("settings: ")
        person.types(b"12345\x7f\x15\x7f1200\r")  # all of the first try is taken back
        person.sees("1200-8N1  no signal lines")
        assert device.in_force().baudrate == 1200
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as peer:
            device.write(b"for both")
            person.sees("for both")
            assert peer.recv(8) == b"for both"
        for key in (b"d", b"r"):
            person.types(ESCAPE + key)
            person.sees("the device has no signal lines: there is nothing to switch")
        person.types(ESCAPE + b"h")
        person.sees("d  nothing here: the device has no signal lines")
        person.types(ESCAPE + ESCAPE)  # itself
        assert device.read(1) == ESCAPE
        person.types(ESCAPE + b"q")
        assert person.ends() == 0
        assert person.is_as_before
    deadline = time.monotonic() + PATIENCE
    while device.in_force().baudrate != 9600:  # it is put back when the terminal is closed
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_a_port_does_not_do_is_told_below_what_was_typed(
    device: Device, share: Callable[..., Server]
) -> None:
    share("raw", "--name", "meter")
    with sitting("meter") as person:
        person.sees("Ctrl-] q quits")
        person.types(ESCAPE + b"u")
        person.sees("settings: ")
        person.types(b"abc\r")
        person.sees("abc\r\n*** 'abc' is not a line setting like 9600-8N1\r\n")
        person.types(ESCAPE + b"u")
        person.sees("settings: ")
        person.types(b"9600-8E1\r")  # a pseudo terminal has no parity
        person.sees("9600-8E1\r\n*** meter: parity is now N, asked for E; check what")
        person.sees("\r\n*** 9600-8N1  no signal lines\r\n")
        person.types(ESCAPE + b"q")
        assert person.ends() == 0


def test_views_echo_macros_and_files(device: Device, tmp_path: Path) -> None:
    macros, log, file = tmp_path / "macros.toml", tmp_path / "log", tmp_path / "program.bin"
    macros.write_text("[macros]\n1 = 'AT\\r\\n'\n")
    file.write_bytes(bytes(range(256)) * 100)
    words = ("--macros", str(macros), "--baudrate", "115200", "--escape", "ctrl-a")
    with sitting(str(device.path), *words) as person:
        person.sees("Ctrl-A q quits")
        assert device.in_force().baudrate == 115200
        person.types(b"\x01v")
        person.sees("hex view is on")
        device.write(b"\x00\x01AZ\xff")
        person.sees("< 00 01 41 5a ff")
        person.sees("|..AZ.|")
        person.types(b"\x01e")
        person.sees("local echo is on")
        person.types(b"k")
        person.sees("> 6b")
        assert device.read(1) == b"k"
        person.types(b"\x01v\x01e\x011")
        assert device.read(4) == b"AT\r\n"
        person.types(b"\x01n\x01n")
        person.sees("Enter sends crlf")
        person.types(b"x\r")
        assert device.read(3) == b"x\r\n"
        person.types(b"\x01l")
        person.sees("log to file: ")
        person.types(f"{log}\r".encode())
        person.sees("logging to")
        device.write(b"logged\n")
        person.sees("logged")
        person.types(b"\x01f")
        person.sees("send file: ")
        person.types(f"{file}\r".encode())
        assert device.read(25600) == file.read_bytes()
        person.sees("sent 25600 bytes")
        person.types(b"\x01l")
        person.sees("logged 7 bytes")
        person.types(b"\x01f")
        person.sees("send file: ")
        person.types(b"/none\r")
        person.sees("/none: No such file or directory")
        person.types(b"\x01h")
        person.sees("behind Ctrl-A:")
        person.sees("r  nothing here: the device has no signal lines")
        person.types(b"\x01d")
        person.sees("there is nothing to switch")
        person.types(b"\x01m")
        person.sees(r"1  b'AT\r\n'")
        person.types(b"\x01s")
        person.sees("Enter sends crlf, lines end as-is")
        person.types(b"\x01y")
        person.sees("no command has the key 'y'")
        person.types(b"\x01x")
        assert person.ends() == 0
        assert person.is_as_before
    assert log.read_bytes() == b"logged\n"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_the_terminal_is_as_before(
    device: Device, number: signal.Signals
) -> None:
    with sitting(str(device.path)) as person:
        person.sees("q quits")
        device.write(b"\x1b[31m\x1b[?25lred")
        person.sees("red")
        person.process.send_signal(number)
        assert person.ends() == 128 + number
        assert person.is_as_before
        assert b"\x1b[0m\x1b[?25h\r\n" in person.shown


@pytest.mark.slow
def test_a_terminal_that_was_put_back_is_raw_again_after_a_stop(device: Device) -> None:
    with sitting(str(device.path)) as person:
        person.sees("q quits")
        person.process.send_signal(signal.SIGSTOP)
        termios.tcsetattr(person.slave, termios.TCSANOW, person.before)
        person.process.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + PATIENCE
        while not person.is_raw:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        person.types(ESCAPE + b"q")
        assert person.ends() == 0


def test_a_device_that_goes_ends_it_and_says_why(device: Device) -> None:
    with sitting(str(device.path)) as person:
        person.sees("q quits")
        device.unplug()
        assert person.ends() == 1
        assert re.search(rb"portline: error: \S+: the connection has ended: \S.*", person.shown), (
            person.shown
        )
        assert person.is_as_before


@pytest.mark.slow
def test_it_comes_back_where_that_is_wanted(device: Device) -> None:
    with sitting(str(device.path), "--reconnect") as person:
        person.sees("q quits")
        device.unplug()
        person.sees("trying again")
        device.plug()
        person.sees("9600-8N1")
        device.write(b"back")
        person.sees("back")
        person.types(ESCAPE + b"q")
        assert person.ends() == 0
        assert person.is_as_before


def test_the_end_of_the_service_is_told(share: Callable[..., Server]) -> None:
    server = share("raw", "--name", "meter")
    with sitting("meter") as person:
        person.sees("q quits")
        server.stop()
        assert person.ends() == 1
        assert re.search(rb"the Portline that serve[sd] it (has closed it|has ended)", person.shown)
        assert person.is_as_before


@pytest.mark.slow
def test_a_remote_port(device: Device, share: Callable[..., Server]) -> None:
    server = share("rfc2217", "--name", "meter")
    with sitting(f"rfc2217://127.0.0.1:{server.port}", "--baudrate", "1200") as person:
        person.sees("1200-8N1")
        assert device.in_force().baudrate == 1200
        device.write(b"hello")
        person.sees("hello")
        person.types(ESCAPE + b"d")
        person.sees("out: ")
        person.types(ESCAPE + b"b")
        person.sees("a break was sent")
        person.types(ESCAPE + b"q")
        assert person.ends() == 0


@pytest.mark.slow
def test_a_remote_port_inside_tls_with_a_password(
    device: Device, share: Callable[..., Server], tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse battery staple\n")
    password.chmod(0o600)
    known = ("--password-file", str(password))
    server = share("rfc2217", "--tls", *known)
    url = f"rfc2217s://127.0.0.1:{server.port}"
    with device.echoing():
        ended = piped(b"hello", url, *known)
        assert (ended.stderr, ended.stdout, ended.returncode) == (b"", b"hello", 0)
    refused = piped(b"hello", url)
    assert refused.returncode == 1
    assert b"asks for a password" in refused.stderr


@pytest.mark.slow
def test_what_comes_may_go_into_a_file(device: Device, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out, sitting(str(device.path), stdout=out) as person:
        person.sees("q quits\r\n")
        device.write(b"hello")
        deadline = time.monotonic() + PATIENCE
        while (tmp_path / "out").read_bytes() != b"hello":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        person.types(ESCAPE + b"q")
        assert person.ends() == 0
        assert person.is_as_before


def piped(data: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
    plain = [word for word in TERM if word not in ("-X", "dev")]  # asyncio would tell of imports
    return subprocess.run(
        [*plain, *words], input=data, capture_output=True, timeout=2 * PATIENCE, check=False
    )


def test_a_pipe_is_sent_and_the_answer_is_printed(
    device: Device, share: Callable[..., Server]
) -> None:
    share("raw", "--name", "meter")
    with device.echoing():
        for where in (["meter"], ["meter", "--linger", "0.5"]):
            ended = piped(b"*IDN?\n" + bytes(range(256)), *where)
            assert ended.stderr == b""
            assert (ended.returncode, ended.stdout) == (0, b"*IDN?\n" + bytes(range(256)))
        ended = piped(b"a\nb\n", "meter", "--enter", "cr", "--line-end", "cr")
        assert ended.stdout == b"a\r\nb\r\n"


@pytest.mark.slow
def test_much_passes_through_pipes(device: Device) -> None:
    data = os.urandom(300_000)
    with device.echoing():
        ended = piped(data, str(device.path), "--linger", "2")
    assert ended.stderr == b""
    assert ended.stdout == data


@pytest.mark.slow
def test_a_raw_server_that_answers_and_hangs_up() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"raw://127.0.0.1:{listening.getsockname()[1]}"
        process = subprocess.Popen(
            [*TERM, url, "--linger", "60"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        peer, _ = listening.accept()
        with peer:
            assert process.stdin is not None
            process.stdin.write(b"question")
            process.stdin.close()
            assert peer.recv(100) == b"question"
            peer.sendall(b"answer")
        assert process.stdout is not None
        with process.stdout:
            assert process.stdout.read() == b"answer"
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("last_words", "told"),
    [
        (b"", "without a word; it may speak TLS (raws://127.0.0.1:"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "speaks TLS; open it as raws://127.0.0.1:"),
    ],
)
def test_a_server_that_wants_something_else_is_no_success(last_words: bytes, told: str) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(PATIENCE)
        url = f"raw://127.0.0.1:{listening.getsockname()[1]}"
        process = subprocess.Popen(
            [*TERM, url, "--linger", "60"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None
        process.stdin.write(b"hello")
        process.stdin.close()
        peer, _ = listening.accept()
        with peer:
            peer.settimeout(PATIENCE)
            assert peer.recv(100) == b"hello"
            # It has seen the end of its input by then, as one that ends by itself has.
            time.sleep(0.3)
            peer.sendall(last_words)
        assert process.stderr is not None
        with process.stderr:
            assert told in process.stderr.read().decode()
        assert process.wait(PATIENCE) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["meter"], "no Portline of this user is running"),
        (["/dev/ttyNONE"], "/dev/ttyNONE: is not there"),
        ([f"raw://127.0.0.1:{free_port()}"], "refused"),
        (["raw://x:1", "--baudrate", "9600"], "raw:// carries no settings"),
        (["ftp://x:1"], "is not a remote port like"),
        (["meter", "--ca", "x"], "--ca: only for a port of another machine"),
        (["/dev/ttyNONE", "--socket", "x"], "--socket: only for a connection"),
        (["meter", "--no-exclusive"], "--no-exclusive: only for a device"),
        (["meter", "--escape", "q"], "'q' cannot be the escape key"),
        (["meter", "--escape", "ctrl-m"], "'ctrl-m' cannot be the escape key"),
        (["meter", "--parity", "x"], "parity 'x' is none of"),
        (["meter", "--macros", "/none"], "/none: No such file"),
        (["/dev/ttyNONE", "--log", "/none/x"], "/none/x: No such file"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(words: list[str], told: str) -> None:
    ended = piped(b"", *words)
    assert ended.returncode in (1, 2)
    lines = ended.stderr.decode().splitlines()
    assert lines[0].startswith("portline: error: ")
    assert told in lines[0]
    assert len(lines) == 1


@pytest.mark.slow
def test_a_device_that_a_connection_has(device: Device, share: Callable[..., Server]) -> None:
    share("raw", "--name", "meter")
    ended = piped(b"", str(device.path))
    assert b"is the port of the connection meter" in ended.stderr
    assert b"`portline term meter`" in ended.stderr
    assert ended.returncode == 1


@pytest.mark.parametrize("protocol", ["raw", "rfc2217"])
def test_a_remote_port_of_which_no_lines_are_told(protocol: str) -> None:
    """One that speaks RFC 2217 and never answers about lines, as ser2net where there are none."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(PATIENCE)
        url = f"{protocol}://127.0.0.1:{listening.getsockname()[1]}"
        with sitting(url) as person:
            peer, _ = listening.accept()
            with peer:
                peer.settimeout(PATIENCE)
                if protocol == "rfc2217":
                    answers = threading.Thread(target=_without_lines, args=(peer,))
                    answers.start()
                person.sees("Ctrl-] q quits")
                person.types(ESCAPE + b"d")
                person.sees("there is nothing to switch")
                person.types(ESCAPE + b"q")
                assert person.ends() == 0
        if protocol == "rfc2217":
            answers.join()


def _without_lines(peer: socket.socket) -> None:
    wire = Rfc2217Wire(serves=True, asks=False, signature="mute")
    state = PortState()
    peer.sendall(wire.start(0.0))
    while data := peer.recv(4096):
        said = b""
        for event in wire.feed(data, 0.0):
            match event:
                case Query(Item.DTR | Item.RTS | Item.MODEM_LINES):
                    pass
                case Query() | SetLine() | SetModem():
                    said += wire.answer(event, state)
                case _:
                    pass
        peer.sendall(said + wire.outgoing())
