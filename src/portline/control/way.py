"""How a running Portline is asked, whichever way leads to it.

There are two: its control socket (:class:`portline.control.client.SocketWay`), and HTTP
(:class:`portline.control.http.Client`).  Whoever asks gets the same results and the same errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["ANSWER_MAX", "TIME_LIMIT", "Telling", "Way"]

TIME_LIMIT: Final = 15.0
"""Seconds for a whole answer: more than the other side takes before it gives up."""

ANSWER_MAX: Final = 64 * 1024**2
"""Bytes; a status of a thousand connections with eight peers each is below ten MiB."""


class Telling(Protocol):
    """What an operation goes on telling, until it ends or ``close`` is called; also by ``with``.

    ``result`` is what it answers first.  Iterating yields each thing as JSON has it, and waits for
    the next.  Raises what :meth:`Way.ask` does, also while it is read.
    """

    result: Any

    def __enter__(self) -> Telling:
        """Return itself."""

    def __exit__(self, *error: object) -> None:
        """Hear no more."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield each thing."""

    def wait(self, limit: float | None) -> list[dict[str, Any]] | None:
        """Return what is told within ``limit`` seconds, [] for nothing, None after the end.

        None as ``limit`` waits for ever.
        """

    def close(self) -> None:
        """Hear no more.  May be called twice."""


class Way(Protocol):
    """One running Portline; its text says where that is."""

    def ask(
        self,
        operation: str,
        parameters: Mapping[str, object] | None = None,
        *,
        limit: float | None = None,
    ) -> Any:
        """Return the result of an operation, as JSON has it, within ``limit`` seconds.

        TIME_LIMIT unless it is given.  Raises ConfigError for mistakes of a configuration,
        UsageError for a request that was wrong, and PortlineError for any other error, also when
        nobody can be reached there.
        """

    def stream(self, operation: str, parameters: Mapping[str, object] | None = None) -> Telling:
        """Return what an operation goes on telling; raises what :meth:`ask` does."""
