"""A pseudo terminal with a simulated instrument behind it: a serial port without hardware.

Theory of operation
-------------------
The instrument sits on the master side; the slave's path is shared like a real port.  Two things
make it feel like one:

* The instrument sends one character after the other, at the rate to which the slave is set *now*.
  The settings are read from the master (on Linux it shows those of the slave), so a baudrate that
  a peer changes by RFC 2217 changes how fast the instrument talks.  A round of sentences that is
  due while it still talks is left out.
* Nothing waits for a reader.  When the kernel takes no more because nobody reads the slave, what
  the instrument says is lost, as on a cable that leads nowhere.

The simulator keeps a descriptor of the slave open.  A master without any slave would report a
hang-up for ever, which a level-triggered event loop can only answer by spinning.
"""

from __future__ import annotations

import asyncio
import os
import termios
import tty
from typing import Final

from portline.port.tty.termios2 import decode, read_attributes
from portline.service.demo.instrument import Instrument

__all__ = ["Simulator"]

SLICE: Final = 0.01
"""Seconds of the line's time that are written at once: 5 characters at 4800, and few wake-ups."""

WAITING_LIMIT: Final = 4096
"""Bytes that wait for their turn on a slow line, 25 rounds of sentences; the rest is lost."""

READ_SIZE: Final = 4096
"""Bytes; a pty never has more at once."""


class Simulator:
    """An instrument on a pseudo terminal, in the running event loop.

    ``path`` is what to share, valid from :meth:`start` to :meth:`stop`; ``lost`` counts the bytes
    that nobody read in time.
    """

    def __init__(self) -> None:
        self.path = ""
        self.lost = 0
        self._master = -1
        self._slave = -1
        self._waiting = bytearray()
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Make the pseudo terminal and switch the instrument on.  Raises OSError."""
        self._loop = asyncio.get_running_loop()
        self._master, self._slave = os.openpty()
        try:
            _prepare(self._slave)
            os.set_blocking(self._master, False)
            self.path = os.ttyname(self._slave)
        except OSError:
            self.stop()
            raise
        self._instrument = Instrument(self._loop.time())
        self._free_at = self._loop.time()
        self._loop.add_reader(self._master, self._readable)
        self._arm()

    def stop(self) -> None:
        """Switch it off; the path is gone.  Safe to call twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._master >= 0:
            self._loop.remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = self._slave = -1

    def _readable(self) -> None:
        try:
            data = os.read(self._master, READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            # Not seen while the slave is held open; without this a broken pty would spin the loop.
            self._loop.remove_reader(self._master)
            return
        self._say(self._instrument.feed(data, self._loop.time()))
        self._arm()

    def _wake(self) -> None:
        now = self._loop.time()
        sentences = self._instrument.tick(now)
        if not self._waiting:
            self._say(sentences)
        if self._waiting and now >= self._free_at:
            self._write(now)
        self._arm()

    def _say(self, data: bytes) -> None:
        room = max(0, WAITING_LIMIT - len(self._waiting))
        self.lost += max(0, len(data) - room)
        self._waiting += data[:room]

    def _write(self, now: float) -> None:
        """Put the next characters on the line, and note when it is free again."""
        settings = decode(read_attributes(self._master))
        if settings.baudrate == 0:
            # B0 means "hang up": there is no line to talk to.
            self.lost += len(self._waiting)
            self._waiting.clear()
            return
        chunk = bytes(self._waiting[: max(1, int(SLICE / settings.character_time))])
        del self._waiting[: len(chunk)]
        # Late by less than two slices, the line catches up; idle time earns nothing.
        begin = self._free_at if now - self._free_at < 2 * SLICE else now
        self._free_at = begin + len(chunk) * settings.character_time
        try:
            written = os.write(self._master, chunk)
        except OSError:
            written = 0
        self.lost += len(chunk) - written

    def _arm(self) -> None:
        """Set the timer to what comes first: the instrument's next word or the line's next turn."""
        if self._timer is not None:
            self._timer.cancel()
        times = [time for time in (self._instrument.deadline(),) if time is not None]
        if self._waiting:
            times.append(self._free_at)
        self._timer = self._loop.call_at(min(times), self._wake) if times else None


def _prepare(slave: int) -> None:
    """Make a terminal a transparent line at the instrument's speed."""
    tty.setraw(slave)
    settings = termios.tcgetattr(slave)
    settings[4] = settings[5] = termios.B4800
    termios.tcsetattr(slave, termios.TCSANOW, settings)
