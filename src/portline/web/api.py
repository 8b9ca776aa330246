"""Every operation over HTTP, made from the table: a POST what changes something, else a GET."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json, to_json
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from portline.control.operations.table import OPERATIONS
from portline.errors import ConfigError, NameUnknown, PortlineError, UsageError
from portline.web.openapi import document
from portline.web.problem import Problem, problem_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.requests import Request

    from portline.control.operations.operation import Operation, Parameter
    from portline.control.operations.subject import Subject
    from portline.web.visitors import Visitors

__all__ = ["GATHER", "QUESTIONS", "Api", "methods"]

GATHER: Final = 32 * 1024
"""Bytes of a long answer that are sent at once."""

QUESTIONS: Final = frozenset({"check"})
"""Operations that change nothing, but whose parameters are too much for an address: POST, too."""

_log: Final = logging.getLogger("portline.web")


def methods(operation: Operation) -> tuple[str, ...]:
    """Return the methods of HTTP by which an operation is asked for."""
    if operation.changes:
        return ("POST",)
    return ("GET", "POST") if operation.name in QUESTIONS else ("GET",)


class Api:
    """Answers ``/api/...``."""

    def __init__(self, subject: Subject, visitors: Visitors) -> None:
        self._subject = subject
        self._visitors = visitors
        self.routes = [
            Route("/api/openapi.json", self._document, methods=["GET"]),
            Route("/api/{operation}", self._operation, methods=["GET", "POST", "PUT", "DELETE"]),
        ]

    async def _document(self, request: Request) -> Response:
        await self._visitors.identify(request, changes=False)
        return Response(to_json(document()), media_type="application/json")

    async def _operation(self, request: Request) -> Response:
        name = request.path_params["operation"]
        operation = OPERATIONS.get(name)
        method = "GET" if request.method == "HEAD" else request.method
        known = () if operation is None else methods(operation)
        # Who may not ask does not learn what there is to be asked, either.
        visitor = await self._visitors.identify(request, changes=method != "GET")
        if operation is None:
            raise Problem(404, f"no operation {name!r}; there are: {', '.join(OPERATIONS)}")
        if method not in known:
            allowed = ", ".join(("HEAD", *known) if "GET" in known else known)
            raise Problem(405, f"{name}: ask with {' or '.join(known)}", headers={"Allow": allowed})
        given = _of_query(operation, request) if method == "GET" else await _of_body(request)
        try:
            arguments = operation.arguments(given)
        except UsageError as error:
            raise Problem(400, str(error)) from None
        if operation.changes:
            _log.info("asked to %s by %s", name, visitor.name)
        try:
            result = await operation.run(self._subject, **arguments)
        except NameUnknown as error:
            raise Problem(404, str(error)) from None
        except ConfigError as error:
            raise problem_of(error) from None
        except PortlineError as error:
            raise problem_of(error) from None
        return StreamingResponse(_gathered(result), media_type="application/json")


async def _gathered(result: Any) -> AsyncIterator[bytes]:
    """Yield a result in portions, so that a long one does not hold the data up."""
    from portline.control.message import pieces

    portion = bytearray()
    for piece in pieces(result):
        portion += piece
        if len(portion) >= GATHER:
            yield bytes(portion)
            portion.clear()
        await asyncio.sleep(0)
    yield bytes(portion)


def _of_query(operation: Operation, request: Request) -> dict[str, object]:
    known = {parameter.name: parameter for parameter in operation.parameters}
    given: dict[str, object] = {}
    for name in dict.fromkeys(request.query_params):
        values = request.query_params.getlist(name)
        parameter = known.get(name)
        # What is not known is passed on, and told of there.
        given[name] = values[-1] if parameter is None else _value(parameter, values)
    return given


def _value(parameter: Parameter, values: list[str]) -> object:
    """Return what a parameter in an address means by its schema; repeated where it is a list."""
    found = parameter.schema.get("type")
    kinds = found if isinstance(found, list | tuple) else [found]
    if "array" in kinds:
        return values
    if len(values) > 1:
        raise Problem(400, f"{parameter.name} is given {len(values)} times; give it once")
    if "string" in kinds or kinds == [None]:
        return values[0]
    try:
        return from_json(values[0])
    except ValueError:
        raise Problem(400, f"{parameter.name} must be JSON here") from None


async def _of_body(request: Request) -> Mapping[str, object]:
    from portline.web.application import body_of

    found = await body_of(request)
    if not isinstance(found, dict):
        raise Problem(400, "the body has to be an object with the parameters")
    return found
