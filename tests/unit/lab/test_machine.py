"""The machine's runner, with a program in QEMU's place that plays a guest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.image import Image
from lab.kernel import Kernel
from lab.machine import LOST, TIMED_OUT, Job, arguments, run
from lab.wiring import PAIRS, Wiring
from tests.ports import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = Path(__file__).resolve().parents[3]

FAKE = """\
#!{python} -IS
import os, re, subprocess, sys, time
words = " ".join(sys.argv)
job = re.search(r"id=job,path=(\\S+)", words)[1]
output = int(re.search(r"id=output,fd=([0-9]+)", words)[1])
open({folder!r} + "/pid", "w").write(str(os.getpid()))
print("qemu: a warning", file=sys.stderr, flush=True)
kind = {kind!r}
if kind == "broken":
    sys.exit(1)
open(job + "/times", "w").write("ready 4.5\\n")
if kind == "hangs":
    os.write(output, b"so far\\n")
    open({folder!r} + "/hangs", "w").close()
    time.sleep(600)
words = "; ".join(". " + job + name for name in ("/environment", "/command"))
code = subprocess.call(["sh", "-c", words], stdout=output)
open(job + "/exit", "w").write(str(code))
open(job + "/times", "a").write("done 6.0\\n")
"""

RUNNER = """\
import sys
from pathlib import Path
from lab.image import Image
from lab.kernel import Kernel
from lab.machine import Ended, Job, run
image = Image(Kernel("6.1", Path("vmlinux"), Path("modules")), Path("initramfs"))
try:
    sys.exit(run(image, Job(sys.argv[1], Path("/"), limit=600)).code)
except Ended as error:
    sys.exit(128 + error.number)
"""


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(Kernel("6.1", tmp_path / "vmlinux", tmp_path / "modules"), tmp_path / "initramfs")


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that puts a program of some kind in QEMU's place; it notes its number.

    The folders of the runs are in ``runs`` of what it returns.
    """
    (tmp_path / "runs").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "runs"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "runs"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))

    def play_it(kind: str) -> Path:
        fake = tmp_path / "qemu-system-x86_64"
        fake.write_text(FAKE.format(python=sys.executable, folder=str(tmp_path), kind=kind))
        fake.chmod(0o755)
        return tmp_path

    return play_it


def gone(folder: Path) -> bool:
    """Return whether neither QEMU nor the folder of a run is there any more."""
    try:
        state = Path("/proc", (folder / "pid").read_text(), "stat").read_text()
    except FileNotFoundError:
        state = ") Z"
    return state.rpartition(")")[2].split()[0] == "Z" and not os.listdir(folder / "runs")


def wait(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def test_output_and_exit_code_come_out(
    image: Image, play: Callable[[str], Path], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    folder = play("works")
    job = Job(
        'printf "%s\\n\\0\\377" "$WORD $LAB_FOLDER"; exit 7', Path("/tmp"), 60, {"WORD": "a'b"}
    )
    outcome = run(image, job)
    assert (outcome.code, outcome.boot, outcome.ended) == (7, 4.5, 6.0)
    assert capfdbinary.readouterr().out == b"a'b /tmp\n\0\xff"
    assert "shell after 4.5 s, command took 1.5 s" in outcome.summary()
    assert outcome.summary().endswith("exit code 7")
    assert gone(folder)


def test_the_limit_ends_it(image: Image, play: Callable[[str], Path]) -> None:
    folder = play("hangs")
    outcome = run(image, Job("true", Path("/"), limit=2))
    assert outcome.code == TIMED_OUT
    assert "qemu: a warning" in outcome.console
    assert gone(folder)


def test_a_machine_that_ends_early_is_told_with_its_last_words(
    image: Image, play: Callable[[str], Path]
) -> None:
    folder = play("broken")
    outcome = run(image, Job("true", Path("/"), limit=60))
    assert (outcome.code, outcome.console) == (LOST, "qemu: a warning")
    assert "no shell" in outcome.summary()
    assert gone(folder)


def runner(command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", RUNNER, command], stdout=subprocess.PIPE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_is_left_when_the_runner_is_ended(
    play: Callable[[str], Path], number: signal.Signals
) -> None:
    folder = play("hangs")
    process = runner("true")
    try:
        wait((folder / "hangs").exists, "QEMU does not start")
        process.send_signal(number)
        process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == (-number if number is signal.SIGKILL else 128 + number)
    wait(lambda: gone(folder), "something is left")


def test_several_run_at_once(play: Callable[[str], Path]) -> None:
    folder = play("works")
    both = [runner(f"sleep 0.2; echo {code}; exit {code}") for code in (3, 4)]
    said = [process.communicate(timeout=PATIENCE)[0] for process in both]
    assert said == [b"3\n", b"4\n"]
    assert [process.returncode for process in both] == [3, 4]
    wait(lambda: not os.listdir(folder / "runs"), "something is left")


def test_the_command_line(image: Image, play: Callable[[str], Path]) -> None:
    folder = play("works")
    wiring = Wiring()
    try:
        words = arguments(image, folder, wiring)
        descriptors = set(wiring.descriptors)
    finally:
        wiring.close()
    assert words[0] == str(folder / "qemu-system-x86_64")
    assert words[words.index("-kernel") + 1] == str(image.kernel.image)
    host = next(word for word in words if "id=host" in word)
    assert "path=/," in host
    assert "readonly=on" in host
    names = [word for word in words if word.startswith("socket,")]
    used = {int(word.partition("fd=")[2]) for word in names}
    assert used == descriptors
    assert len(names) == len(descriptors) == 2 * len(PAIRS) + 3
    assert not any("stdio" in word for word in words)


def test_a_shell_has_the_terminal(image: Image, play: Callable[[str], Path]) -> None:
    folder = play("works")
    wiring = Wiring()
    try:
        assert any("stdio" in word for word in arguments(image, folder, wiring, shell=True))
    finally:
        wiring.close()
