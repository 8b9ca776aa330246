"""Where a port leaves what is to outlive its process: descriptors, under the port's name.

Who has such a place (:mod:`portline.service.process.store`) gives each port its part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Shelf"]


class Shelf(Protocol):
    """The part of one port; nothing here raises or blocks."""

    def take(self) -> list[int]:
        """Return the descriptors that a process before this one has left, once; they are ours."""

    def keep(self, descriptors: Sequence[int]) -> None:
        """Keep copies of these for a process after this one; those kept before stay."""

    def forget(self) -> None:
        """Keep nothing any more."""
