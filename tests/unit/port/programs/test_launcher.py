"""Programs that are started under a filter: how they begin, what they are told, how they end.

Each launcher is a process of its own, because it forks and because of its signals.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portline.port.programs import launcher
from portline.port.programs.launcher import NotStarted
from tests.filtered import PATIENCE, unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]

LAUNCH = """
import logging
import sys
from portline.errors import PortlineError
from portline.port.programs.launcher import launch, supervise

class Nowhere:
    async def find(self, found):
        return None
    def close(self):
        pass

# asyncio tells of slow callbacks in developer mode, which a busy machine has.
logging.getLogger("asyncio").setLevel(logging.ERROR)
try:
    launched = launch(sys.argv[1:])
except PortlineError as error:
    print(type(error).__name__, error)
    sys.exit(getattr(error, "exit_code", 1))
sys.exit(supervise(launched, Nowhere))
"""


@pytest.fixture(autouse=True)
def available() -> None:
    if reason := unavailable():
        pytest.skip(reason)


def command(*program: str) -> list[str]:
    return [sys.executable, "-X", "dev", "-c", LAUNCH, *program]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}


def run(*program: str) -> tuple[int, str]:
    """Run a program until its launcher has ended; return the exit code and all output."""
    ended = subprocess.run(
        command(*program),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
        timeout=2 * PATIENCE,
        check=False,
        text=True,
    )
    return ended.returncode, ended.stdout


@contextmanager
def started(*program: str) -> Iterator[subprocess.Popen[str]]:
    """Start a program, and wait until it has said a line."""
    process = subprocess.Popen(
        command(*program),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
        process_group=0,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.stdout.close()
        process.kill()
        process.wait(PATIENCE)


# --- beginning ------------------------------------------------------------------------------------


def test_a_program_ends_as_it_ends() -> None:
    assert run("true") == (0, "")
    assert run("sh", "-c", "echo hello; exit 3") == (3, "hello\n")
    assert run("sh", "-c", "kill -TERM $$") == (128 + 15, "")


def test_its_calls_are_asked_for_and_passed_on() -> None:
    program = "import os, sys; m, s = os.openpty(); print(os.isatty(s), os.isatty(0))"
    assert run(sys.executable, "-c", program) == (0, "True False\n")


def test_its_signals_are_as_usual() -> None:
    program = (
        "import signal as s; print(s.pthread_sigmask(s.SIG_BLOCK, []));"
        "print([n.name for n in s.valid_signals() if isinstance(n, s.Signals)"
        " and s.getsignal(n) == s.SIG_IGN])"
    )
    # Python itself ignores these two.
    assert run(sys.executable, "-c", program) == (0, "set()\n['SIGPIPE', 'SIGXFSZ']\n")
    # What whoever started the tests ignores stays ignored.
    ignored = ("sh", "-c", "awk '/SigIgn/ {print $2}' /proc/self/status")
    plain = subprocess.run(ignored, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert run(*ignored) == (0, plain.stdout)


def test_it_inherits_no_descriptors() -> None:
    assert run("sh", "-c", "ls /proc/$$/fd") == (0, "0\n1\n2\n")


@pytest.mark.parametrize(
    ("program", "code", "message"),
    [
        ("no-such-program", 127, "NotStarted no-such-program: No such file or directory\n"),
        ("/no/such/program", 127, "NotStarted /no/such/program: No such file or directory\n"),
        ("/etc", 126, "NotStarted /etc: Permission denied\n"),
    ],
)
def test_a_program_that_cannot_be_started(program: str, code: int, message: str) -> None:
    assert run(program) == (code, message)


def test_a_launcher_in_a_launcher_is_refused() -> None:
    code, said = run(*command("true"))
    assert code == 1
    assert said.startswith("NotStarted the calls of this process are answered by somebody already")


def test_a_kernel_that_cannot_do_it() -> None:
    error = launcher._not_started("true", errno.ENOSYS, installed=False)
    assert isinstance(error, NotStarted)
    assert "(Function not implemented): Linux 5.9 or newer" in str(error)
    assert error.exit_code == 1


# --- signals --------------------------------------------------------------------------------------

TRAPS = "trap 'echo {0}; exit 7' {0}; echo ready; while :; do sleep 0.05; done"


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT", "USR1"])
def test_a_signal_is_passed_on(name: str) -> None:
    with started("sh", "-c", TRAPS.format(name)) as process:
        process.send_signal(getattr(signal, f"SIG{name}"))
        assert process.wait(PATIENCE) == 7
        assert process.stdout is not None
        assert process.stdout.read() == f"{name}\n"


def test_a_signal_that_ends_the_program_shows_in_the_code() -> None:
    with started("sh", "-c", "echo ready; exec sleep 60") as process:
        process.terminate()
        assert process.wait(PATIENCE) == 128 + 15


def test_what_the_terminal_sends_to_all_comes_once() -> None:
    """Ctrl-C reaches the whole group; a program that counts sees one."""
    program = (
        "import signal, sys, time\n"
        "seen = []\n"
        "signal.signal(signal.SIGINT, lambda *_: seen.append(1))\n"
        "print('ready', flush=True)\n"
        "while not seen: time.sleep(0.01)\n"
        "time.sleep(0.5)\n"
        "print(len(seen), 'times')\n"
    )
    takes_terminal = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    master, slave = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", takes_terminal, *command(sys.executable, "-c", program)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(),
        start_new_session=True,
    )
    os.close(slave)
    said = b""
    deadline = time.monotonic() + 2 * PATIENCE
    while b"times" not in said and (left := deadline - time.monotonic()) > 0:
        if not select.select([master], [], [], left)[0]:
            break
        try:
            said += os.read(master, 4096)
        except OSError:
            break
        if b"ready" in said and b"^C" not in said:
            os.write(master, b"\x03")
    try:
        assert process.wait(PATIENCE) == 0
    finally:
        os.close(master)  # hangs up whoever is still there
    assert b"1 times" in said


def test_a_program_that_stops_for_its_terminal_stops_its_launcher() -> None:
    stops = "echo ready; kill -TSTP $$; echo resumed; exit 5"
    with started("sh", "-c", stops) as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        assert process.wait(PATIENCE) == 5
        assert process.stdout is not None
        assert process.stdout.read() == "resumed\n"


def test_who_kills_the_launcher_means_the_program() -> None:
    with started("sh", "-c", TRAPS.format("TERM")) as process:
        process.kill()
        assert process.wait(PATIENCE) == -signal.SIGKILL
        assert process.stdout is not None
        assert process.stdout.read() == "TERM\n"


# --- what a program leaves behind -----------------------------------------------------------------


def test_processes_that_go_on_are_served_in_the_background(tmp_path: Path) -> None:
    """The launcher ends with its program, and a terminal is still one for the rest."""
    result, go = tmp_path / "result", tmp_path / "go"
    rest = (
        "import os, sys, time\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
        f"open({str(result)!r} + '.new', 'w').write(str(os.isatty(os.openpty()[1])))\n"
        f"os.rename({str(result)!r} + '.new', {str(result)!r})\n"
    )
    script = '"$@" </dev/null >/dev/null 2>&1 & exit 4'
    assert run("sh", "-c", script, "sh", sys.executable, "-c", rest) == (4, "")
    go.touch()
    deadline = time.monotonic() + PATIENCE
    while not result.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert result.read_text("utf-8") == "True"
