"""What ``python -m lab`` makes of its words."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lab import __main__ as module
from lab.__main__ import PROJECT, main, pytest_command, test_files
from lab.errors import LabError
from lab.image import require_machine
from lab.machine import Job, Outcome

found_files = test_files
del test_files  # pytest would take it for a test


def test_only_files_with_tests_of_the_lab_are_read_there(tmp_path: Path) -> None:
    (tmp_path / "tests" / "lab").mkdir(parents=True)
    (tmp_path / "tests" / "lab" / "test_one.py").write_text("pytestmark = pytest.mark." + "lab\n")
    (tmp_path / "tests" / "test_other.py").write_text("def test_other(): pass\n")
    assert found_files(tmp_path) == ["tests/lab/test_one.py"]
    assert "tests/lab/test_kernel.py" in found_files(PROJECT)


def test_without_words_all_tests_of_the_lab_run() -> None:
    words = shlex.split(pytest_command([]))
    assert words[:4] == ["exec", sys.executable, "-m", "pytest"]
    assert words[words.index("-m", 3) + 1] == "lab"
    assert "tests/lab/test_kernel.py" in words


@pytest.mark.parametrize(
    "name", ["tests/lab/test_kernel.py", "tests/lab/test_kernel.py::test_x[a b]"]
)
def test_named_files_run_alone(name: str) -> None:
    words = shlex.split(pytest_command([name, "-k", "some thing"]))
    assert words[-3:] == [name, "-k", "some thing"]
    assert sum(word.startswith("tests/") for word in words) == 1


def test_options_alone_choose_among_all() -> None:
    words = shlex.split(pytest_command(["-k", "uart"]))
    assert "tests/lab/test_kernel.py" in words


@pytest.mark.parametrize(("system", "machine"), [("Linux", "aarch64"), ("Darwin", "x86_64")])
def test_another_machine_is_refused(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str
) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    with pytest.raises(LabError, match=f"not on {system} {machine}"):
        require_machine()


def test_what_is_missing_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    monkeypatch.setattr("sys.argv", ["lab", "build"])
    assert main() == 2
    assert capsys.readouterr().err == (
        "lab: qemu-system-x86_64 is missing; install qemu-system-x86\n"
    )


def test_outside_its_tests_are_left_out_or_skipped_with_the_reason() -> None:
    def outside(*words: str) -> str:
        argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"]
        return subprocess.run(
            [*argv, *words, "tests/lab/test_kernel.py"],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        ).stdout

    assert re.search(r"\b\d+ deselected", outside("-m", "not slow"))
    assert "needs the kernel of the lab: `make lab`" in outside("-m", "lab")


@pytest.mark.parametrize("words", [[], ["--systemd"]])
def test_the_machine_boots_systemd_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    jobs: list[Job] = []

    def play(_image: object, job: Job) -> Outcome:
        jobs.append(job)
        return Outcome(7, 1.0, 1.0, 0.5, 0.8)

    monkeypatch.setattr(module, "build", lambda: None)
    monkeypatch.setattr(module, "compile_package", lambda: None)
    monkeypatch.setattr(module, "run", play)
    monkeypatch.setattr("sys.argv", ["lab", *words, "run", "true"])
    assert main() == 7
    [job] = jobs
    assert job.command == "true"
    assert ("LAB_SYSTEMD" in job.environment) is bool(words)
