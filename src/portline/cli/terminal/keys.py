"""What the keys behind the escape key do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from portline.cli.terminal.keyboard import ALSO, COMMANDS, ENTER, Prompt, key_shown
from portline.cli.terminal.screen import LINE_ENDS
from portline.errors import PortlineError
from portline.line import BREAK_PULSE, Item, LineSettings, Query, SetLine
from portline.plural import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from portline.cli.terminal.session import Terminal

__all__ = ["Keys"]

CHUNK: Final = 4096
"""Bytes of a file that are on their way at once, so that it can be stopped."""


class Keys:
    """The commands of one terminal, and its ``macros``: key -> bytes."""

    def __init__(self, terminal: Terminal, macros: Mapping[str, bytes]) -> None:
        self._terminal = terminal
        self._macros = macros
        self._sending: asyncio.Task[None] | None = None

    def press(self, key: str) -> None:
        """Carry a command out."""
        key = ALSO.get(key, key)
        if key in self._macros:
            self._terminal.send(self._macros[key])
            return
        match key:
            case "h":
                self._help()
            case "q":
                self._terminal.end()
            case "s":
                self._terminal.begin(self._status())
            case "d" | "r":
                self._terminal.begin(self._toggle(key))
            case "b":
                self._terminal.begin(self._break())
            case "u":
                self._ask("settings", self._settings)
            case "l":
                self._log_or_not()
            case "f":
                self._file_or_not()
            case "m":
                self._list_macros()
            case "v" | "e" | "n" | "i" | "t" | "c":
                self._switch(key)
            case _:
                self._terminal.notice(f"no command has the key {key!r}; h lists them")

    def _switch(self, key: str) -> None:
        screen = self._terminal.screen
        match key:
            case "v":
                screen.as_hex = not screen.as_hex
                self._on("hex view", screen.as_hex)
            case "e":
                self._terminal.echo = not self._terminal.echo
                self._on("local echo", self._terminal.echo)
            case "t":
                screen.stamps = not screen.stamps
                self._on("times", screen.stamps)
            case "c":
                screen.cleans = not screen.cleans
                self._on("clean view", screen.cleans)
            case "n":
                names = list(ENTER)
                now = next(name for name in names if ENTER[name] == self._terminal.keyboard.enter)
                name = _next(names, now)
                self._terminal.keyboard.enter = ENTER[name]
                self._terminal.notice(f"Enter sends {name}")
            case "i":
                screen.ends = _next(list(LINE_ENDS), screen.ends)
                self._terminal.notice(f"lines end: {screen.ends}")
            case _:
                pass  # there are no others

    def _on(self, what: str, on: bool) -> None:
        self._terminal.notice(f"{what} is {'on' if on else 'off'}")

    def _help(self) -> None:
        escape = self._terminal.keyboard.escape
        assert escape is not None
        key = key_shown(escape)
        commands = dict(COMMANDS)
        if self._terminal.lineless:
            for name in ("d", "r"):
                commands[name] = f"nothing here: {self._terminal.lineless}"
        self._terminal.notice(
            f"behind {key}:",
            *(f"  {name}  {text}" for name, text in commands.items()),
            f"  {key}  send {key} itself",
        )

    def _list_macros(self) -> None:
        macros = self._macros
        lines = [f"  {key}  {text!r:.60}" for key, text in macros.items()]
        self._terminal.notice(*(lines or ["there are no macros; --macros FILE has some"]))

    def _ask(self, question: str, answered: Callable[[str], object]) -> None:
        def take(line: str | None) -> None:
            if line:
                answered(line)

        self._terminal.prompt = Prompt(question, take)
        self._terminal.show(self._terminal.screen.question(question))

    async def _status(self) -> None:
        port = self._terminal.there()
        if not port.raw:
            await port.ask(Query(Item.DTR), Query(Item.RTS), Query(Item.MODEM_LINES))
        screen = self._terminal.screen
        enter = next(name for name, data in ENTER.items() if data == self._terminal.keyboard.enter)
        on = [
            name
            for name, wanted in (
                ("hex view", screen.as_hex),
                ("local echo", self._terminal.echo),
                ("times", screen.stamps),
                ("clean view", screen.cleans),
                (f"log to {self._terminal.log.path}", bool(self._terminal.log.path)),
            )
            if wanted
        ]
        console = self._terminal.console
        if console is not None and console.unshown:
            on.append(f"{console.unshown} notices were left out while the screen stood still")
        self._terminal.notice(
            f"{self._terminal.place.name}: {self._terminal.state(port)}",
            ", ".join([f"Enter sends {enter}", f"lines end {screen.ends}", *on]),
        )

    async def _toggle(self, key: str) -> None:
        port = self._terminal.there()
        if self._terminal.lineless:
            self._terminal.notice(f"{self._terminal.lineless}: there is nothing to switch")
            return
        if key == "d":
            await port.set_lines(dtr=not port.dtr)
        else:
            await port.set_lines(rts=not port.rts)
        self._terminal.notice(self._terminal.state(port))

    async def _break(self) -> None:
        port = self._terminal.there()
        await port.set_break(True)
        await asyncio.sleep(BREAK_PULSE)
        await port.set_break(False)
        self._terminal.notice("a break was sent")

    def _settings(self, text: str) -> None:
        try:
            settings = LineSettings.parse(text)
        except ValueError as error:
            self._terminal.notice(str(error))
            return
        change = SetLine(
            baudrate=settings.baudrate,
            data_bits=settings.data_bits,
            parity=settings.parity,
            stop_bits=settings.stop_bits,
        )
        bare = text.strip().isdigit()
        self._terminal.begin(self._set(SetLine(baudrate=settings.baudrate) if bare else change))

    async def _set(self, change: SetLine) -> None:
        port = self._terminal.there()
        await port.ask(change)
        self._terminal.notice(self._terminal.state(port))

    def _log_or_not(self) -> None:
        if self._terminal.log.path:
            self._terminal.notice(
                f"{self._terminal.log.path}: logged {plural(self._terminal.log.end(), 'byte')}"
            )
        else:
            self._ask("log to file", self._log_to)

    def _log_to(self, path: str) -> None:
        try:
            self._terminal.log.begin(path)
        except PortlineError as error:
            self._terminal.notice(str(error))
        else:
            self._terminal.notice(f"logging to {path}")

    def _file_or_not(self) -> None:
        if self._sending is not None and not self._sending.done():
            self._sending.cancel()
            self._terminal.notice("sending was stopped")
        else:
            self._ask("send file", self._send_file)

    def _send_file(self, path: str) -> None:
        self._sending = self._terminal.begin(self._file(path))

    async def _file(self, path: str) -> None:
        port, size = self._terminal.there(), 0
        try:
            with open(path, "rb") as file:  # noqa: ASYNC230  # of this machine, a page at a time
                while data := file.read(CHUNK):
                    port.write(data)
                    await port.drain()
                    size += len(data)
        except OSError as error:
            raise PortlineError(f"{path}: {error.strerror}") from error
        self._terminal.notice(f"{path}: sent {plural(size, 'byte')}")


def _next(names: list[str], now: str) -> str:
    return names[(names.index(now) + 1) % len(names)]
