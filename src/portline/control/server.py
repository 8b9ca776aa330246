"""The control socket of a running Portline, served by the loop that carries the data.

Theory of operation
-------------------
It must never hold the data up, so everything is bounded: callers, the length of a line, the time
for a request, and the work in one turn of the loop (one connection of a status).  Nothing waits::

    asking --a line--> working --result--> answering --all of it sent--> asking
      |                   |                    |
      +-------------------+--------------------+--- TIME_LIMIT, a line too long,
                          |                         the caller goes away: closed
                          +--- a terminal is granted: the socket is given away

A stream (:mod:`portline.control.stream`) goes on after its answer until the caller goes away.

Until a caller has been answered nothing is read from it, so what it sends ahead waits in the
kernel.  What a caller has asked for is done also when it goes away meanwhile.

When the socket cannot be made, one warning says so and the data flows all the same.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from portline.control.message import LINE_MAX, Request, encode_error, encode_result
from portline.control.operations.table import OPERATIONS
from portline.control.operations.terminal import Granted
from portline.control.place import SUFFIX, Places, pid_of, remove_stale
from portline.control.stream import Stream
from portline.errors import PortlineError, UsageError
from portline.net.stream import StreamLink

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from portline.control.operations.operation import Feed, Result
    from portline.control.operations.subject import Subject

    Opens: TypeAlias = Callable[[Callable[[], None]], Feed]

__all__ = ["CALLERS_MAX", "REST", "STREAMS_MAX", "TIME_LIMIT", "ControlServer"]

STREAMS_MAX: Final = 32
"""Streams at the same time, which do not count as callers; more are told to try again."""

CALLERS_MAX: Final = 16
"""Callers at the same time: some people, a page and a monitor; more are told to try again."""

TIME_LIMIT: Final = 10.0
"""Seconds that a caller may take for a whole request, and for taking the whole answer."""

REST: Final = 1.0
"""Seconds without accepting when the process has no descriptors left."""

_log: Final = logging.getLogger("portline.control")


class ControlServer:
    """Answers callers within ``with``; ``path`` is the socket, None where there could be none."""

    def __init__(
        self,
        subject: Subject,
        loop: asyncio.AbstractEventLoop,
        places: Places | None = None,
    ) -> None:
        self.path: Path | None = None
        self.subject = subject
        """What callers ask."""
        self._loop = loop
        self._places = Places() if places is None else places
        self._socket: socket.socket | None = None
        self._rest: asyncio.TimerHandle | None = None
        self._callers: set[Caller] = set()

    def __enter__(self) -> ControlServer:
        self.subject.rates.start()  # a page wants them, also where there is no socket
        try:
            try:
                self._open()
            except FileNotFoundError:  # another Portline has ended just now, and tidied up
                self._open()
        except (OSError, PortlineError) as error:
            _log.warning("`portline status` will not find this process: %s", error)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.subject.rates.stop()
        for caller in tuple(self._callers):
            caller.close()
        if self._rest is not None:
            self._rest.cancel()
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        if self.path is not None:
            with suppress(OSError):
                self.path.unlink()
            self._places.tidy(self.path.parent)
            self.path = None

    # --- the socket -----------------------------------------------------------------------------

    def _open(self) -> None:
        folder = self._places.make()
        for path in folder.iterdir():
            if pid_of(path) is not None:
                remove_stale(path)
        path = folder / f"{os.getpid()}{SUFFIX}"
        listening = socket.socket(socket.AF_UNIX)
        try:
            listening.bind(str(path))
            # Nobody can connect before listen(), so nobody could while it had another mode.
            path.chmod(0o600)
            listening.listen(CALLERS_MAX)
            listening.setblocking(False)
        except OSError:
            listening.close()
            raise
        self.path, self._socket = path, listening
        self._loop.add_reader(listening.fileno(), self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        try:
            connected, _ = listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise
            self._loop.remove_reader(listening.fileno())
            self._rest = self._loop.call_later(
                REST, self._loop.add_reader, listening.fileno(), self._accept, listening
            )
            return
        link = StreamLink(self._loop, connected, "control")
        if sum(not caller.streams for caller in self._callers) >= CALLERS_MAX:
            self.subject.control["callers_refused"] += 1
            link.write(encode_error(UsageError("too many programs ask already; try again")))
            link.abort()  # what was written stays readable: this is no TCP
            return
        self._callers.add(
            Caller(link, self.subject, self._loop, self._callers.discard, self._may_stream)
        )

    def _may_stream(self) -> None:
        if sum(caller.streams for caller in self._callers) >= STREAMS_MAX:
            self.subject.control["streams_refused"] += 1
            raise UsageError(f"{STREAMS_MAX} programs watch already; end one of them")


class Caller:
    """One program that asks."""

    def __init__(
        self,
        link: StreamLink,
        subject: Subject,
        loop: asyncio.AbstractEventLoop,
        gone: Callable[[Caller], None],
        may_stream: Callable[[], None],
    ) -> None:
        self._link = link
        self._subject = subject
        self._loop = loop
        self._gone = gone
        self._may_stream = may_stream
        self._opens: Opens | None = None
        self._stream: Stream | None = None
        self._buffer = b""
        self._ended = False
        self._pieces: Iterator[bytes] | None = None
        self._busy = False
        self._timer = loop.call_later(TIME_LIMIT, self._late)
        link.read_size = LINE_MAX
        link.start(self)

    def close(self) -> None:
        """End it now."""
        self._timer.cancel()
        if self._stream is not None:
            self._stream.close()
        self._link.abort()
        self._gone(self)

    # --- from the link --------------------------------------------------------------------------

    def link_data(self, data: bytes) -> None:
        """Take a part of a request, or more than one; who gets a stream has no further ones."""
        if self._stream is not None:
            return
        self._buffer += data
        self._next()

    def link_eof(self) -> None:
        """Note that there will be no further request."""
        self._ended = True
        if not self._busy:
            self.close()

    def link_ready(self) -> None:
        """Go on with the answer, or with the stream."""
        if self._stream is not None:
            self._stream.link_ready()
        else:
            self._send()

    def link_lost(self, reason: str) -> None:
        """Forget it."""
        self.close()

    # --- requests and answers -------------------------------------------------------------------

    def _next(self) -> None:
        """Answer the next request, if it is complete."""
        if self._busy:
            return
        line, newline, rest = self._buffer.partition(b"\n")
        if len(line) >= LINE_MAX:
            self._refuse(f"a request has at most {LINE_MAX} bytes")
        elif newline:
            self._buffer = rest
            self._begin(line)
        elif self._ended:
            self.close()

    def _begin(self, line: bytes) -> None:
        """Have a request carried out."""
        self._busy = True
        self._link.pause()
        self._wind()
        work = self._loop.create_task(_carried_out(line, self._subject, self._may_stream))
        work.add_done_callback(self._answer)

    def _answer(self, work: asyncio.Task[tuple[Result, Opens | None]]) -> None:
        """Begin to send what came of a request."""
        if work.cancelled():  # everything ends
            self.close()
            return
        match work.exception():
            case None:
                result, self._opens = work.result()
                if isinstance(result, Granted):
                    self._hand_over(result)
                    return
                self._pieces = encode_result(result)
            case PortlineError() as error:
                self._pieces = iter([encode_error(error)])
            case error:
                _log.error("a request failed", exc_info=error)
                self.close()
                return
        self._send()

    def _hand_over(self, granted: Granted) -> None:
        """Have the socket, which is the caller's way to a terminal from now on."""
        if self._buffer:
            granted.admission.withdraw()
            self._refuse("what goes to a terminal comes behind the answer, not before")
        elif self._link.closed:
            granted.admission.withdraw()
        else:
            sock = self._link.socket.dup()
            self.close()
            granted.admission.serve(sock, b"".join(encode_result(granted.terminal)))

    def _send(self) -> None:
        """Send the next piece of the answer; the next one has another turn of the loop."""
        if self._pieces is None or self._link.closed:
            return
        try:
            piece = next(self._pieces)
        except StopIteration:
            self._done()
        except Exception:
            _log.exception("a request failed")
            self.close()
        else:
            if self._link.write(piece):
                self._loop.call_soon(self._send)

    def _done(self) -> None:
        self._pieces = None
        self._busy = False
        self._link.resume()
        if self._opens is not None:
            self._begin_stream(self._opens)
            return
        self._wind()
        self._next()

    @property
    def streams(self) -> bool:
        """Whether this one gets a stream."""
        return self._stream is not None

    def _begin_stream(self, opens: Opens) -> None:
        """Tell from now on; the caller ends it by going away."""
        self._timer.cancel()
        if self._ended:
            self.close()
            return
        try:
            self._stream = Stream(self._link, self._loop, opens, self.close)
        except PortlineError as error:  # it has gone, since the answer was made
            self._link.write(encode_error(error))
            self.close()

    def _refuse(self, text: str) -> None:
        """Say what was wrong and hear no more."""
        self._link.write(encode_error(UsageError(text)))
        self.close()

    def _wind(self) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_later(TIME_LIMIT, self._late)

    def _late(self) -> None:
        if self._busy:
            self.close()
        else:
            self._refuse(f"no request came within {TIME_LIMIT:g} s")


async def _carried_out(
    line: bytes, subject: Subject, may_stream: Callable[[], None]
) -> tuple[Result, Opens | None]:
    """Return the result of a request, and what opens its stream.  Raises PortlineError."""
    request = Request.decode(line)
    operation = OPERATIONS.get(request.operation)
    if operation is None:
        known = ", ".join(OPERATIONS)
        raise UsageError(f"no operation {request.operation!r}; there are: {known}")
    arguments = operation.arguments(request.parameters)
    if operation.changes:
        _log.info("asked: %s", operation.asked(arguments))
    if operation.opens is None:
        return await operation.run(subject, **arguments), None
    may_stream()
    opens = partial(operation.opens, subject, **arguments)
    return await operation.run(subject, **arguments), opens
