"""A shelf in the memory of a test, and the end of a process that could not release anything."""

from __future__ import annotations

import os
from collections.abc import Sequence

__all__ = ["MemoryShelf"]


class MemoryShelf:
    """Keeps copies, as a service manager does."""

    def __init__(self) -> None:
        self.kept: list[int] = []

    def take(self) -> list[int]:
        taken, self.kept = self.kept, []
        return taken

    def keep(self, descriptors: Sequence[int]) -> None:
        self.forget()
        self.kept = [os.dup(each) for each in descriptors]

    def forget(self) -> None:
        for each in self.take():
            os.close(each)

    def copies(self) -> list[int]:
        """Return what another process would be given."""
        return [os.dup(each) for each in self.kept]
