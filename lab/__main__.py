"""``python -m lab``: build the lab's image, run tests or a command in it.

    python -m lab                    run the tests marked ``lab``
    python -m lab test ARGUMENTS     run pytest with these arguments, for tests marked ``lab``
    python -m lab run COMMAND        run a shell command as root
    python -m lab shell              open a shell on this terminal
    python -m lab build              only make the image

With PORTLINE_LAB_LONG=yes tests that take minutes are run too (programs on every kind of port).
The exit code is that of pytest or of the command; 124 when ``--limit`` was over, 125 when the
machine ended early, 2 when the lab cannot run here, 128 and the number of a signal after that.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path
from tempfile import gettempdir
from typing import Final

from lab.errors import LabError
from lab.image import build
from lab.machine import LIMIT, LOST, TIMED_OUT, Ended, Job, run

PROJECT: Final = Path(__file__).resolve().parents[1]

MARK: Final = "mark.lab"
"""What a file with tests for the lab contains; the others are not even read there."""

UNCOMPILED: Final = "PYTHONDONTWRITEBYTECODE"

TEST_LIMIT: Final = 400
"""Seconds for one test: the emulated processor is ten to twenty times slower than the real one."""


def test_files(root: Path) -> list[str]:
    """Return the files with tests for the lab, below ``tests``, relative to ``root``."""
    return sorted(
        str(path.relative_to(root))
        for path in (root / "tests").rglob("test_*.py")
        if MARK in path.read_text("utf-8")
    )


def pytest_command(words: list[str]) -> str:
    """Return the shell command that runs the tests, all of them or as ``words`` says."""
    chosen = any(word.partition("::")[0].endswith(".py") or Path(word).is_dir() for word in words)
    common = [
        "-m",
        "lab",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-o",
        f"timeout={TEST_LIMIT}",
    ]
    files = [] if chosen else test_files(PROJECT)
    return "exec " + shlex.join([sys.executable, "-m", "pytest", "-q", *common, *words, *files])


def compile_tests(words: list[str]) -> None:
    """Let pytest read the tests here, once, so that the guest finds them compiled."""
    files = [word for word in words if ".py" in word] or test_files(PROJECT)
    _compile("pytest", "-q", "--collect-only", "-p", "no:cacheprovider", *files)


def compile_package() -> None:
    """Compile Portline here, so that no start of it in the guest has to."""
    _compile("compileall", "-q", "src")


def _compile(*words: str) -> None:
    # Whoever forbids Python to keep what it compiled does not mean the lab, where it takes minutes.
    environment = {name: text for name, text in os.environ.items() if name != UNCOMPILED}
    subprocess.run(
        [sys.executable, "-m", *words],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.DEVNULL,
        check=False,
    )


def job_of(asked: argparse.Namespace) -> Job:
    """Return what was asked for as a job."""
    kept = ("PORTLINE_LAB_LONG", "PORTLINE_TESTS_REQUIRE", "PYTHONPATH")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment["PORTLINE_LAB"] = "yes"
    if asked.systemd:
        environment["LAB_SYSTEMD"] = "yes"
    environment["PORTLINE_TESTS_FETCHED"] = f"{gettempdir()}/portline-tests-{os.getuid()}"
    compile_package()
    match asked.what:
        case "run":
            command, folder = " ".join(asked.words), Path.cwd()
        case "shell":
            command, folder = "", Path.cwd()
        case _:
            compile_tests(asked.words)
            command, folder = pytest_command(asked.words), PROJECT
    return Job(command, folder, asked.limit, environment)


def main() -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lab", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds (default: %(default)s)")
    parser.add_argument("--systemd", action="store_true", help="with systemd as process 1")
    choices = ["test", "run", "shell", "build"]
    parser.add_argument("what", nargs="?", default="test", choices=choices)
    parser.add_argument("words", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    if asked.what == "run" and not asked.words:
        parser.error("run what?")
    try:
        image = build()
        if asked.what == "build":
            print(f"lab: Linux {image.kernel.release} in {image.initramfs.parent}")
            return 0
        outcome = run(image, job_of(asked))
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2
    except Ended as error:
        print(f"lab: ended by {error}", file=sys.stderr)
        return 128 + error.number
    if outcome.code in (TIMED_OUT, LOST):
        print(outcome.console, file=sys.stderr)
    print(outcome.summary(), file=sys.stderr)
    return outcome.code


if __name__ == "__main__":
    sys.exit(main())
