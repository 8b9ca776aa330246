"""What an operation goes on telling over HTTP: server-sent events (HTML, section 9.2).

Theory of operation
-------------------
A thread reads, because what HTTP has buffered cannot be waited for with a time limit.  It is at
most WAITING_MAX messages ahead of whoever takes them; then it reads no more, TCP holds the other
side back, and that skips, counted.  It ends with the stream, or when its socket is shut down.
"""

from __future__ import annotations

import http.client
import queue
import socket
import time
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

from portline.errors import PortlineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["MESSAGE_MAX", "SILENCE", "WAITING_MAX", "EventStream"]

SILENCE: Final = 60.0
"""Seconds without a word after which a stream is lost: there is a sign of life each 15 s."""

MESSAGE_MAX: Final = 1024 * 1024
"""Bytes of a line; a record has 64 KiB of data at the most, written as base64."""

WAITING_MAX: Final = 256
"""Messages that have been read and not taken: a second of a busy line."""

SLICE: Final = 0.5
"""Seconds of one wait: a Ctrl-C in the moment before the wait is not noticed before it is over."""

_NOT_OURS: Final = "the answer is not one that this Portline understands"


class EventStream:
    """What a stream tells, until it ends or ``close`` is called; also by ``with``.

    ``result`` is what the operation answers first, and has come when this is made.  See
    :class:`portline.control.way.Telling`.  ``hang_up`` closes the connection.
    """

    def __init__(
        self, url: str, answer: http.client.HTTPResponse, hang_up: Callable[[], None]
    ) -> None:
        self._url = url
        self._answer = answer
        self._hang_up = hang_up
        self._messages = self._read()
        self._waiting: queue.Queue[dict[str, Any] | PortlineError | None] = queue.Queue(WAITING_MAX)
        self._thread = Thread(target=self._gather, name="portline-stream", daemon=True)
        self._socket: socket.socket | None = None
        self._ended = False
        self._failure: PortlineError | None = None
        event, data = next(self._messages, ("", b""))
        if event != "result":
            raise PortlineError(f"{url}: {_NOT_OURS}")
        self.result: Any = self._json(data)

    def begin(self, sock: socket.socket) -> None:
        """Go on without a limit, on this socket."""
        sock.settimeout(SILENCE)
        self._socket = sock
        self._thread.start()

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while (items := self.wait(None)) is not None:
            yield from items

    def close(self) -> None:
        """Hear no more.  May be called twice."""
        self._ended, self._failure = True, None
        if self._socket is not None:
            with suppress(OSError):
                # That of an SSLSocket takes its state away from the thread that waits in it.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            self._thread.join()
        self._hang_up()

    def wait(self, limit: float | None) -> list[dict[str, Any]] | None:
        """Return what is told within ``limit`` seconds, [] for nothing, None after the end.

        None as ``limit`` waits for ever.
        """
        end = None if limit is None else time.monotonic() + limit
        found: list[dict[str, Any]] = []
        while not self._ended:
            left = SLICE if end is None else min(SLICE, end - time.monotonic())
            try:
                item = (
                    self._waiting.get_nowait() if found else self._waiting.get(True, max(0, left))
                )
            except queue.Empty:
                if found or (end is not None and time.monotonic() >= end):
                    return found
                continue
            if isinstance(item, dict):
                found.append(item)
                continue
            self._ended, self._failure = True, item
        if not found and self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return found or None

    def _gather(self) -> None:
        """Read until the end; what comes last is why, or None."""
        last: PortlineError | None = None
        try:
            for _, data in self._messages:
                if not self._put(self._json(data)):
                    return
        except PortlineError as error:
            last = error
        self._put(last)

    def _put(self, item: dict[str, Any] | PortlineError | None) -> bool:
        """Let something be taken; tell whether anybody may want it."""
        while not self._ended:
            with suppress(queue.Full):
                self._waiting.put(item, timeout=SLICE)
                return True
        return False

    def _read(self) -> Iterator[tuple[str, bytes]]:
        """Yield each message with its kind (section 9.2.6), as far as Portline writes them."""
        kind, data = "", b""
        try:
            while line := self._answer.readline(MESSAGE_MAX):
                if not line.endswith(b"\n"):
                    raise PortlineError(f"{self._url}: {_NOT_OURS}")
                field, _, value = line.rstrip(b"\r\n").partition(b": ")
                if field == b"event":
                    kind = value.decode("utf-8", "replace")
                elif field == b"data":
                    data = value
                elif not field and data:
                    yield kind, data
                    kind, data = "", b""
        except (OSError, http.client.HTTPException, ValueError) as error:
            if self._socket is None:
                raise  # nothing has come yet; who asks knows what that means
            fault = getattr(error, "strerror", None) or str(error)
            raise PortlineError(f"{self._url}: the stream is lost ({fault})") from error

    def _json(self, data: bytes) -> dict[str, Any]:
        try:
            found = from_json(data)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise PortlineError(f"{self._url}: {_NOT_OURS}")
        return found
