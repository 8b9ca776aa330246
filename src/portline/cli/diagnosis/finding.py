"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Finding", "Weight"]


class Weight(Enum):
    """What a finding means; the value is the word that is printed."""

    WRONG = "wrong"
    NOTE = "note"
    GOOD = "good"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what it is about, what is found, and what mends it ("" where nothing has to)."""

    weight: Weight
    subject: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        """Write ``/dev/ttyUSB0: the fault; the remedy``."""
        return f"{self.subject}: {self.text}" + (f"; {self.remedy}" if self.remedy else "")
