"""What a person at a browser is shown where a request is refused: a small page with the reason."""

from __future__ import annotations

from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.types import Scope

    from portline.web.problem import Problem

__all__ = ["refusal", "wants_page"]

_PAGE: Final = """\
<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <title>{title} · Portline</title>
    <link rel="icon" href="/static/favicon.svg" type="image/svg+xml" />
    <link rel="stylesheet" href="/static/style/tokens.css" />
    <link rel="stylesheet" href="/static/style/frame.css" />
    <link rel="stylesheet" href="/static/style/controls.css" />
    <script src="/static/script/shade.js"></script>
  </head>
  <body>
    <main id="main">
      <div class="empty">
        <h1>{title}</h1>
        {lines}
        <a class="button" href="/">Back to the connections</a>
      </div>
    </main>
  </body>
</html>
"""

_TITLES: Final = {
    403: "That is not allowed",
    404: "There is no such page",
    405: "That is no page",
    421: "Not by this name",
    500: "Something went wrong",
}
"""Titles for people, where those of HTTP are none."""


def wants_page(scope: Scope, headers: Headers) -> bool:
    """Tell whether a person looks at what is answered: a browser was sent to an address.

    What programs ask is answered for programs whatever they say that they accept.
    """
    return (
        scope["type"] == "http"
        and scope["method"] in ("GET", "HEAD")
        and not f"{scope['path']}/".startswith("/api/")
        and "text/html" in headers.get("accept", "").lower()
    )


def refusal(problem: Problem) -> Response:
    """Return the page that says what was refused, with the status of the problem."""
    title = _TITLES.get(problem.status) or HTTPStatus(problem.status).phrase
    lines = "\n        ".join(f"<p>{escape(_sentence(line))}</p>" for line in problem.lines)
    page = _PAGE.format(title=escape(title), lines=lines)
    return Response(page, problem.status, dict(problem.headers), "text/html")


def _sentence(line: str) -> str:
    return f"{line[:1].upper()}{line[1:]}{'' if line.endswith('.') else '.'}"
