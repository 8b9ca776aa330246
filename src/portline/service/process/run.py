"""Runs a gateway in the foreground until a signal ends it; others change or restart it meanwhile.

A restart is in place: the process ends everything but what virtual ports can leave behind
(:mod:`portline.service.process.store`), and executes its own command line again.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import signal
import sys
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from portline.config.secrets import secrets
from portline.errors import ConfigError, UsageError
from portline.service.gateway import Gateway
from portline.service.process.announcement import announcement
from portline.service.process.aside import aside
from portline.service.process.early import CHANGING, held
from portline.service.process.limits import files_needed, forbid_cores, raise_file_limit
from portline.service.process.log import start_logging
from portline.service.process.recovery import recover
from portline.service.process.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from portline.auth.secret import Secret
    from portline.config.models import GatewayConfig

    Secrets: TypeAlias = Mapping[str, Secret | None]
    Companion: TypeAlias = "Callable[[Service], AbstractContextManager[object]]"
    Edit: TypeAlias = Callable[[str], str]

__all__ = ["ANSWERED", "ENDING", "Service", "Source", "new_event_loop", "run"]

FIRST_ATTEMPTS: Final = 1.0
"""Seconds that first attempts to connect may take before it is told how things stand: a host that
is there answers sooner, and people wait no longer for a first line."""

FIRST_LOOK: Final = 0.02
"""Seconds between two looks at them."""

ANSWERED: Final = 0.05
"""Seconds until a restart begins, so that who has asked for it is answered before."""

ENDING: Final = (signal.SIGTERM, signal.SIGINT)
"""Signals that end the service cleanly: a service manager's and Ctrl-C."""

TURN: Final = 0.0005
"""Seconds for which a thread may keep the loop, which carries the data, from running Python; it is
ten times as long by default, and again after each call of the system that a turn of the loop makes.
What is in threads (files that are read, passwords that are judged) is for people, who can wait."""

LOG: Final = logging.getLogger("portline")


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a uvloop where it is installed, else asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class Source(Protocol):
    """Where a configuration comes from; see :class:`portline.config.saving.ConfigFile`."""

    def load(self) -> GatewayConfig:
        """Read it again.  Blocks; raises ConfigError for its mistakes."""

    def demand(self) -> None:
        """Raise ConfigError where it is not there.  Blocks."""

    def change(self, edit: Edit, judge: Callable[[GatewayConfig], object]) -> GatewayConfig:
        """Put its text through ``edit``, unless ``judge`` raises of it.  Blocks; raises, too."""


class Service:
    """A gateway that runs until somebody ends it, and may get another configuration meanwhile.

    ``source`` is where the configuration comes from, to be read again or changed in a thread; None
    where there is no such place.
    ``store`` is what outlives the process.  ``restartable`` tells whether the command line means
    the same once more.  ``known`` are the secrets of the first configuration, and ``ask`` returns a
    password that was typed, for others.
    """

    def __init__(
        self,
        config: GatewayConfig,
        source: Source | None = None,
        *,
        store: Store | None = None,
        restartable: bool = False,
        known: Secrets | None = None,
        ask: Callable[[], str] | None = None,
    ) -> None:
        self.gateway = Gateway(config, store, known)
        self.restarts = False
        """Whether all has ended, or is about to, in order to begin again."""
        self.followers: list[Callable[[GatewayConfig], list[str]]] = []
        """Who goes on with another configuration, too; each returns a line for each change."""
        self._store = store
        self._restartable = restartable
        self._source = source
        self._ask = ask
        self._loading = asyncio.Lock()
        self._reading: asyncio.Future[tuple[GatewayConfig, Secrets]] | None = None
        self._ended = asyncio.Event()
        self._asked = asyncio.Event()
        self._restarting = False
        self._terminals = [fd for fd in range(3) if os.isatty(fd)]

    def end(self) -> None:
        """Let :meth:`run` come to its end."""
        self._ended.set()
        self._asked.set()
        if self._reading is not None:
            self._reading.cancel()

    async def reload(self) -> list[str]:
        """Read the configuration again and go on with it; returns a line for each change.

        Raises ConfigError, with nothing changed, when it has mistakes, and UsageError when there
        is no file to read.
        """
        if self._source is None:
            raise UsageError("this Portline has no configuration file that could be read again")
        return await self._adopt(self._source, self._source.load, renews=True)

    async def edit(self, edit: Edit) -> list[str]:
        """Change the configuration file and go on with what it says; returns what reload does.

        ``edit`` gets its text, in a thread, and returns the new one.  Raises ConfigError, with
        nothing changed, where the file would have mistakes or cannot be written, UsageError when
        there is no file, and whatever ``edit`` raises.
        """
        if self._source is None:
            raise UsageError("this Portline has no configuration file that could be changed")
        change = partial(self._source.change, edit, self._secrets)
        return await self._adopt(self._source, change, renews=False)

    async def _adopt(
        self, source: Source, load: Callable[[], GatewayConfig], *, renews: bool
    ) -> list[str]:
        def guarded() -> GatewayConfig:
            # Without its file, nothing would be left of what runs.
            if self.gateway.config.connections:
                source.demand()
            return load()

        async with self._loading:
            # In a thread: a large file takes tenths of a second, and data does not wait.
            found = None if self._ended.is_set() else await self._read(guarded)
            if found is None or self._ended.is_set():
                return []
            config, known = found
            _prepare(config)
            renewed = self.gateway.renew() if renews else []
            lines = [*self.gateway.apply(config, known).lines(), *renewed]
            for follower in self.followers:
                lines += follower(config)
            self._tell_manager()
        for line in lines:
            LOG.info("reloaded: %s", line)
        return lines

    async def restart(self) -> None:
        """End soon, to begin again with ``restarts`` set.

        Raises ConfigError, with nothing changed, when the configuration has mistakes, and
        UsageError where the command line would not mean the same again.
        """
        if not self._restartable or self._store is None:
            raise UsageError(
                "this Portline cannot be restarted in place: it is a demo, or its configuration "
                "came through a pipe; end it and start it again"
            )
        if self._source is not None:
            async with self._loading:
                await self._read(self._source.load)
        if not self._ended.is_set():
            self.restarts = True
            asyncio.get_running_loop().call_later(ANSWERED, self.end)

    def _secrets(self, config: GatewayConfig) -> Secrets:
        return secrets(config, self._ask)

    async def _read(
        self, load: Callable[[], GatewayConfig]
    ) -> tuple[GatewayConfig, Secrets] | None:
        """Return the configuration with its secrets, None when all ends first.

        It may be where nothing answers.
        """

        def both() -> tuple[GatewayConfig, Secrets]:
            config = load()
            return config, self._secrets(config)

        self._reading = aside(both)
        try:
            return await self._reading
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._ended.is_set() and not (task and task.cancelling()):
                return None
            raise

    async def run(
        self,
        *,
        started: Callable[[Gateway], None] = lambda gateway: None,
        reloaded: Callable[[list[str]], None] = lambda lines: None,
        companion: Companion = nullcontext,
    ) -> None:
        """Serve until ``end`` is called, a signal of ENDING comes, or the task is cancelled.

        ``started`` is called once, when every connection has made its first attempt, or
        FIRST_ATTEMPTS after that has begun.  SIGHUP
        reloads where there is a file, unless it means that the terminal has gone; ``reloaded`` is
        told what changed then, and mistakes are logged.  SIGUSR2 restarts.  Both count from
        :func:`portline.service.process.early.hold` on.
        ``companion`` makes what is there from before the start until everything has stopped.
        """
        loop = asyncio.get_running_loop()
        for number in ENDING:
            loop.add_signal_handler(number, self.end)
        acts = {signal.SIGHUP: self._hung_up, signal.SIGUSR2: self._restart_asked}
        for number, act in acts.items():
            loop.add_signal_handler(number, act)
        for early in held():
            acts[signal.Signals(early)]()
        try:
            with companion(self):
                await self._serve(started, reloaded)
        finally:
            for number in (*ENDING, *CHANGING):
                loop.remove_signal_handler(number)
                if self.restarts and number in CHANGING:
                    signal.signal(number, signal.SIG_IGN)  # until the next one can take them

    async def _serve(
        self, started: Callable[[Gateway], None], reloaded: Callable[[list[str]], None]
    ) -> None:
        _prepare(self.gateway.config)
        self.gateway.start()
        try:
            await self._first_attempts()
            started(self.gateway)
            self._tell_manager()
            while not self._ended.is_set():
                await self._asked.wait()
                self._asked.clear()
                if self._restarting:
                    await self._restart_or_tell()
                elif not self._ended.is_set():
                    await self._reload_and_tell(reloaded)
        finally:
            if self.restarts or (self._store is not None and self._store.outlives):
                self.gateway.leave_ports(named=self.restarts)
            await self.gateway.stop()

    def _tell_manager(self) -> None:
        """Let a service manager know that all has begun, and how much that is."""
        if self._store is not None:
            count = len(self.gateway.connections)
            self._store.ready(f"{count} connection{'' if count == 1 else 's'}, see portline status")

    async def _first_attempts(self) -> None:
        """Wait until each host has been tried, a little while, or until all ends."""
        loop = asyncio.get_running_loop()
        until = loop.time() + FIRST_ATTEMPTS
        while loop.time() < until and any(
            each.network.attempting for each in self.gateway.connections.values()
        ):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), FIRST_LOOK)
                return

    def _hung_up(self) -> None:
        if self._source is None or any(map(_is_gone, self._terminals)):
            self.end()
        else:
            self._asked.set()

    def _restart_asked(self) -> None:
        self._restarting = True
        self._asked.set()

    async def _restart_or_tell(self) -> None:
        self._restarting = False
        try:
            await self.restart()
        except ConfigError as error:
            mistakes = error.mistakes
        except UsageError as error:
            mistakes = [str(error)]
        else:
            return
        for mistake in (*mistakes, "not restarted"):
            LOG.error("%s", mistake)

    async def _reload_and_tell(self, reloaded: Callable[[list[str]], None]) -> None:
        try:
            lines = await self.reload()
        except ConfigError as error:
            mistakes = error.mistakes
        else:
            reloaded(lines)
            return
        for mistake in (*mistakes, "nothing was changed"):
            LOG.error("%s", mistake)


def _prepare(config: GatewayConfig) -> None:
    """Put right what stands in the way of a configuration before anything is opened."""
    raise_file_limit(files_needed(config))
    forbid_cores(config)
    recover(config)


def _say(lines: list[str]) -> None:
    """Print lines where somebody reads them; nobody does behind a pipe that is closed."""
    with suppress(OSError):
        print(*lines, sep="\n", flush=True)


def _is_gone(fd: int) -> bool:
    """Tell whether the terminal behind a descriptor has hung up (tty_ioctl(4): EIO)."""
    try:
        os.tcgetpgrp(fd)
    except OSError as error:
        return error.errno == errno.EIO
    return False


def run(
    config: GatewayConfig,
    *,
    source: Source | None = None,
    verbose: int = 0,
    announce: bool = True,
    companion: Companion = nullcontext,
    ask: Callable[[], str] | None = None,
    restartable: bool = True,
) -> int:
    """Run a gateway in the foreground; returns the exit code of the process.

    ``ask`` has a person type a password, where one is to be typed; it is called once.  A restart
    executes the command line of this process again, and returns only when that fails.
    """
    typed: list[str] = []

    def type_once() -> str:
        if not typed:
            assert ask is not None
            typed.append(ask())
        return typed[0]

    start_logging(verbose)
    sys.setswitchinterval(TURN)
    known = secrets(config, None if ask is None else type_once)
    store = Store()

    def started(gateway: Gateway) -> None:
        # What is there now stays: 38 000 objects, nearly all of them modules' own, through which
        # the garbage collector would hold the data up for 10 ms each time that it looks at all.
        gc.freeze()
        if announce and gateway.connections:
            _say(announcement(gateway))

    def reloaded(lines: list[str]) -> None:
        if announce:
            _say(lines or ["the configuration is as it was"])

    # Nobody may sit there any more when the configuration changes.
    again = (lambda: typed[0]) if typed else None

    async def serve() -> bool:
        service = Service(
            config, source, store=store, restartable=restartable, known=known, ask=again
        )
        await service.run(started=started, reloaded=reloaded, companion=companion)
        return service.restarts

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        restarts = runner.run(serve())
    return _begin_again(store, sys.orig_argv) if restarts else 0


def _begin_again(store: Store, command: Sequence[str]) -> int:
    """Become what the command line makes; returns an exit code when that cannot be."""
    try:
        os.execve(sys.executable, list(command), os.environ | store.handed_on())
    except OSError as error:
        fault = error.strerror
    LOG.error("cannot restart: %s: %s", sys.executable, fault)
    return 1
