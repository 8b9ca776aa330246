"""How parameters that several operations have are read, each with its JSON schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portline.control.operations.operation import Parameter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["NAME", "OPTIONS", "TABLE", "TEXT", "optional_text", "table", "text"]

TEXT: Final[Mapping[str, object]] = {"type": "string", "pattern": r"\S"}
"""The schema of what :func:`text` takes."""

TABLE: Final[Mapping[str, object]] = {"type": "object"}
"""The schema of what :func:`table` takes."""


def text(value: object) -> str:
    """Take a text that is not empty, without the spaces around it."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ValueError("name must be a text that is not empty, like meter")


def optional_text(name: str) -> Callable[[object], str]:
    """Return what takes a text for the parameter ``name``, without the spaces around it."""

    def read(value: object) -> str:
        if isinstance(value, str):
            return value.strip()
        raise ValueError(f"{name} must be a text")

    return read


def table(value: object) -> Mapping[str, object]:
    """Take options by their keys."""
    if isinstance(value, dict):
        return value
    raise ValueError("options must be a table of options and their values")


NAME: Final = Parameter("name", "The connection.", text, TEXT, needed=True)

OPTIONS: Final = Parameter(
    "options", "Its options, kind among them, as in a file.", table, TABLE, needed=True
)
