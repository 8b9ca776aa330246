"""A Portline that is killed or stopped at any moment, while programs use its virtual ports.

Figures of many rounds, without pytest, by ``python -m lab --limit 3000 run``:

    .venv/bin/python -m tests.lab.killing cuse,usbip,cuse 50 1

Three ports: with a name of its own, by a link, and over a device; raw in both directions, and one
at a port that another Portline shares with RFC 2217, which is not killed.  After each kill the next
one starts at once, as a service manager has it.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import re
import select
import signal
import socket
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.forked import Forked
from tests.interop.server import free_port
from tests.lab.applications import Application
from tests.lab.numbered import Fates, Numbers, Reader
from tests.lab.uart import clean_wire, raw
from tests.waiting import LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["far_ends", "kills"]

PATHS = NATIVE, LINK, OVER = "/dev/ttyKILL", "/run/tmp/ttyKILL", "/dev/ttyS4"

CONFIG = f"""\
[connections.native]
virtual = "{NATIVE}"
backend = "{{backends[0]}}"
kind = "client"
connect = "127.0.0.1:{{echo}}"
retry = "100ms"

[connections.link]
virtual = "{LINK}"
backend = "{{backends[1]}}"
listen = "127.0.0.1:{{listen}}"

[connections.over]
virtual = "{OVER}"
overlap = true
backend = "{{backends[2]}}"
kind = "client"
connect = "127.0.0.1:{{far}}"
protocol = "rfc2217"
retry = "100ms"
"""

FAR = """\
[connections.far]
port = "/dev/ttyS2"
listen = "127.0.0.1:{far}"
protocol = "rfc2217"
"""

HANG = 45.0
"""Seconds after the end of a Portline for which a program may be in one call: a driver of USB waits
30 for what was written (closing_wait of tty_port.c), and this machine is slow."""


class Portline(Forked):
    """A ``portline serve`` that is about to be killed, and what it says."""

    def __init__(self, config: Path, log: Path) -> None:
        self.log = log
        with log.open("ab") as file:
            super().__init__(["serve", "-v", str(config)], file.fileno())

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")


def until(condition: Callable[[], object], what: Callable[[], str], limit: float = LIMIT) -> None:
    """Wait; ``what`` tells what is wrong when it is in vain."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.01)


# --- the far ends ---------------------------------------------------------------------------------


def _echo(listener: socket.socket, call: int, wire: int, numbers: dict[str, Numbers]) -> None:
    """Echo for whoever connects, for whom is called, and on a wire; for ever."""
    ends: dict[int, socket.socket] = {}
    readers = {wire: Reader(numbers[OVER].far, say=OVER)}
    called: socket.socket | None = None
    while True:
        if called is None:
            with contextlib.suppress(OSError):
                called = socket.create_connection(("127.0.0.1", call), 1)
                called.setblocking(True)
                ends[called.fileno()] = called
                readers[called.fileno()] = Reader(numbers[LINK].far, say=LINK)
        for fd in select.select([listener, wire, *ends], [], [], 0.1)[0]:
            if fd is listener:
                made, _ = listener.accept()
                ends[made.fileno()] = made
                readers[made.fileno()] = Reader(numbers[NATIVE].far, say=NATIVE)
            elif fd == wire:
                data = os.read(wire, 4096)
                readers[wire].take(data)
                os.write(wire, data)
            else:
                data = b""
                with contextlib.suppress(OSError):
                    data = ends[fd].recv(4096)
                    readers[fd].take(data)
                    ends[fd].sendall(data)
                if not data:
                    if ends[fd] is called:
                        called = None
                    readers.pop(fd).cut()
                    ends.pop(fd).close()


@dataclass(frozen=True, slots=True)
class FarEnds:
    """The TCP ports by their names in CONFIG, and what is heard at each port of it."""

    places: dict[str, int]
    numbers: dict[str, Numbers]


@contextlib.contextmanager
def far_ends(folder: Path) -> Iterator[FarEnds]:
    """Run the far ends of all lines."""
    clean_wire("/dev/ttyS2", "/dev/ttyS3")
    found = {"listen": free_port(), "far": free_port()}
    numbers = {path: Numbers(path, letter) for path, letter in zip(PATHS, "nlo", strict=True)}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found["echo"] = listener.getsockname()[1]
        wire = raw("/dev/ttyS3")
        echo = os.fork()
        if echo == 0:
            try:
                _echo(listener, found["listen"], wire, numbers)
            finally:
                os._exit(1)
        os.close(wire)
    (folder / "far.toml").write_text(FAR.format_map(found))
    far = Portline(folder / "far.toml", folder / "far.log")
    yield FarEnds(found, numbers)
    far.send_signal(signal.SIGTERM)
    assert far.wait() == 0, far.said()
    os.kill(echo, signal.SIGKILL)
    os.waitpid(echo, 0)


# --- what a Portline may leave --------------------------------------------------------------------


def slots_taken() -> int:
    """Return how many places of the virtual USB controller are not free."""
    lines = [
        line.split()
        for file in Path("/sys/devices/platform/vhci_hcd.0").glob("status*")
        for line in file.read_text().splitlines()[1:]
    ]
    return sum(words[2] != "004" for words in lines)


def layers() -> int:
    """Return how many mounts lie in /dev over a device."""
    return sum(
        line.split()[4] == OVER for line in Path("/proc/self/mountinfo").read_text().splitlines()
    )


def left_over() -> dict[str, object]:
    """Return what is there of virtual ports."""
    return {
        "names": [name for name in (NATIVE, LINK) if os.path.lexists(name)],
        "nodes": [
            str(p) for p in (*Path("/dev").glob("ttyUSB*"), *Path("/dev").glob("portline/*"))
        ],
        "slots": slots_taken(),
        "layers": layers(),
        "devices": os.listdir("/sys/class/cuse"),
        "passing": [str(p) for p in (*Path("/dev").glob(".tty*"), *Path("/run/tmp").glob(".tty*"))],
    }


NOTHING = {"names": [], "nodes": [], "slots": 0, "layers": 0, "devices": [], "passing": []}


def complaints(log: str) -> list[str]:
    """Return what the kernel has said that it should not."""
    bad = r"BUG|WARNING:|Oops|hung_task|blocked for more than|refcount|use-after|general protection"
    return [line for line in log.splitlines() if re.search(bad, line)]


def kernel_log() -> str:
    fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    lines = []
    try:
        while True:
            try:
                lines.append(os.read(fd, 8192).decode("utf-8", "replace"))
            except BrokenPipeError:
                continue  # overwritten
    except BlockingIOError:
        return "".join(lines)
    finally:
        os.close(fd)


@dataclass(slots=True)
class Figures:
    """What was seen."""

    back: list[float] = field(default_factory=list)
    """Seconds until all three ports were of use again."""
    calls: list[tuple[float, str]] = field(default_factory=list)
    """Seconds that a program's call went on after the Portline had gone, and which it was."""
    last: str = ""
    """Which of them was the last one to be of use again, and what it did until then."""
    stops: int = 0
    programs: int = 0
    """Programs killed while the Portline was stopped."""
    fates: dict[str, Fates] = field(default_factory=dict)
    """What became of what was written, by port."""

    def __str__(self) -> str:
        slow = sorted(self.calls, reverse=True)[:5]
        return (
            f"{len(self.calls) // 3} kills, {self.stops} after a stop, {self.programs} programs "
            f"killed meanwhile; of use again after {statistics.median(self.back):.1f} s (at most "
            f"{max(self.back):.1f}); longest calls "
            + ", ".join(f"{what} {seconds:.1f} s" for seconds, what in slow)
            + "".join(f"\n{path}: {fates}" for path, fates in self.fates.items())
        )


def kills(
    ends: FarEnds,
    backends: Sequence[str],
    folder: Path,
    rounds: int,
    seed: int,
    say: Callable[[str], None] = lambda _: None,
    seconds: float = math.inf,
) -> Figures:
    """Kill a Portline ``rounds`` times; ``backends`` are those of its three ports.

    After ``seconds`` no further round is begun.
    Raises AssertionError for whatever is not as it should be.
    """
    dice = random.Random(seed)
    before = os.stat(OVER).st_rdev
    config, log = folder / "portline.toml", folder / "log"
    config.write_text(CONFIG.format(backends=backends, **ends.places))
    service = Portline(config, log)
    applications = [
        Application(path, n, ends.numbers[path], before) for n, path in enumerate(PATHS)
    ]
    figures = Figures()

    def of_use() -> None:
        """Wait until all three are of use: that is what a user waits for."""
        begun, had = time.monotonic(), [each.answers for each in applications]

        def are() -> bool:
            out = [e for e, a in zip(applications, had, strict=True) if e.answers <= a]
            if out:
                figures.last = f"{out[0].path} {out[0].doing}"
            return not out

        until(are, partial(_situation, applications, service), limit=2 * LIMIT)
        figures.back.append(time.monotonic() - begun)

    try:
        enough = time.monotonic() + seconds
        for count in range(rounds):
            if time.monotonic() > enough:
                break
            if not count or dice.random() < 0.5:
                of_use()
            time.sleep(dice.uniform(0, 1.5))
            killed = None
            if dice.random() < 0.4:
                figures.stops += 1
                service.send_signal(signal.SIGSTOP)
                time.sleep(dice.uniform(0, 5))
                if dice.random() < 0.5:
                    figures.programs += 1
                    killed = dice.choice(applications)
                    killed.kill()
                if dice.random() < 0.3:
                    service.send_signal(signal.SIGCONT)
                    time.sleep(dice.uniform(0, 1))
            for numbers in ends.numbers.values():
                numbers.killed()
            service.send_signal(signal.SIGKILL)
            code = service.wait()
            assert code == -signal.SIGKILL, f"ended with {code}: {service.said()[-4000:]}"
            for numbers in ends.numbers.values():
                numbers.killed()  # what was written while it was dying, too
            ended = time.monotonic()
            if killed is not None:
                assert killed.ended(HANG), f"{killed.path} is not killed: {killed.doing}"
                killed.start()
            doing = [each.doing for each in applications]
            moves = [each.moves for each in applications]
            service = Portline(config, log)
            for each, what, had in zip(applications, doing, moves, strict=True):
                until(
                    lambda each=each, had=had: each.moves > had,  # type: ignore[misc]
                    partial(_situation, applications, service),
                    limit=HANG,
                )
                figures.calls.append((time.monotonic() - ended, f"{each.path} {what}"))
            say(f"{count}: {max(figures.calls[-3:])} {figures.back[-1]:.1f} {figures.last}")
        of_use()
        service.send_signal(signal.SIGTERM)
        code = service.wait()
        assert code == 0, f"ended with {code}: {service.said()[-4000:]}"
    finally:
        for each in applications:
            each.kill()
        for each in applications:
            assert each.ended(HANG), f"{each.path} is not killed: {each.doing}"
    until(lambda: left_over() == NOTHING, lambda: f"left over: {left_over()}")
    assert os.stat(OVER).st_rdev == before
    said = service.said()
    assert "Traceback" not in said
    assert "should not have happened" not in said
    assert complaints(kernel_log()) == []
    figures.fates = {path: numbers.fates() for path, numbers in ends.numbers.items()}
    for numbers in ends.numbers.values():
        for heard in (numbers.far, numbers.near):
            assert (heard["twice"], heard["wrong"], heard["disorder"]) == (0, 0, 0), str(figures)
    for line in sorted({re.sub(r"\d+", "N", line[20:]) for line in said.splitlines()}):
        if line.startswith(("warning", "error")):
            say(line)
    return figures


def _situation(applications: list[Application], service: Portline) -> str:
    what = [f"{a.path} {a.doing} for {time.monotonic() - a.since:.1f} s" for a in applications]
    return f"{what} {left_over()}\n{service.said()[-4000:]}"


def main() -> None:
    """Print the figures; arguments: three backends, rounds, seed, at most how many seconds."""
    backends, rounds, seed = sys.argv[1].split(","), int(sys.argv[2]), int(sys.argv[3])
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else math.inf
    folder = Path(tempfile.mkdtemp())
    os.environ["RUNTIME_DIRECTORY"] = str(folder)
    with far_ends(folder) as ends:
        say = partial(print, flush=True)
        print(*backends, kills(ends, backends, folder, rounds, seed, say, seconds))


if __name__ == "__main__":
    main()
