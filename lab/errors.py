"""What can keep the lab from running."""

from __future__ import annotations

__all__ = ["LabError"]


class LabError(Exception):
    """The lab cannot be built or run here; the text says what is missing and what helps."""
