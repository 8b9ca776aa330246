"""Where the checks look, and how they read it."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from portline.net.address import display
from portline.port.inventory.holder import PROC
from portline.port.inventory.ports import DEV, SYS, found_ports
from portline.port.ladder import LADDER, Rung
from portline.port.names.place import MAKER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from portline.port.inventory.ports import FoundPort


__all__ = ["Listening", "Machine", "amount", "contents", "entries", "programs"]

ANSWER_LIMIT: Final = 5.0
"""Seconds that a program gets to tell what rules there are."""


@dataclass(frozen=True, slots=True)
class Listening:
    """An address that ``owner``, a connection or the page, listens on; ``host`` "*" for every."""

    owner: str
    host: str
    port: int

    @property
    def beyond(self) -> bool:
        """Tell whether other machines are to reach it."""
        return not (self.host.startswith("127.") or self.host in ("::1", "localhost"))

    @property
    def address(self) -> str:
        """Write the address."""
        return display(self.host, self.port)


def _answer(command: Sequence[str]) -> str | None:
    """Return what a program of the system says; None where it is not there or refuses."""
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_LIMIT,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stdout if ended.returncode == 0 else None


@dataclass(frozen=True)
class Machine:
    """Where the checks look.  ``user`` is the effective one."""

    sys: Path = SYS
    dev: Path = DEV
    proc: Path = PROC
    run: Path = Path("/run")
    temporary: Path = Path("/tmp")
    user: int = field(default_factory=os.geteuid)
    ladder: tuple[Rung, ...] = LADDER
    processor: str | None = None
    listening: tuple[Listening, ...] = ()
    """Where the connections and the page of the configuration are to listen, or do so."""
    libraries: Path = Path("/usr/lib")
    settings: Path = Path("/etc")
    answer: Callable[[Sequence[str]], str | None] = _answer

    def ports(self) -> list[FoundPort]:
        """Return the ports to look at: not the console, and none that Portline makes."""
        return [
            port
            for port in found_ports(self.sys, self.dev)
            if not (port.console or port.hidden or (port.usb and port.usb.manufacturer == MAKER))
        ]


def programs(proc: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and the program of each process."""
    for pid in sorted(int(name) for name in entries(proc) if name.isdigit()):
        yield pid, contents(proc / str(pid) / "comm")


def amount(file: Path) -> int | None:
    """Return the number that a file of the kernel holds; None where there is none."""
    text = contents(file)
    return int(text) if text.isdecimal() else None


def contents(file: Path) -> str:
    """Return the text of a file; "" for one that cannot be read."""
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""


def entries(folder: Path) -> list[str]:
    """Return the names in a folder; none for one that cannot be read."""
    with suppress(OSError):
        return os.listdir(folder)
    return []
