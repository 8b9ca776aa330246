"""Answers the calls of a program so that its virtual ports pass for real ones.

Theory of operation
-------------------
One call comes after the other from the listener.  What is not about a virtual port, and whatever
cannot be understood, goes on into the kernel; the rest becomes a task, because its answer may take
a while:

==================  ==============================================================================
a call              is answered
==================  ==============================================================================
reads lines         at once, with what the serving side told last
changes something   when the serving side has confirmed that it knows (or did not in time)
sends a break       when the break is over
waits for a line    when one of the lines moves; EIO when the serving side goes
drains              when what it wrote has left, as far as the serving side can know
==================  ==============================================================================

Every call is answered exactly once, also when something here fails: a program that gets no answer
hangs.  A signal takes the program out of its call without a word to us, so calls that are held are
looked at every LOOK_PERIOD; a break of a call that is gone ends at once.

The program may change its memory while a call of its is read here.  It could deceive only itself.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import select
import stat
from functools import partial
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from portline.errors import PortAbsent
from portline.line import SendBreak, SetBreak, SetLine, SetModem
from portline.port.programs.calls import (
    READS,
    AwaitLines,
    Drain,
    ReadCounts,
    ReadLines,
    ReadSettings,
    WriteSettings,
    counts_block,
    is_plain,
    lines_word,
    meaning,
    settings_block,
)
from portline.port.programs.seccomp import CallGone, borrow_descriptor, read_memory, write_memory
from portline.port.tty.node import PTY_MAJORS
from portline.port.tty.termios2 import read_raw

if TYPE_CHECKING:
    from portline.line import ModemLines
    from portline.port.programs.seccomp import Call, Listener
    from portline.port.programs.terminal import Terminal, Terminals

__all__ = ["HELD_LIMIT", "LOOK_PERIOD", "Supervisor"]

HELD_LIMIT: Final = 256
"""Calls that are held at the same time, by threads that wait for lines or send breaks; one more
fails with ENOMEM."""

LOOK_PERIOD: Final = 0.1
"""Seconds between two looks for held calls whose program was called away."""

LOG: Final = logging.getLogger("portline.launcher")


class Supervisor:
    """Answers what comes from ``listener``, about what ``terminals`` finds.

    ``ended`` is set when the last process with the filter has ended.
    """

    def __init__(self, listener: Listener, terminals: Terminals) -> None:
        self.ended = asyncio.Event()
        self._listener = listener
        self._terminals = terminals
        self._held: dict[Call, asyncio.Task[int | None]] = {}
        self._hung_up: WeakSet[Terminal] = WeakSet()
        self._stopping = asyncio.Event()
        self._poll = select.poll()
        self._poll.register(listener.fileno(), select.POLLIN)

    def stop(self) -> None:
        """Let ``run`` return."""
        self._stopping.set()

    def look_for_end(self) -> bool:
        """Return whether the last process with the filter has ended."""
        events = dict(self._poll.poll(0)).get(self._listener.fileno(), 0)
        return bool(events & select.POLLHUP)

    async def run(self) -> None:
        """Answer calls until ``stop``; those that are held then fail with EINTR."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            loop.add_reader(self._listener.fileno(), self._readable, group)
            try:
                await self._stopping.wait()
            finally:
                loop.remove_reader(self._listener.fileno())
                for task in self._held.values():
                    task.cancel()

    # --- calls come and go ----------------------------------------------------------------------

    def _readable(self, group: asyncio.TaskGroup) -> None:
        events = dict(self._poll.poll(0)).get(self._listener.fileno(), 0)
        if events & select.POLLIN:
            call = self._listener.receive()
            if call is not None:
                self._begin(call, group)
        elif events & select.POLLHUP:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self.ended.set()

    def _begin(self, call: Call, group: asyncio.TaskGroup) -> None:
        found = _terminal_of(call)
        if found is None:
            self._send(call, None)
        elif len(self._held) >= HELD_LIMIT:
            self._send(call, errno.ENOMEM)
        else:
            if not self._held:
                asyncio.get_running_loop().call_later(LOOK_PERIOD, self._look)
            task = group.create_task(self._answer_to(call, found))
            self._held[call] = task
            # Not at the end of the task: one that is cancelled before it began has no end.
            task.add_done_callback(partial(self._done, call))

    def _look(self) -> None:
        """Give up the calls that nobody waits for any more."""
        for call, task in self._held.items():
            if not self._listener.valid(call):
                task.cancel()
        if self._held:
            asyncio.get_running_loop().call_later(LOOK_PERIOD, self._look)

    async def _answer_to(self, call: Call, found: os.stat_result) -> int | None:
        """Return the answer to one call, see :meth:`_send`; raises nothing."""
        try:
            terminal = await self._terminals.find(found)
            return None if terminal is None else await self._carry_out(call, terminal)
        except CallGone:
            return errno.EINTR  # nobody will read it
        except OSError as error:
            # Who may not look into a program leaves it alone; a bad address is the program's fault.
            LOG.debug("call=%#x pid=%d: %s", call.request, call.pid, error)
            return errno.EFAULT if error.errno == errno.EFAULT else None
        except Exception:
            LOG.exception("call=%#x pid=%d", call.request, call.pid)
            return None

    def _done(self, call: Call, task: asyncio.Task[int | None]) -> None:
        del self._held[call]
        self._send(call, errno.EINTR if task.cancelled() else task.result())

    def _send(self, call: Call, answer: int | None) -> None:
        """Answer: None lets the kernel do it, 0 is success, all else an error."""
        try:
            if answer is None:
                self._listener.pass_on(call)
            else:
                self._listener.answer(call, error=answer)
        except OSError:
            LOG.exception("call=%#x pid=%d cannot be answered", call.request, call.pid)

    # --- what is asked --------------------------------------------------------------------------

    async def _carry_out(self, call: Call, terminal: Terminal) -> int | None:
        """Do what a call asks; return the answer to :meth:`_send`."""
        size = READS.get(call.request, 0)
        data = read_memory(self._listener, call, size) if size else b""
        match meaning(call.request, call.argument, data):
            case ReadLines():
                if not (terminal.state.dtr or terminal.state.rts):
                    # A port that was opened just now has both on; perhaps that is news on its way.
                    terminal.tell(SetModem())
                    await terminal.confirmed()
                write_memory(self._listener, call, lines_word(terminal.state))
            case ReadCounts():
                write_memory(self._listener, call, counts_block(terminal.counts))
            case SetModem() | SetBreak() as change:
                terminal.tell(change)
                await terminal.confirmed()
            case SendBreak(duration):
                await _send_break(terminal, duration)
            case AwaitLines(lines):
                return await _await_lines(terminal, lines)
            case ReadSettings(size):
                return self._read_settings(call, terminal, size)
            case WriteSettings() as wanted:
                if wanted.drain:
                    await terminal.drained()
                self._write_settings(terminal, wanted)
                await terminal.confirmed()
                return None
            case Drain():
                await terminal.drained()
                return None
            case None:
                return None
        return 0

    def _read_settings(self, call: Call, terminal: Terminal, size: int) -> int | None:
        if is_plain(terminal.state.settings):
            return None
        fd = borrow_descriptor(self._listener, call)
        try:
            kept = read_raw(fd)
        finally:
            os.close(fd)
        write_memory(self._listener, call, settings_block(kept, terminal.state.settings, size))
        return 0

    def _write_settings(self, terminal: Terminal, wanted: WriteSettings) -> None:
        """Tell settings, and what a rate of 0 means for DTR and RTS (uart_set_termios)."""
        if wanted.line != SetLine.everything(terminal.state.settings):
            terminal.tell(wanted.line)
        if wanted.hang_up and terminal not in self._hung_up:
            self._hung_up.add(terminal)
            terminal.tell(SetModem(dtr=False, rts=False))
        elif not wanted.hang_up and terminal in self._hung_up:
            self._hung_up.discard(terminal)
            terminal.tell(SetModem(dtr=True, rts=True))


def _terminal_of(call: Call) -> os.stat_result | None:
    """Return what a call's descriptor leads to if that is the application's end of some pty."""
    try:
        found = os.stat(f"/proc/{call.pid}/fd/{call.descriptor}")
    except OSError:
        return None
    is_terminal = stat.S_ISCHR(found.st_mode) and os.major(found.st_rdev) in PTY_MAJORS
    return found if is_terminal else None


async def _send_break(terminal: Terminal, duration: float) -> None:
    terminal.tell(SetBreak(True))
    try:
        await terminal.confirmed()
        await asyncio.sleep(duration)
    finally:
        terminal.tell(SetBreak(False))
    await terminal.confirmed()


async def _await_lines(terminal: Terminal, lines: ModemLines) -> int:
    before = terminal.counts
    while not terminal.counts.moved(before, lines):
        try:
            await terminal.moved()
        except PortAbsent:
            return errno.EIO
    return 0
