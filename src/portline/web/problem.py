"""What is answered where a request is refused: problem details (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from portline.errors import (
    ChangedMeanwhile,
    ConfigError,
    NameUnknown,
    PortlineError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.responses import Response

__all__ = ["MEDIA", "Problem", "problem_of"]

MEDIA = "application/problem+json"


class Problem(Exception):
    """A request that is refused: the ``status`` of HTTP, and lines for people.

    ``mistakes`` are those of options, as ``{"option": ..., "text": ...}``; ``usage`` tells that the
    request itself was wrong, as it is told on a control socket.
    """

    def __init__(
        self,
        status: int,
        *lines: str,
        mistakes: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        usage: bool = False,
    ) -> None:
        super().__init__("\n".join(lines))
        self.status = status
        self.lines = [" ".join(line.split()) for line in lines]
        self.mistakes = mistakes
        self.headers = headers or {}
        self.usage = usage

    def response(self) -> Response:
        """Return the answer."""
        from starlette.responses import Response

        title = HTTPStatus(self.status).phrase
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": title,
            "status": self.status,
            "detail": self.lines[0] if self.lines else title,
            "errors": self.lines,
            "mistakes": list(self.mistakes),
            "usage": self.usage,
        }
        return Response(to_json(body), self.status, dict(self.headers), MEDIA)


def problem_of(error: PortlineError) -> Problem:
    """Return what is answered when an operation could not be carried out."""
    if isinstance(error, ConfigError):
        mistakes = [{"option": option, "text": text} for option, text in error.faults]
        status = 409 if isinstance(error, ChangedMeanwhile) else 422
        return Problem(status, *error.mistakes, mistakes=mistakes)
    status = 404 if isinstance(error, NameUnknown) else 409
    return Problem(status, *str(error).splitlines(), usage=isinstance(error, UsageError))
