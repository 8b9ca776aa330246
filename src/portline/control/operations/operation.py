"""What an operation is: a name, parameters, a result, and what is run."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Protocol

from portline.errors import UsageError, clean

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from portline.control.operations.subject import Process

__all__ = ["Feed", "Operation", "Parameter", "Result"]


@dataclass(frozen=True, slots=True)
class Result:
    """What every result has: who answers.  :mod:`portline.control.schema` describes a result."""

    process: Process


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; it may be left out unless ``needed`` is set, and is ``default`` then.

    ``read`` raises ValueError.  ``schema`` is a JSON Schema that everything which it takes obeys;
    ``read`` may want more than a schema can say.
    """

    name: str
    text: str
    read: Callable[[object], object]
    schema: Mapping[str, object]
    default: object = None
    needed: bool = False


class Feed(Protocol):
    """What a stream goes on telling, bounded; of one loop.

    ``ready()``, with which it was opened, is called when there is something; not again before
    ``take`` has left nothing behind.
    """

    @property
    def waiting(self) -> bool:
        """Tell whether something can be taken."""

    @property
    def ended(self) -> bool:
        """Tell whether nothing will come any more, and everything has been taken."""

    def take(self) -> list[dict[str, object]]:
        """Remove and return what is to be told next, as JSON has it: about 64 KiB at the most."""

    def close(self) -> None:
        """Take no more.  May be called twice."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: ``run`` takes the subject and the parameters, all of them, by name.

    A stream has ``opens``, too, which is called after ``run`` with the subject, ``ready`` and the
    parameters; ``item`` returns the JSON schema of one thing that it tells.
    """

    name: str
    parameters: tuple[Parameter, ...]
    result: type[Result]
    run: Callable[..., Coroutine[None, None, Result]]
    changes: bool
    """Whether something may be different afterwards."""
    local: bool = False
    """Whether it takes over the caller's socket, so that only a program of this machine may ask."""
    opens: Callable[..., Feed] | None = None
    item: Callable[[], Mapping[str, object]] | None = None

    @property
    def text(self) -> str:
        """What it does, in a sentence or some more."""
        return cleandoc(self.run.__doc__ or "")

    def asked(self, arguments: Mapping[str, object]) -> str:
        """Return what the log says is asked for: the operation, and of which connection."""
        name = arguments.get("name")
        return f"{self.name} {clean(name)}" if isinstance(name, str) else self.name

    def arguments(self, given: Mapping[str, object]) -> dict[str, Any]:
        """Return every parameter with its value.  Raises UsageError, in one line."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in given:
            if name not in known:
                names = ", ".join(known) or "none"
                raise UsageError(f"{self.name}: no parameter {name!r}; there are: {names}")
        for parameter in self.parameters:
            if parameter.needed and parameter.name not in given:
                raise UsageError(f"{self.name}: needs the parameter {parameter.name!r}")
        try:
            return {
                name: parameter.read(given[name]) if name in given else parameter.default
                for name, parameter in known.items()
            }
        except ValueError as error:
            raise UsageError(f"{self.name}: {error}") from None
