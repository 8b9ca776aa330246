"""Asks running Portlines; blocks until they have answered."""

from __future__ import annotations

import os
import socket
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from portline.control.message import LINE_MAX, Request, result_of
from portline.errors import PortlineError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["ANSWER_MAX", "TIME_LIMIT", "NobodyThere", "ask", "take_over"]

TIME_LIMIT: Final = 15.0
"""Seconds for a whole answer: more than the other side takes before it gives up."""

ANSWER_MAX: Final = 64 * 1024**2
"""Bytes; a status of a thousand connections with eight peers each is below ten MiB."""

PAUSE: Final = 0.02
"""Seconds between two attempts to be among those who wait to be accepted."""

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
