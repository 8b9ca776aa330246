"""An operator at a virtual port: a program of its own that opens the port, as applications do.

Theory of operation
-------------------
The kernel asks whoever makes a virtual port while somebody opens it, so a process cannot open its
own: it would wait for itself.  A child does it::

    service                                   child (this module, run by Python)
    begin() --- socket pair as its stdin --->  opens the port, says "ok" or why not on its stdout
    serve() --- greeting and the socket ---->  speaks RFC 2217 there, until either end has gone

The child has the operator's socket alone then: nothing of what is typed passes the service twice.
It ends with the port, with the operator, and with a service that ends before it has served.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from portline.errors import PortError
from portline.line import LineSettings
from portline.service.operator.bench import Bench

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable, Sequence

__all__ = ["BEGIN_LIMIT", "GREETING_MAX", "Application", "main"]

BEGIN_LIMIT: Final = 8.0
"""Seconds for a child to start and to open the port: less than who asks waits for an answer, and
some times what a small machine takes to start Python."""

HANDOVER_LIMIT: Final = 10.0
"""Seconds that a child waits for the operator's socket."""

GREETING_MAX: Final = 64 * 1024
"""Bytes of a greeting."""

_WELL: Final = b"ok\n"


class Application:
    """One child with the port at ``path`` open; ``settings`` are those that it sets at first.

    ``gone`` is called when the child has ended.
    """

    def __init__(self, path: str, settings: LineSettings) -> None:
        self.gone: Callable[[], object] = lambda: None
        self.closed = False
        """Whether the child has ended, or could not be started."""
        self._path = path
        self._settings = settings
        self._process: Process | None = None
        self._withdrawn = False
        self._control: socket.socket | None = None
        self._waiting: asyncio.Task[object] | None = None

    async def begin(self) -> None:
        """Start the child and have it open the port; raises PortError if it does not."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        settings = self._settings
        try:
            # No Ctrl-C of the service's terminal for it, and none of its words in between.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                __name__,
                self._path,
                str(settings.baudrate),
                str(settings.data_bits),
                settings.parity.value,
                settings.stop_bits.value,
                stdin=theirs.fileno(),
                stdout=PIPE,
                stderr=DEVNULL,
                start_new_session=True,
            )
        except BaseException as error:  # who waits may have gone, too
            ours.close()
            self._over()
            if not isinstance(error, OSError):
                raise
            raise PortError(
                self._path, f"no program can be started to open it: {error.strerror}"
            ) from error
        finally:
            theirs.close()
        self._control = ours
        process = self._process
        if self._withdrawn:
            self.withdraw()
        self._waiting = loop.create_task(process.wait())
        self._waiting.add_done_callback(lambda _: self._over())
        fault = await self._fault(process)
        if fault:
            self.withdraw()
            raise PortError(self._path, fault)

    def _over(self) -> None:
        self.closed = True
        self.gone()

    async def _fault(self, process: Process) -> str:
        """Return what the child says is wrong; "" when it has the port open."""
        assert process.stdout is not None
        try:
            async with asyncio.timeout(BEGIN_LIMIT):
                line = await process.stdout.readline()
        except TimeoutError:
            return f"it could not be opened within {BEGIN_LIMIT:g} s"
        except ValueError:
            line = b""
        except BaseException:
            self.withdraw()
            raise
        if line == _WELL:
            return ""
        return line.decode("utf-8", "replace").strip() or "the program that opens it has ended"

    def serve(self, sock: socket.socket, greeting: bytes = b"") -> None:
        """Give the operator's socket to the child."""
        control, self._control = self._control, None
        with sock:
            if control is None:
                return
            with control, suppress(OSError):  # it has ended: the operator sees that
                socket.send_fds(control, [b">" + greeting], [sock.fileno()])

    def withdraw(self) -> None:
        """End the child; ``closed`` tells when it has ended, some milliseconds later."""
        self._withdrawn = True
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.terminate()


# --- the child ------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """Open the port, wait for a socket on stdin, and serve there."""
    path, baudrate, data_bits, parity, stop_bits = arguments
    from portline.remote.place import wanted

    asked = wanted(
        baudrate=int(baudrate), data_bits=int(data_bits), parity=parity, stop_bits=stop_bits
    )
    return asyncio.run(_served(path, asked.applied_to(LineSettings())))


async def _served(path: str, settings: LineSettings) -> int:
    ended = asyncio.Event()
    bench = Bench(path, settings, loop=asyncio.get_running_loop(), ended=ended.set)
    try:
        bench.open()
    except PortError as error:
        _say(" ".join(str(error).removeprefix(f"{path}: ").split()).encode() + b"\n")
        return 1
    _say(_WELL)
    taken = _taken()
    if taken is None:
        bench.close()
        return 1
    bench.serve(*taken)
    await ended.wait()
    return 0


def _say(line: bytes) -> None:
    with suppress(OSError):
        os.write(1, line)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _taken() -> tuple[socket.socket, bytes] | None:
    """Return the operator's socket and what to say first; None when it has gone."""
    with socket.socket(fileno=0) as control:
        control.settimeout(HANDOVER_LIMIT)
        try:
            said, found, *_ = socket.recv_fds(control, 1 + GREETING_MAX, 1)
        except OSError:
            return None
    return (socket.socket(fileno=found[0]), said[1:]) if found else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
