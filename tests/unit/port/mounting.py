"""A kernel's table of mounts in memory, so that tests need no privilege."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from portline.port.names.mounts import MARK, Mount

if TYPE_CHECKING:
    import pytest

__all__ = ["Kernel"]


class Kernel:
    """What is mounted, lowest first; ``refuses`` is the error that the next calls raise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.table: list[Mount] = []
        self.refuses: dict[str, int] = {}
        self.calls: list[str] = []
        self._numbers = iter(range(100, 1000))
        for name in ("attach", "covering", "detach"):
            monkeypatch.setattr(f"portline.port.names.overlap.{name}", getattr(self, name))
        monkeypatch.setattr("portline.port.names.repair.mounts", self.mounts)
        monkeypatch.setattr("portline.port.names.repair.covering", self.covering)

    def add(self, path: str, root: str, options: frozenset[str] = MARK, at: int = 9999) -> None:
        """Mount something."""
        self.table.insert(at, Mount(next(self._numbers), root, path, options, "devpts"))

    def kill(self, terminal: str) -> None:
        """Let the program behind a terminal die."""
        self.table = [
            replace(mount, root=f"{mount.root}//deleted") if mount.terminal == terminal else mount
            for mount in self.table
        ]

    def roots(self, path: str) -> list[str]:
        """Return what is mounted over a path, lowest first."""
        return [mount.root for mount in self.table if mount.point == path]

    # --- what portline.port.names.mounts does -----------------------------------------------------

    def mounts(self) -> list[Mount]:
        self._may("mounts")
        return list(self.table)

    def covering(self, path: str) -> Mount | None:
        here = [mount for mount in self.table if mount.point == path]
        return here[-1] if here else None

    def attach(self, terminal: str, path: str, *, beneath: bool = False) -> None:
        self._may("beneath" if beneath else "attach")
        top = self.covering(path)
        place = self.table.index(top) if beneath and top is not None else len(self.table)
        self.add(path, f"/{os.path.basename(terminal)}", at=place)

    def detach(self, mount: Mount) -> None:
        self._may("detach")
        self.table.remove(mount)

    def _may(self, call: str) -> None:
        self.calls.append(call)
        if number := self.refuses.get(call):
            raise OSError(number, os.strerror(number))
