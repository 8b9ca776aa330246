"""Packages that pip fetches once for the tests, and keeps beside them: other people's programs.

In the lab, which has no network, it is what the tests of the host have fetched.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.interop.conftest import lacking
from tests.waiting import IN_LAB

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["fetched", "pip", "pyserial_tests"]

FETCH_MAX = 100
"""Seconds for pip."""


def fetched(name: str, fetch: Callable[[Path], Path]) -> Path:
    """Return the folder with ``name``; ``fetch`` makes it, inside of a folder that it is given.

    Skips the test where it is not to be had.
    """
    ours = Path(tempfile.gettempdir()) / f"portline-tests-{os.getuid()}"
    kept = Path(f"{os.environ.get('PORTLINE_TESTS_FETCHED', ours)}-{name}")
    if IN_LAB:
        if not kept.is_dir():
            lacking(f"{kept} is not there, which the tests of the host fetch")
        return kept
    if not kept.is_dir():
        with tempfile.TemporaryDirectory(prefix="portline-tests-") as folder:
            made = fetch(Path(folder))
            try:  # in one step, because the workers of a test run do this at the same time
                made.rename(kept)
            except OSError:
                assert kept.is_dir()
    if kept.stat().st_uid != os.getuid():
        lacking(f"{kept} belongs to somebody else")
    return kept


def pip(*words: str) -> str:
    """Run pip; return what it complains about."""
    command = [sys.executable, "-m", "pip", *words, "--quiet", "--disable-pip-version-check"]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=FETCH_MAX, check=False)
    except subprocess.TimeoutExpired:
        return "pip took too long"
    return ended.stderr.decode("utf-8", "replace")[-300:]


def pyserial_tests() -> Path:
    """Return the folder of pyserial's own tests, of the version that is installed."""
    import serial

    name = f"pyserial-{serial.VERSION}"

    def fetch(folder: Path) -> Path:
        words = ["--no-binary", ":all:", "--no-deps", "--dest", str(folder)]
        trouble = pip("download", *words, name.replace("-", "=="))
        archive = folder / f"{name}.tar.gz"
        if not archive.exists():
            lacking(f"the source package {name} is not to be had: {trouble}")
        with tarfile.open(archive) as members:
            members.extractall(folder, filter="data")
        return folder / name

    return fetched(name, fetch) / "test"
