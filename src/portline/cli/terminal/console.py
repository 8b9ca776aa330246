"""The user's terminal: raw while it is used, and as it was afterwards, whatever happens.

Theory of operation
-------------------
Writing to a terminal may take for ever (somebody has stopped it), so a thread does it; what it has
not taken when all ends is left behind.  A terminal is read by the loop.  A pipe or a file as
standard input is read by a thread, because a file cannot be waited for.
"""

from __future__ import annotations

import os
import queue
import termios
import threading
import tty
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Console"]

READ: Final = 4096
"""Bytes read at once of what is typed."""

SHOWN_MAX: Final = 1000
"""Pieces of Portline's own words and of an echo that wait for a terminal which somebody has
stopped; further ones are left out, and counted.  What comes from the port waits at the port."""

LEAVE: Final = 0.5
"""Seconds that a terminal gets for what is still to be shown at the end."""


class Console:
    """Standard input and output within ``with``; ``interactive`` if somebody types.

    ``typed`` is called in the loop with what came, and with b"" at the end of it; ``gone`` once
    when nobody reads any more what is written.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        typed: Callable[[bytes], object],
        gone: Callable[[], object],
        *,
        source: int = 0,
        target: int = 1,
    ) -> None:
        self.interactive = os.isatty(source)
        self.shows_notices = os.isatty(target)
        """Whether somebody sees what is written, so that Portline's own words may stand there."""
        self.unshown = 0
        """Pieces that were left out, because the terminal took nothing."""
        self._loop = loop
        self._typed = typed
        self._gone = gone
        self._source, self._target = source, target
        self._before: list[object] | None = None
        self._queue: queue.SimpleQueue[tuple[bytes, Callable[[], object]] | None] = (
            queue.SimpleQueue()
        )
        self._writer = threading.Thread(target=self._write, daemon=True, name="terminal")
        self._room = threading.Semaphore(1)
        self._ended = False

    def __enter__(self) -> Console:
        self._writer.start()
        if self.interactive:
            self._before = termios.tcgetattr(self._source)
            self.make_raw()
            self._loop.add_reader(self._source, self._readable)
        else:
            threading.Thread(target=self._read, daemon=True, name="input").start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended = True
        self._room.release()
        self._queue.put(None)
        self._writer.join(LEAVE)
        if self._before is not None:
            self._loop.remove_reader(self._source)
            with suppress(termios.error):  # it has hung up
                termios.tcsetattr(self._source, termios.TCSANOW, self._before)  # type: ignore[arg-type]

    def make_raw(self) -> None:
        """Have every key come as it is; again after somebody has put the terminal back."""
        if self._before is not None:
            with suppress(termios.error):
                tty.setraw(self._source, termios.TCSANOW)
                if not self.shows_notices:  # what comes goes elsewhere, and errors in lines here
                    attributes = termios.tcgetattr(self._source)
                    attributes[1] |= termios.OPOST
                    termios.tcsetattr(self._source, termios.TCSANOW, attributes)

    # --- what is shown --------------------------------------------------------------------------

    def show(self, data: bytes) -> None:
        """Write, without waiting for it; where SHOWN_MAX pieces wait already, only count it."""
        if not data:
            return
        if self.waiting < SHOWN_MAX:
            self._queue.put((data, lambda: None))
        else:
            self.unshown += 1

    @property
    def waiting(self) -> int:
        """Return how many pieces wait behind the one that is being written."""
        return self._queue.qsize()

    async def shown(self, data: bytes) -> None:
        """Write, and wait until the terminal has taken it."""
        taken = self._loop.create_future()

        def done() -> None:
            if not taken.done():
                taken.set_result(None)

        def tell() -> None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(done)

        self._queue.put((data, tell))
        await taken

    def _write(self) -> None:
        while (job := self._queue.get()) is not None:
            data, done = job
            rest = memoryview(data)
            try:
                while rest:
                    rest = rest[os.write(self._target, rest) :]
            except OSError:
                gone, self._gone = self._gone, lambda: None
                with suppress(RuntimeError):  # the loop has ended
                    self._loop.call_soon_threadsafe(gone)
            done()

    # --- what is typed --------------------------------------------------------------------------

    def _readable(self) -> None:
        try:
            data = os.read(self._source, READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._source)
        self._typed(data)

    def _read(self) -> None:
        while True:
            self._room.acquire()
            if self._ended:
                return
            try:
                data = os.read(self._source, READ)
            except OSError:
                data = b""
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._typed, data)
            if not data:
                return

    def more(self) -> None:
        """Let a pipe be read on, once after each call of ``typed``."""
        if not self.interactive:
            self._room.release()
