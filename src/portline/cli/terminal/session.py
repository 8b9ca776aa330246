"""One terminal session: what is typed goes to the port, what comes from it to the screen.

Theory of operation
-------------------
Two things go on at the same time: the keyboard calls back (:meth:`Terminal.typed`), and
:meth:`Terminal.run` opens the port and reads it until it ends, again and again where that is
wanted.  What a key sets off and takes time (a question to the port, a file) is a task, of which
there is a bounded number.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from portline.cli.terminal.keyboard import (
    ENTER,
    Keyboard,
    Pressed,
    Prompt,
    Typed,
    key_shown,
)
from portline.cli.terminal.keys import Keys
from portline.errors import ConfigError, LoginError, PortlineError, UsageError
from portline.line import LineChange, LineFault, ModemChange
from portline.net.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

    from portline.cli.terminal.console import Console
    from portline.cli.terminal.log import Log
    from portline.cli.terminal.places import Place
    from portline.cli.terminal.screen import Screen
    from portline.remote.port import RemotePort

__all__ = ["Plan", "Terminal"]

NEWS: Final = 0.2
"""Seconds in which changes of lines are gathered into one notice: some devices never stop."""

ENDED: Final = "the other side has closed it"

UNSENT_MAX: Final = 1024**2
"""Bytes that were typed, or pasted, and that the port has not taken; more is refused."""

SILENT: Final = (
    "the other side has closed it without a word; it may speak TLS ({tls}), want a login, or let "
    "in only others: its log tells"
)
TLS: Final = "the other side speaks TLS; open it as {tls}"

_ALERT: Final = b"\x15\x03"
"""How a TLS server begins when it is told something else: an alert (RFC 8446, section 5.1)."""

_ALERT_SIZE: Final = 7

TASKS_MAX: Final = 8
"""Things that keys have set off and that are not done yet; further ones are refused."""


class _Notices(logging.Handler):
    """Says what is logged."""

    def __init__(self, notice: Callable[[str], None]) -> None:
        super().__init__()
        self._notice = notice

    def emit(self, record: logging.LogRecord) -> None:
        self._notice(record.getMessage())


@dataclass
class Plan:
    """What is wanted of a session.

    ``linger`` is how many seconds of silence end one whose input is no terminal, after its end.
    """

    escape: int | None
    enter: bytes | None = None
    echo: bool = False
    reconnect: bool = False
    linger: float = 1.0
    macros: Mapping[str, bytes] = field(default_factory=dict)


class Terminal:
    """A session at ``place``; ``tell`` writes a line for people where it is not in the way."""

    def __init__(
        self,
        place: Place,
        plan: Plan,
        screen: Screen,
        log: Log,
        *,
        tell: Callable[[str], object],
    ) -> None:
        self.screen = screen
        self.echo = plan.echo
        self.keyboard = Keyboard(plan.escape, plan.enter or ENTER["cr"])
        self.console: Console | None = None
        self.place = place
        self._plan = plan
        self.log = log
        self._tell = tell
        self._port: RemotePort | None = None
        self.lineless = ""
        """Why the port that is open has no signal lines; "" where it has them."""
        self.prompt: Prompt | None = None
        self._over = asyncio.Event()
        self._input_ended = False
        self._moved = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._keys = Keys(self, plan.macros)
        self._fault: PortlineError | None = None
        self._news: asyncio.TimerHandle | None = None
        self._opened = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    # --- the port -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Go on until somebody quits, or the port ends.  Raises PortlineError, with why."""
        work = self._loop.create_task(self._work())
        work.add_done_callback(lambda _: self._over.set())
        try:
            with self._told():
                await self._over.wait()
        finally:
            under_way = (work, *self._tasks)
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        if self._fault is not None:
            raise self._fault
        if not work.cancelled() and (error := work.exception()) is not None:
            raise error

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Show what the port logs as lines of ours: a raw terminal would make stairs of it."""
        log, handler = logging.getLogger("portline.remote"), _Notices(self.notice)
        if self.console is None or not self.console.interactive:
            yield
            return
        propagates, log.propagate = log.propagate, False
        log.addHandler(handler)
        try:
            yield
        finally:
            log.removeHandler(handler)
            log.propagate = propagates

    def end(self, fault: PortlineError | None = None) -> None:
        """End it, because of a fault if there is one."""
        self._fault = self._fault or fault
        self._over.set()

    async def _work(self) -> None:
        backoff, told = Backoff(), ""
        while True:
            try:
                attached = await self.place.open()
            except PortlineError as error:
                lasting = isinstance(error, ConfigError | LoginError | UsageError)
                if lasting or not self._plan.reconnect:
                    self.end(error)
                    return
                if told != str(error):
                    told = str(error)
                    self.notice(f"{told}; trying again")
            else:
                told = "ended"
                begun = self._loop.time()
                self.lineless = attached.lineless
                try:
                    why = await self._attached(attached.port, attached.title)
                finally:
                    await self._close(attached.port)
                if self._over.is_set() or (self._input_ended and why is None):
                    return
                text = f"{self.place.name}: the connection has ended: {why or ENDED}"
                if not self._plan.reconnect:
                    self.end(PortlineError(text))
                    return
                self.notice(f"{text}; trying again")
                if self._loop.time() - begun > backoff.highest:
                    backoff.reset()
            await asyncio.sleep(backoff.delay())

    async def _close(self, port: RemotePort) -> None:
        self._port = None
        self._opened.clear()
        with suppress(PortlineError):
            await port.close()
        await self.place.close()

    async def _attached(self, port: RemotePort, title: str) -> str | None:
        """Read a port that is open until it ends; return why, None where that is plain."""
        self._port = port
        self._opened.set()
        if self.console is not None and self.console.interactive:
            key = "" if self.keyboard.escape is None else key_shown(self.keyboard.escape)
            self.notice(
                f"{title} {self.state(port)}",
                *([f"{key} h for help, {key} q quits"] if key else []),
            )
        watcher = self._loop.create_task(self._watch(port))
        beginning = b""
        try:
            while data := await port.read():
                self._moved = self._loop.time()
                beginning = beginning or data[: _ALERT_SIZE + 1]
                self.log.write(data)
                if fault := self.log.told():
                    self.notice(fault)
                await self._show(data)
        except PortlineError as error:
            return await self.place.why() or str(error).removeprefix(f"{port.name}: ")
        finally:
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher
        return await self.place.why() or _suspicion(port, beginning) or None

    async def _show(self, data: bytes) -> None:
        if self.console is not None:
            await self.console.shown(self.screen.shows(data, time.time()))

    async def _watch(self, port: RemotePort) -> None:
        async for event in port.events():
            match event:
                case LineFault():
                    self.notice(str(event))
                case ModemChange() | LineChange():
                    if self._news is None:
                        self._news = self._loop.call_later(NEWS, self._tell_news, port)

    def _tell_news(self, port: RemotePort) -> None:
        self._news = None
        if port is self._port:
            self.notice(self.state(port))

    def state(self, port: RemotePort) -> str:
        """Write ``115200-8N1  DTR RTS > port > CTS DSR``, what is known without asking."""
        if port.raw:
            return "(raw: no settings, no lines)"
        if self.lineless:
            return f"{port.settings}  no signal lines"
        outputs = " ".join(name for name, on in (("DTR", port.dtr), ("RTS", port.rts)) if on) or "-"
        return f"{port.settings}  out: {outputs}  in: {port.lines}"

    # --- the keyboard ---------------------------------------------------------------------------

    def typed(self, data: bytes) -> None:
        """Take what is typed, b"" at its end."""
        console = self.console
        assert console is not None
        if not data:
            self._input_ends()
        elif not console.interactive:
            self._pipe(data)
        while data and console.interactive:
            if self.prompt is not None:
                asked = self.prompt
                shown, data = asked.take(data)
                console.show(shown)
                if asked.over:
                    self.prompt = None
                    asked.tell()
                continue
            found, data = self.keyboard.take(data)
            match found:
                case Typed(text):
                    self.send(text)
                case Pressed(key):
                    self._keys.press(key)
                case None:
                    pass  # the escape key, so far

    def send(self, data: bytes) -> None:
        """Send what is typed, or ring where that cannot be."""
        port = self._port
        if port is None or port.ended or port.unsent > UNSENT_MAX:
            self.show(b"\a")
            return
        with suppress(PortlineError):  # it has ended: who reads it tells so
            port.write(data)
        if self.echo and self.console is not None:
            self.console.show(self.screen.shows(data, time.time(), typed=True))

    def show(self, data: bytes) -> None:
        """Write on the terminal, without waiting for it."""
        if self.console is not None:
            self.console.show(data)

    def notice(self, *lines: str) -> None:
        """Say something, on lines of its own."""
        if self.console is not None and self.console.interactive and self.console.shows_notices:
            self.console.show(self.screen.notice(*lines))
        else:
            for line in lines:
                self._tell(line)

    # --- a pipe as the keyboard -----------------------------------------------------------------

    def _pipe(self, data: bytes) -> None:
        if self._plan.enter is not None:
            data = data.replace(b"\n", self._plan.enter)
        self.begin(self._sent(data))

    async def _sent(self, data: bytes) -> None:
        """Send a piece of the input; the next is read then."""
        await self._opened.wait()
        with suppress(PortlineError):  # it has ended: who reads it tells so
            self.there().write(data)
            await self.there().drain()
        self._moved = self._loop.time()
        if self.console is not None:
            self.console.more()

    def _input_ends(self) -> None:
        console = self.console
        assert console is not None
        if console.interactive:  # the terminal has hung up
            self.end()
        elif not self._input_ended:
            self._input_ended = True
            self.begin(self._lingering())

    async def _lingering(self) -> None:
        """End when everything is sent and nothing has come for a while."""
        await self._opened.wait()
        self._moved = max(self._moved, self._loop.time())
        while (left := self._moved + self._plan.linger - self._loop.time()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left)  # more may come meanwhile
        self.end()

    # --- work -------------------------------------------------------------------------------------

    def begin(self, work: Coroutine[None, None, None]) -> asyncio.Task[None] | None:
        """Do something that takes time."""
        if len(self._tasks) >= TASKS_MAX:
            work.close()
            self.notice("too much is going on already")
            return None
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        match task.exception():
            case None:
                pass
            case PortlineError() as error:
                self.notice(str(error))
            case BaseException() as error:
                self._loop.call_exception_handler(
                    {"message": "a command failed", "exception": error}
                )

    def there(self) -> RemotePort:
        """Return the port that is open.  Raises PortlineError while there is none."""
        if self._port is None:
            raise PortlineError("there is no connection now")
        return self._port


def _suspicion(port: RemotePort, beginning: bytes) -> str:
    """Return what a raw server probably wants that has ended the connection; "" for nothing.

    ``beginning`` are the first bytes that it has sent.
    """
    if not port.raw or port.security is not None:
        return ""
    secured = port.name.replace("raw://", "raws://", 1)
    if beginning.startswith(_ALERT) and len(beginning) == _ALERT_SIZE:
        return TLS.format(tls=secured)
    return "" if beginning else SILENT.format(tls=secured)
