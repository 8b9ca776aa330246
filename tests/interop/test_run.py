"""``portline run``: programs for which a virtual port is a real one, seen from both ends.

A program is pyserial that does what the test says, line by line; the peer is an access server,
which hears what the program does and tells the lines of its device.
"""

from __future__ import annotations

import ast
import os
import select
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.filtered import unavailable
from tests.interop.device import PATIENCE
from tests.interop.server import DEVELOPER_MODE, SUT, _environment, run_portline
from tests.interop.test_programs import running, shows
from tests.interop.test_signal_lines import (
    BREAK_OFF,
    BREAK_ON,
    CTS,
    DCD,
    DSR,
    RI,
    SET_CONTROL,
    AccessServer,
)

pytest.importorskip("serial", reason="pyserial is not installed")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.interop.server import Server

pytestmark = pytest.mark.skipif(SUT != "portline", reason="this is a command of Portline")

SET_BAUDRATE, SET_DATASIZE, SET_PARITY, SET_STOPSIZE = 1, 2, 3, 4
EVEN, MARK, TWO, ONE_AND_A_HALF = 3, 4, 2, 3
TIOCMIWAIT = 0x545C

PROGRAM = """
import fcntl, os, struct, sys, termios, threading, time
import serial
for line in sys.stdin:
    try:
        print(repr(eval(line)), flush=True)
    except Exception as error:
        print(repr(f"{type(error).__name__}: {error}"), flush=True)
"""


class Program:
    """A Python that evaluates what it is told, under ``portline run`` or without."""

    def __init__(self, *prefix: str) -> None:
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
            text=True,
        )

    def says(self, expression: str) -> Any:
        """Return the value of an expression, or the error in words."""
        self.begins(expression)
        return self.hears()

    def begins(self, expression: str) -> None:
        assert self.process.stdin is not None
        print(expression, file=self.process.stdin, flush=True)

    def has_said(self, patience: float) -> bool:
        return bool(select.select([self.process.stdout], [], [], patience)[0])

    def hears(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"ended with {self.process.wait(PATIENCE)}"
        return ast.literal_eval(line)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            assert self.process.wait(PATIENCE) == 0
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()


def portline_run(*options: str) -> list[str]:
    return [sys.executable, *DEVELOPER_MODE, "-m", "portline", "run", *options, "--"]


@pytest.fixture(autouse=True)
def available() -> None:
    if reason := unavailable():
        pytest.skip(reason)


@pytest.fixture
def name(tmp_path: Path) -> Path:
    return tmp_path / "ttyV0"


@pytest.fixture
def server(share: Callable[..., Server], name: Path) -> Server:
    return share("rfc2217", "--virtual", str(name), "-v", device="")


class Witness(AccessServer):
    """An access server that remembers after how many bytes RTS moved."""

    def __init__(self, port: int) -> None:
        self.edges: list[tuple[bool, int]] = []
        super().__init__(port)

    def _take(self, match: object) -> None:
        before = self.rts
        super()._take(match)
        if self.rts is not before:
            self.edges.append((self.rts, len(self.data)))


@pytest.fixture
def peer(server: Server) -> Iterator[Witness]:
    made = Witness(server.port)
    made.reads(0)
    yield made
    made.close()


@pytest.fixture
def program(server: Server, name: Path) -> Iterator[Program]:
    """A program that has the port open, at 115200-8N1."""
    with Program(*portline_run()) as made:
        assert made.says(f"globals().update(port=serial.Serial({str(name)!r}, 115200))") is None
        yield made


def asked(peer: AccessServer, code: int, value: int) -> None:
    """Wait until the access server has been asked for this last, of its kind."""

    def last() -> int | None:
        values = [int.from_bytes(v, "big") for c, v in peer.replies if c == code]
        return values[-1] if values else None

    peer.until(lambda: last() == value)


# --- signal lines ---------------------------------------------------------------------------------


def test_a_program_drives_the_lines_of_a_remote_device(
    peer: AccessServer, program: Program
) -> None:
    peer.drives(dtr=True, rts=True)
    program.says("setattr(port, 'rts', False)")
    peer.drives(dtr=True, rts=False)
    program.says("setattr(port, 'dtr', False)")
    peer.drives(dtr=False, rts=False)
    program.says("setattr(port, 'rts', True)")
    peer.drives(dtr=False, rts=True)
    program.says("port.close()")
    peer.drives(dtr=False, rts=False)


def test_a_program_reads_the_lines_of_a_remote_device(
    peer: AccessServer, program: Program, server: Server
) -> None:
    names = {"cts": CTS, "dsr": DSR, "cd": DCD, "ri": RI}
    for levels in (CTS, DSR, DCD, RI, CTS | DSR | DCD | RI, 0):
        peer.reads(levels)
        wanted = {name: bool(levels & bit) for name, bit in names.items()}
        server._wait(
            lambda wanted=wanted: {name: program.says(f"port.{name}") for name in names} == wanted,
            f"the program does not read {wanted}",
        )


def test_a_program_waits_for_a_line(peer: AccessServer, program: Program, server: Server) -> None:
    server._wait(lambda: program.says("port.cts") is False, "CTS does not fall")
    program.begins(f"fcntl.ioctl(port.fd, {TIOCMIWAIT}, termios.TIOCM_CTS)")
    levels = DSR
    while not program.has_said(0.05):  # nobody knows from outside when it has begun to wait
        peer.reads(levels := levels ^ CTS)
    assert program.hears() == 0
    counts = program.says("struct.unpack('20i', fcntl.ioctl(port.fd, 0x545D, bytes(80)))")
    assert counts[0] >= 1


def test_without_it_the_kernel_has_no_lines(server: Server, name: Path) -> None:
    with Program() as plain:
        plain.says(f"globals().update(port=serial.Serial({str(name)!r}, 115200))")
        assert "Inappropriate ioctl" in plain.says("port.cts")


# --- settings -------------------------------------------------------------------------------------


def test_a_program_opens_with_seven_bits_and_even_parity(
    peer: AccessServer, program: Program, name: Path
) -> None:
    program.says("port.close()")
    opens = f"serial.Serial({str(name)!r}, 250000, bytesize=7, parity='E', stopbits=2)"
    assert program.says(f"globals().update(port={opens})") is None
    kept = program.says("termios.tcgetattr(port.fd)[2]")
    assert kept & 0o60 == 0o40
    assert kept & 0o1400 == 0o400
    for code, value in (
        (SET_BAUDRATE, 250000),
        (SET_DATASIZE, 7),
        (SET_PARITY, EVEN),
        (SET_STOPSIZE, TWO),
    ):
        asked(peer, code, value)
    assert program.says("setattr(port, 'parity', 'M')") is None
    asked(peer, SET_PARITY, MARK)
    assert program.says("setattr(port, 'bytesize', 5)") is None
    asked(peer, SET_DATASIZE, 5)
    asked(peer, SET_STOPSIZE, ONE_AND_A_HALF)


def test_stty_sets_and_shows_them_and_other_programs_take_them_back(
    server: Server, name: Path, require: Callable[[str], str]
) -> None:
    stty = [require("stty"), "-F", str(name)]
    assert run_portline("run", "--", *stty, "cs7", "parenb", "parodd", "1200") == (0, "")
    server.wait_errors("the application set 1200-7O1")
    shown = run_portline("run", "--port", str(name), "--", *stty, "-a")[1].split()
    assert {"cs7", "parenb", "parodd", "1200"} <= set(shown)
    # Without `portline run`, what the kernel says counts from the next change on.
    assert subprocess.run([*stty, "2400", "-parodd"], timeout=PATIENCE, check=False).returncode == 0
    server.wait_errors("the application set 2400-8N1")


def test_a_port_that_is_not_named_stays_plain(
    server: Server, name: Path, tmp_path: Path, require: Callable[[str], str]
) -> None:
    other = tmp_path / "other"
    other.symlink_to("/dev/null")
    stty = [require("stty"), "-F", str(name), "cs7"]
    assert run_portline("run", "--port", str(other), "--", *stty)[0] == 1


def test_picocom_finds_what_it_has_set(
    server: Server, name: Path, require: Callable[[str], str]
) -> None:
    picocom = [require("picocom"), "-b", "19200", "-d", "7", "-y", "e", str(name)]
    os.environ.setdefault("PYTHONPATH", _environment()["PYTHONPATH"])
    with running([*portline_run(), *picocom]) as (process, terminal):
        shown = shows(terminal, b"Terminal ready")
        assert b"mismatch" not in shown.lower()
        os.write(terminal, b"\x01\x16")  # C-a C-v: show the settings
        shown = shows(terminal, b"mctl")
        server.wait_errors("the application set 19200-7E1")
        os.write(terminal, b"\x01\x18")  # C-a C-x
        assert process.wait(PATIENCE) == 0


# --- breaks and order -----------------------------------------------------------------------------


def test_a_program_sends_breaks(peer: AccessServer, program: Program) -> None:
    def breaks() -> list[int]:
        levels = [value[0] for code, value in peer.replies if code == SET_CONTROL]
        return [level for level in levels if level in (BREAK_ON, BREAK_OFF)]

    program.says("port.send_break(0.05)")
    peer.until(lambda: breaks() == [BREAK_ON, BREAK_OFF])
    program.says("termios.tcsendbreak(port.fd, 0)")
    peer.until(lambda: breaks() == [BREAK_ON, BREAK_OFF] * 2)
    program.says("setattr(port, 'break_condition', True)")
    peer.until(lambda: breaks() == [*[BREAK_ON, BREAK_OFF] * 2, BREAK_ON])
    program.says("port.close()")  # ends it, as closing a real port does
    peer.until(lambda: breaks() == [BREAK_ON, BREAK_OFF] * 3)


def test_what_was_written_before_travels_before(peer: Witness, program: Program) -> None:
    """RTS around each telegram: the remote end sees it fall after the last byte."""
    program.says("setattr(port, 'rts', False)")
    peer.drives(dtr=True, rts=False)
    peer.edges.clear()
    telegram = bytes(range(50))
    sends = (
        f"[(setattr(port, 'rts', True), port.write({telegram!r}), setattr(port, 'rts', False))"
        " for _ in range(20)] and None"
    )
    program.says(sends)
    peer.until(lambda: len(peer.edges) == 40)
    ends = [50 * number for number in range(21)]
    rises, falls = ([at for level, at in peer.edges if level is on] for on in (True, False))
    assert (rises, falls) == (ends[:-1], ends[1:])
    assert peer.data == telegram * 20


# --- the two processes ----------------------------------------------------------------------------


def test_a_program_survives_its_serving_side(share: Callable[..., Server], name: Path) -> None:
    server = share("rfc2217", "--virtual", str(name), device="")
    opens = f"globals().update(port=serial.Serial({str(name)!r}, 115200))"
    with Program(*portline_run()) as program:
        program.says(opens)
        assert program.says("port.cts") is True
        program.begins(f"fcntl.ioctl(port.fd, {TIOCMIWAIT}, termios.TIOCM_CTS)")
        assert not program.has_said(0.1)
        server.stop()
        assert "Input/output error" in program.hears()
        assert "Input/output error" in program.says("port.cts")
        share("rfc2217", "--virtual", str(name), device="")
        program.says(opens)
        assert program.says("port.cts") is True


def test_children_and_threads_are_programs_too(program: Program, name: Path) -> None:
    child = (
        f"import serial; p = serial.Serial({str(name)!r}, 9600); p.rts = False; print(p.rts, p.cts)"
    )
    said = f"__import__('subprocess').check_output([sys.executable, '-c', {child!r}])"
    assert program.says(said) == b"False False\n"
    thread = "threading.Thread(target=lambda: result.append(port.dsr))"
    program.says("globals().update(result=[])")
    program.says(f"[t := {thread}, t.start(), t.join()] and None")
    assert program.says("result") == [True]
