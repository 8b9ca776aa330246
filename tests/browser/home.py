"""A true ``portline serve --web`` in a folder of its own, and how a test asks it things."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from typing import TYPE_CHECKING, Any

from tests.interop.server import DEVELOPER_MODE, SOURCE, free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["PATIENCE", "Home", "eventually"]

PATIENCE = 30.0
"""Seconds after which something that has to happen counts as hanging; never a speed."""


def eventually(condition: Callable[[], object], what: str = "") -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain {what}"
        time.sleep(0.05)


class Home:
    """The service; ``text`` is its configuration at first, ``enter`` the address that logs in."""

    def __init__(self, folder: Path, text: str = "") -> None:
        self.folder = folder
        self.file = folder / "portline.toml"
        if text:
            self.file.write_text(text)
        self.log = folder / "serve.log"
        state = folder / "state"
        state.mkdir(mode=0o700)
        port = free_port()
        self.env = {
            **os.environ,
            "PYTHONPATH": str(SOURCE),
            "PYTHONUNBUFFERED": "1",
            "STATE_DIRECTORY": str(state),
            "PORTLINE_PASSWORD": "of the connections",
        }
        """What it runs with, and any command that is to find it."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *DEVELOPER_MODE, "-m", "portline", "serve", f"--web={port}"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.env,
            )
        try:
            eventually(lambda: "Its password" in self.told or self.process.poll() is not None)
            self.enter = re.findall(r"http\S+/enter\?key=\S+", self.told)[0]
            self.url = self.enter.partition("/enter?")[0]
            self.password = re.findall(r"password: (\S+)", self.told)[0]
        except BaseException:
            self.stop()
            print(self.told)
            raise

    @property
    def told(self) -> str:
        """What it has written so far."""
        return self.log.read_text(errors="replace")

    @property
    def connections(self) -> dict[str, Any]:
        """The connections in the file, as TOML has them."""
        found = tomllib.loads(self.file.read_text()) if self.file.exists() else {}
        return dict(found.get("connections", {}))

    def stop(self) -> None:
        """End it, and complain of what it has to complain of."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        assert "Traceback" not in self.told, self.told
