"""The files of the page, from the package: read once, told apart by what is in them."""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from portline.web.problem import Problem

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["FOLDER", "Files"]

FOLDER: Final = Path(__file__).parent / "static"
"""The files, none of which is secret."""

FILE_MAX: Final = 4 * 1024**2
"""Bytes of a file that is given out."""

_TYPES: Final = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
    ".json": "application/json",
    ".txt": "text/plain",
    ".map": "application/json",
}
"""Types that do not depend on what the machine believes (/etc/mime.types)."""


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    kind: str
    tag: str
    changed: tuple[int, int]


class Files:
    """The files in ``folder``; those of a package do not change, those of a developer do."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder.resolve()
        # Only what was there at first is ever given out, under exactly its name: there is no path
        # to be clever with.
        self._paths = {
            path.relative_to(self._folder).as_posix(): path
            for path in self._folder.rglob("*")
            if path.is_file() and not path.name.startswith((".", "_"))
        }
        self._known: dict[str, _File] = {}

    def answer(self, name: str, request: Request) -> Response:
        """Return a file, or that it has not changed.  Raises Problem where there is none."""
        file = self._file(name)
        if file is None:
            raise Problem(404, "there is no such file")
        headers = {"ETag": file.tag, "Cache-Control": "no-cache"}
        wanted = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
        if file.tag in wanted or f"W/{file.tag}" in wanted:
            return Response(status_code=304, headers=headers)
        return Response(file.content, headers=headers, media_type=file.kind)

    def _file(self, name: str) -> _File | None:
        path = self._paths.get(name)
        if path is None:
            return None
        try:
            found = path.stat()
            changed = (found.st_mtime_ns, found.st_size)
            known = self._known.get(name)
            if known is not None and known.changed == changed:
                return known
            with path.open("rb") as opened:
                content = opened.read(FILE_MAX)
        except OSError:
            return None
        kind = (
            _TYPES.get(path.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        )
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        self._known[name] = file = _File(content, kind, tag, changed)
        return file
