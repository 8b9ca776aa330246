"""Asks running Portlines; blocks until they have answered."""

from __future__ import annotations

import os
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from portline.control.message import LINE_MAX, Request, items_of, result_of
from portline.control.way import ANSWER_MAX, TIME_LIMIT
from portline.errors import PortlineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["NobodyThere", "SocketWay", "Stream", "ask", "take_over"]

PAUSE: Final = 0.02
"""Seconds between two attempts to be among those who wait to be accepted."""

SLICE: Final = 0.5
"""Seconds of one wait for a stream: a Ctrl-C in the moment before the kernel begins to wait is not
noticed before the wait is over."""

CHUNK: Final = 64 * 1024
"""Bytes of a stream that are read at once."""

_CREDENTIALS: Final = struct.Struct("3i")
"""``struct ucred`` of Linux: process, user, group."""


class NobodyThere(PortlineError):
    """No process listens on the socket, or there is none."""


def ask(
    path: Path,
    operation: str,
    parameters: Mapping[str, object] | None = None,
    *,
    limit: float = TIME_LIMIT,
) -> Any:
    """Return the result of an operation, as JSON has it.

    Raises NobodyThere, ConfigError for mistakes of a configuration, and PortlineError for any other
    error; their texts begin with the path only where the socket itself is at fault.
    """
    end = time.monotonic() + limit
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(limit)
        try:
            _connect(sock, path, end)
            line = _exchange(sock, Request(operation, parameters or {}).encode(), end)
        except TimeoutError:
            raise PortlineError(f"{path}: no answer within {limit:g} s") from None
        except OSError as error:
            raise PortlineError(f"{path}: {error.strerror or error}") from error
    return _result(path, line)


def _result(path: Path, line: bytes) -> Any:
    try:
        return result_of(line)
    except PortlineError as error:
        if not line:
            raise PortlineError(f"{path}: ended without an answer") from error
        raise


def take_over(
    path: Path, operation: str, parameters: Mapping[str, object], *, limit: float = TIME_LIMIT
) -> tuple[Any, socket.socket]:
    """Return the result of an operation that goes on with the socket behind it, and the socket.

    Raises what :func:`ask` does.
    """
    end = time.monotonic() + limit
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(limit)
        _connect(sock, path, end)
        with suppress(BrokenPipeError):
            sock.sendall(Request(operation, parameters).encode())
        line = bytearray()
        # Byte by byte: what comes behind the line is for somebody else.
        while not line.endswith(b"\n") and len(line) < LINE_MAX and (byte := sock.recv(1)):
            line += byte
            sock.settimeout(max(0.001, end - time.monotonic()))
        return result_of(bytes(line)), sock
    except TimeoutError:
        sock.close()
        raise PortlineError(f"{path}: no answer within {limit:g} s") from None
    except OSError as error:
        sock.close()
        raise PortlineError(f"{path}: {error.strerror or error}") from error
    except BaseException:
        sock.close()
        raise


class Stream:
    """What an operation goes on telling, until it ends or ``close`` is called; also by ``with``.

    ``result`` is what it answers first.  Iterating yields each thing as JSON has it, and waits for
    the next.  Raises what :func:`ask` raises, also while it is read: where the process ends without
    having said so, there are no more things.
    """

    def __init__(
        self,
        path: Path,
        operation: str,
        parameters: Mapping[str, object] | None = None,
        *,
        limit: float = TIME_LIMIT,
    ) -> None:
        self._path = path
        self._buffer = b""
        self._ended = False
        end = time.monotonic() + limit
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(limit)
        try:
            _connect(self._socket, path, end)
            with suppress(BrokenPipeError):
                self._socket.sendall(Request(operation, parameters or {}).encode())
            line = self._line(end)
            self.result: Any = _result(path, line or b"")
        except TimeoutError:
            self._socket.close()
            raise PortlineError(f"{path}: no answer within {limit:g} s") from None
        except OSError as error:
            self._socket.close()
            raise PortlineError(f"{path}: {error.strerror or error}") from error
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while (items := self.wait(None)) is not None:
            yield from items

    def close(self) -> None:
        """Hear no more.  May be called twice."""
        self._ended = True
        self._socket.close()

    def wait(self, limit: float | None) -> list[dict[str, Any]] | None:
        """Return what is told within ``limit`` seconds, [] for nothing, None after the end.

        None as ``limit`` waits for ever.
        """
        if self._ended:
            return None
        end = None if limit is None else time.monotonic() + limit
        try:
            line = self._line(end)
        except TimeoutError:
            return []
        except OSError as error:
            raise PortlineError(f"{self._path}: {error.strerror or error}") from error
        if line is None:
            return None
        if line.startswith(b'{"portline":1,"errors"'):
            result_of(line)  # raises
        return items_of(line)

    def _line(self, end: float | None) -> bytes | None:
        """Return the next line, None at the end.  Raises TimeoutError."""
        while b"\n" not in self._buffer:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError
            self._socket.settimeout(SLICE if left is None else min(left, SLICE))
            try:
                chunk = self._socket.recv(CHUNK)
            except TimeoutError:
                continue
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                self._ended = True
                return None
            self._buffer += chunk
            if len(self._buffer) > ANSWER_MAX:
                raise PortlineError(f"the answer has more than {ANSWER_MAX} bytes")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


@dataclass(frozen=True, slots=True)
class SocketWay:
    """The way by a control socket; see :class:`portline.control.way.Way`."""

    path: Path

    def __str__(self) -> str:
        """Write the path."""
        return str(self.path)

    def ask(
        self,
        operation: str,
        parameters: Mapping[str, object] | None = None,
        *,
        limit: float | None = None,
    ) -> Any:
        """Return the result of an operation; raises what :func:`ask` does."""
        return ask(self.path, operation, parameters, limit=TIME_LIMIT if limit is None else limit)

    def stream(self, operation: str, parameters: Mapping[str, object] | None = None) -> Stream:
        """Return what an operation goes on telling; raises what :func:`ask` does."""
        return Stream(self.path, operation, parameters)


def _connect(sock: socket.socket, path: Path, end: float) -> None:
    while True:
        try:
            sock.connect(os.fspath(path))
            break
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NobodyThere(f"{path}: no Portline listens there") from error
        except BlockingIOError:  # others are waiting to be accepted
            if time.monotonic() > end:
                raise TimeoutError from None
            time.sleep(PAUSE)
    # Root asks in the folders of other users, who could lead it to somebody else's socket.
    found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    if _CREDENTIALS.unpack(found)[1] not in (path.parent.lstat().st_uid, os.geteuid()):
        raise PortlineError(f"{path}: is answered by another user than the folder belongs to")


def _exchange(sock: socket.socket, request: bytes, end: float) -> bytes:
    """Send a request; return the line of the answer, empty when there was none."""
    with suppress(BrokenPipeError):  # we are not let in; why lies ready to be read
        sock.sendall(request)
    chunks: list[bytes] = []
    size = 0
    while not (chunks and chunks[-1].endswith(b"\n")):
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        sock.settimeout(left)
        try:
            chunk = sock.recv(1024 * 1024)
        except ConnectionResetError:
            break
        size += len(chunk)
        if size > ANSWER_MAX:
            raise PortlineError(f"the answer has more than {ANSWER_MAX} bytes")
        if not chunk:
            break
        chunks.append(chunk)
    return b"".join(chunks)
