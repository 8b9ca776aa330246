"""Every operation over HTTP, made from the table: a POST what changes something, else a GET."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json, to_json
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from portline.control.http import method_of
from portline.control.message import pieces
from portline.control.operations.table import OPERATIONS
from portline.errors import PortlineError, UsageError
from portline.web.download import MEDIA, RECORD, heading, recorded
from portline.web.openapi import document
from portline.web.problem import Problem, problem_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from starlette.types import Receive, Scope, Send

    from portline.control.operations.operation import Feed, Operation, Parameter
    from portline.control.operations.subject import Subject
    from portline.service.monitor.watcher import Watcher
    from portline.web.visitors import Visitor, Visitors

__all__ = ["OFFERED", "PORTION", "STREAMS_MAX", "Api"]

OFFERED: Final[Mapping[str, Operation]] = {
    name: operation for name, operation in OPERATIONS.items() if not operation.local
} | {RECORD.name: RECORD}
"""The operations that can be asked for over HTTP."""

STREAMS_MAX: Final = 32
"""Streams at the same time; more are told to try again."""

SIGN_OF_LIFE: Final = 15.0
"""Seconds of silence in a stream after which a comment shows that there is somebody."""

CHECK: Final = 2.0
"""Seconds within which a stream notices that its session, token or password has ended."""

PORTION: Final = 32 * 1024
"""Bytes of a long answer that are sent at once."""

_log: Final = logging.getLogger("portline.web")


class _AnyMethod:
    """Answers whatever the method, so that it can say which one is right."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive, send))
        await response(scope, receive, send)


class Api:
    """Answers ``/api/...``."""

    def __init__(self, subject: Subject, visitors: Visitors) -> None:
        self._subject = subject
        self._visitors = visitors
        self._streams = 0
        self.routes = [
            Route("/api/openapi.json", self._document, methods=["GET"]),
            Route("/api/{operation}", _AnyMethod(self._operation)),
        ]

    async def _document(self, request: Request) -> Response:
        await self._visitors.identify(request, changes=False)
        return Response(
            to_json(document(self._visitors.cookie_of(request))), media_type="application/json"
        )

    async def _operation(self, request: Request) -> Response:
        name = request.path_params["operation"]
        operation = OFFERED.get(name)
        method = "GET" if request.method == "HEAD" else request.method
        # Who may not ask does not learn what there is to be asked, either.
        visitor = await self._visitors.identify(request, changes=method != "GET")
        if operation is None:
            raise Problem(404, f"no operation {name!r}; there are: {', '.join(OFFERED)}")
        if method != (right := method_of(operation)):
            allowed = "GET, HEAD" if right == "GET" else right
            raise Problem(405, f"{name}: ask with {right}", headers={"Allow": allowed})
        given = _of_query(operation, request) if method == "GET" else await _of_body(request)
        if operation.name == "events" and "last-event-id" in request.headers:
            given = {"since": _number(request.headers["last-event-id"]), **given}
        try:
            arguments = operation.arguments(given)
        except UsageError as error:
            raise Problem(400, str(error), usage=True) from None
        if operation.changes:
            _log.info("asked by %s: %s", visitor.name, operation.asked(arguments))
        try:
            result = await operation.run(self._subject, **arguments)
        except PortlineError as error:
            raise problem_of(error) from None
        if operation.opens is None and operation is not RECORD:
            return StreamingResponse(_gathered(result), media_type="application/json")
        if self._streams >= STREAMS_MAX:
            self._visitors.counts["streams_refused"] += 1
            raise Problem(429, f"there are {STREAMS_MAX} streams already; end some")
        ready = asyncio.Event()
        if operation is RECORD:
            return self._download(request, result, ready, visitor, arguments)
        assert operation.opens is not None
        try:
            feed = operation.opens(self._subject, ready.set, **arguments)
        except PortlineError as error:
            raise problem_of(error) from None
        if request.method == "HEAD":  # it has no body, so nobody would ever see its end
            feed.close()
            return Response(media_type="text/event-stream")
        told = self._told(b"".join(pieces(result)), feed, ready, visitor)
        headers = {"X-Accel-Buffering": "no"}  # nginx would gather
        return _Stream(feed, told, headers, "text/event-stream")

    def _download(
        self,
        request: Request,
        about: Any,
        ready: asyncio.Event,
        visitor: Visitor,
        arguments: Mapping[str, Any],
    ) -> Response:
        """Answer with a recording that begins now."""
        form = arguments["format"]
        headers = heading(about.name, form)
        if request.method == "HEAD":
            return Response(headers=headers, media_type=MEDIA[form])
        try:
            watcher = self._subject.served.gateway.watch(about.name, ready.set)
        except PortlineError as error:
            raise problem_of(error) from None
        file = recorded(
            about,
            watcher,
            ready,
            lambda: self._visitors.good(visitor),
            form=form,
            seconds=arguments["seconds"],
            size=arguments["size"],
        )
        return _Stream(watcher, self._counted(file), headers, MEDIA[form])

    async def _counted(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        self._streams += 1
        try:
            async for piece in pieces:
                yield piece
        finally:
            self._streams -= 1

    async def _told(
        self, result: bytes, feed: Feed, ready: asyncio.Event, visitor: Visitor
    ) -> AsyncIterator[bytes]:
        """Yield a stream as server-sent events: its result, and then what it tells."""
        loop = asyncio.get_running_loop()
        said = loop.time()
        self._streams += 1
        try:
            yield b"event: result\ndata: %b\n\n" % result
            while not feed.ended and self._visitors.good(visitor):
                if feed.waiting:
                    said = loop.time()
                    yield b"".join(map(_event, feed.take()))
                    await asyncio.sleep(0)
                    continue
                ready.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(ready.wait(), CHECK)
                if loop.time() - said > SIGN_OF_LIFE:
                    said = loop.time()
                    yield b": still here\n\n"
        finally:
            self._streams -= 1


class _Stream(StreamingResponse):
    """What is told of a feed, which is closed also where nobody waits for the first of it."""

    def __init__(
        self,
        feed: Feed | Watcher,
        told: AsyncIterator[bytes],
        headers: Mapping[str, str],
        media: str,
    ) -> None:
        super().__init__(told, headers=headers, media_type=media)
        self._feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._feed.close()


def _event(item: dict[str, object]) -> bytes:
    """Return a thing that is told; an event of the log has its number, for who comes again."""
    number = f"id: {item['number']}\n" if "number" in item else ""
    return b"%bdata: %b\n\n" % (number.encode(), to_json(item))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


async def _gathered(result: Any) -> AsyncIterator[bytes]:
    """Yield a result in portions, so that a long one does not hold the data up."""
    portion = bytearray()
    for piece in pieces(result):
        portion += piece
        if len(portion) >= PORTION:
            yield bytes(portion)
            portion.clear()
        await asyncio.sleep(0)
    yield bytes(portion)


def _of_query(operation: Operation, request: Request) -> dict[str, object]:
    known = {parameter.name: parameter for parameter in operation.parameters}
    # Once through all of them: asking for each name anew takes a second for some thousand names.
    found: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        found.setdefault(name, []).append(value)
    given: dict[str, object] = {}
    for name, values in found.items():
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
