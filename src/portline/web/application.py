"""Everything that is answered over HTTP: who asks what, and with which headers.

Without a login only what is the same for everybody is given out: the empty page, its files, and the
way to log in.
"""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json, to_json
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router, WebSocketRoute
from starlette.websockets import WebSocket

import portline
from portline.errors import PortlineError
from portline.web.api import Api
from portline.web.files import Files
from portline.web.live import Live
from portline.web.problem import Problem, problem_of
from portline.web.refusal import refusal, wants_page
from portline.web.terminal import Terminals

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Message, Receive, Scope, Send

    from portline.control.operations.subject import Subject
    from portline.web.names import Names
    from portline.web.visitors import Visitors

__all__ = ["BODY_MAX", "POLICY", "Application"]

BODY_MAX: Final = 256 * 1024
"""Bytes of the body of a request: every option of a connection, written out, is below 16 KiB."""

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "style-src-attr 'unsafe-inline'",  # xterm.js places its characters so
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""What a browser lets the page do: nothing that did not come from here, and nothing inline."""

_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

PAGES: Final = (
    *("/", "/new", "/log"),
    *(f"/{view}/{{name}}" for view in ("edit", "monitor", "terminal")),
)
"""Addresses of the page, beside /login; which view is meant is for the page to know."""

_log: Final = logging.getLogger("portline.web")


class Application:
    """The ASGI application of one page."""

    def __init__(self, subject: Subject, visitors: Visitors, names: Names) -> None:
        self.names = names
        self.visitors = visitors
        self.live = Live(subject, visitors)
        self._files = Files()
        self._terminals = Terminals(subject, visitors)
        self._api = Api(subject, visitors)
        self._router = Router(
            [
                *(Route(path, self._page, methods=["GET"]) for path in PAGES),
                Route("/static/{path:path}", self._file, methods=["GET"]),
                Route("/session", self._session, methods=["GET"]),
                Route("/login", self._login, methods=["GET", "POST"]),
                Route("/logout", self._logout, methods=["POST"]),
                Route("/enter", self._enter, methods=["GET"]),
                *self._api.routes,
                WebSocketRoute("/live", self.live.serve),
                WebSocketRoute("/terminal/{name}/socket", self._terminals.serve),
            ],
            redirect_slashes=False,
            default=_nothing,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one WebSocket."""
        answered = _Answered(send, private=_is_private(scope["path"]))
        scope["app"] = self  # has the router tell of a wrong method by an exception
        try:
            self._demand_name(scope)
            await self._router(scope, receive, answered)
        except HTTPException as error:
            problem = Problem(error.status_code, error.detail, headers=error.headers)
            await self._refuse(scope, receive, answered, problem)
        except Problem as refused:
            await self._refuse(scope, receive, answered, refused)
        except PortlineError as error:
            await self._refuse(scope, receive, answered, problem_of(error))
        except Exception:
            _log.exception("a request to %s failed", scope["path"])
            unforeseen = Problem(500, "this should not have happened; see the log of Portline")
            await self._refuse(scope, receive, answered, unforeseen)

    def _demand_name(self, scope: Scope) -> None:
        hosts = Headers(scope=scope).getlist("host")
        if len(hosts) != 1 or not self.names.knows(hosts[0]):
            name = hosts[0][:100] if hosts else ""
            raise Problem(
                421,
                f"nobody here is called {name!r}; if browsers are to call the page so, write it to "
                "hosts in [web]",
            )

    async def _refuse(
        self, scope: Scope, receive: Receive, answered: _Answered, problem: Problem
    ) -> None:
        if answered.begun:
            return  # half of an answer cannot be taken back; uvicorn ends the connection
        page = wants_page(scope, Headers(scope=scope))
        response = refusal(problem) if page else problem.response()
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, answered).send_denial_response(response)
        else:
            # What is not read of the body would be taken for the next request.
            response.headers["Connection"] = "close"
            await response(scope, receive, answered)

    # --- without a login ------------------------------------------------------------------------

    async def _page(self, request: Request) -> Response:
        return self._files.answer("index.html", request)

    async def _file(self, request: Request) -> Response:
        return self._files.answer(request.path_params["path"], request)

    async def _enter(self, request: Request) -> Response:
        secret = self.visitors.enter(request, request.query_params.get("key", ""))
        response = RedirectResponse("/", 303)
        self.visitors.set_cookie(request, response, secret)
        return response

    async def _login(self, request: Request) -> Response:
        if request.method != "POST":
            return await self._page(request)
        match await body_of(request):
            case {"password": str(password), **rest} if not rest:
                secret = await self.visitors.login(request, password)
            case _:
                raise Problem(400, 'a login is an object like {"password": "..."}')
        response = Response(status_code=204)
        self.visitors.set_cookie(request, response, secret)
        return response

    # --- with one -------------------------------------------------------------------------------

    async def _session(self, request: Request) -> Response:
        visitor = await self.visitors.identify(request, changes=False)
        csrf = "" if visitor.session is None else visitor.session.csrf
        body = {"csrf": csrf, "version": portline.__version__, "name": socket.gethostname()}
        return Response(to_json(body), media_type="application/json")

    async def _logout(self, request: Request) -> Response:
        self.visitors.demand_origin(request)
        self.visitors.logout(request)
        response = Response(status_code=204)
        self.visitors.set_cookie(request, response, "")
        return response


class _Answered:
    """Sends what is answered, with the headers that every answer has."""

    def __init__(self, send: Send, *, private: bool) -> None:
        self.begun = False
        self._send = send
        self._private = private

    async def __call__(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            if self._private:
                headers["Cache-Control"] = "no-store"
        if message["type"] in (
            "http.response.start",
            "websocket.http.response.start",
            "websocket.accept",
            "websocket.close",
        ):
            self.begun = True
        await self._send(message)


def _is_private(path: str) -> bool:
    """Tell whether what is answered may not be kept by anybody."""
    return not path.startswith("/static/")


async def body_of(request: Request) -> Any:
    """Return the JSON of a body.  Raises Problem: 400, 413, 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "the body has to be application/json")
    length = request.headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit() or int(length) > BODY_MAX:
        raise _too_large()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_MAX:
            raise _too_large()
    try:
        return from_json(bytes(body))
    except ValueError as error:
        raise Problem(400, f"the body is not JSON: {error}") from None


def _too_large() -> Problem:
    return Problem(413, f"a body has at most {BODY_MAX} bytes")


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise Problem(404, "there is nothing at this address")
