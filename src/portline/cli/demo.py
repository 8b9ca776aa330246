"""``portline demo``: a simulated instrument, shared both ways, with a page, and what to try."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from portline.cli.app import verbose_option, verbosity
from portline.config.saving import ConfigFile
from portline.config.web import DEFAULT_PAGE
from portline.errors import NetworkError, PortError
from portline.service.demo.instrument import BAUDRATE
from portline.service.demo.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from portline.config.models import GatewayConfig
    from portline.service.gateway import Gateway

__all__ = ["Demo", "demo", "free_port", "things_to_try"]

HOST: Final = "127.0.0.1"
"""The demo is for the person before this machine."""

RAW_PORT: Final = 4001
RFC2217_PORT: Final = 4002

TRIES: Final = 100
"""TCP ports that are tried, one after the other, before giving up."""

PORT_MAX: Final = 65535


_FILE: Final = """\
# The configuration of the demo; it is gone when the demo ends.

[web]
listen = "{host}:{web_port}"

# The instrument, as a real serial port would be shared.
[connections.demo]
port = "{device}"
baudrate = {baudrate}
listen = ["raw://{host}:{raw_port}", "rfc2217://{host}:{rfc2217_port}"]

# The same instrument, brought back as a port for programs on this machine.
[connections.far]
kind = "client"
virtual = "{virtual}"
backend = "pty"
connect = "rfc2217://{host}:{rfc2217_port}"
connect-when-open = true
"""


GREETING: Final = 3.0
"""Seconds that what the demo says at first waits for the page, which makes a password before."""


class Demo:
    """An instrument on a pseudo terminal and the configuration that shares it, in a private folder.

    ::

        async with Demo() as demo:
            await serve(demo.config)

    ``notes`` are lines on what is not as it was asked for.  Nothing is left behind at the end.
    Raises NetworkError if no TCP port is free, and PortError if there is no pseudo terminal.
    """

    def __init__(
        self,
        raw_port: int = RAW_PORT,
        rfc2217_port: int = RFC2217_PORT,
        web_port: int = DEFAULT_PAGE.port,
    ) -> None:
        self.rfc2217_port = free_port(rfc2217_port)
        self.raw_port = free_port(raw_port, self.rfc2217_port)
        self.web_port = free_port(web_port, self.rfc2217_port, self.raw_port)
        self.notes = [
            f"TCP port {wanted} is in use; taking {taken} instead."
            for wanted, taken in (
                (raw_port, self.raw_port),
                (rfc2217_port, self.rfc2217_port),
                (web_port, self.web_port),
            )
            if wanted != taken
        ]
        self._simulator = Simulator()
        self._made: tempfile.TemporaryDirectory[str] | None = None

    @property
    def folder(self) -> Path:
        """The folder of the demo; valid within ``async with``."""
        assert self._made is not None
        return Path(self._made.name)

    @property
    def file(self) -> ConfigFile:
        """The configuration file, which the page may change; valid within ``async with``."""
        return ConfigFile(self.folder / "portline.toml")

    @property
    def config(self) -> GatewayConfig:
        """What to run; valid within ``async with``."""
        return self.file.load()

    async def __aenter__(self) -> Demo:
        try:
            self._simulator.start()
        except OSError as error:
            raise PortError(
                "demo", f"this machine gives no pseudo terminal: {error.strerror}"
            ) from error
        self._made = tempfile.TemporaryDirectory(
            prefix="portline-demo-", ignore_cleanup_errors=True
        )
        text = _FILE.format(
            host=HOST,
            device=self._simulator.path,
            baudrate=BAUDRATE,
            raw_port=self.raw_port,
            rfc2217_port=self.rfc2217_port,
            web_port=self.web_port,
            virtual=self.folder / "ttyDemo",
        )
        self.file.path.write_text(text, encoding="utf-8")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._simulator.stop()
        if self._made is not None:
            self._made.cleanup()


def free_port(wanted: int, *but_not: int) -> int:
    """Return ``wanted``, or the next TCP port that can be listened on.  Raises NetworkError."""
    last = min(wanted + TRIES, PORT_MAX + 1)
    for port in range(wanted, last):
        if port in but_not:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As the listener does it, so that a port that lingers in TIME-WAIT counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise NetworkError(
        f"{HOST}:{wanted}", f"no TCP port up to {last - 1} can be used; name another one"
    )


def things_to_try(
    raw_port: int,
    rfc2217_port: int,
    is_here: Callable[[str], bool] = lambda program: shutil.which(program) is not None,
) -> list[str]:
    """Return the lines that say what to type; a program that is not installed is marked."""
    link = "/tmp/ttyDemo"
    python, miniterm = _python()
    portline = _portline()
    tries = (
        ("raw bytes", ("nc",), [f"nc {HOST} {raw_port}"]),
        ("Telnet", ("telnet",), [f"telnet {HOST} {rfc2217_port}"]),
        (
            "RFC 2217",
            (),
            [f"{python} -m serial.tools.miniterm rfc2217://{HOST}:{rfc2217_port} {BAUDRATE}"],
        ),
        (
            "as a serial port",
            ("picocom",),
            [
                f"{portline} attach rfc2217://{HOST}:{rfc2217_port} --virtual {link} &",
                f"{portline} run -- picocom -b {BAUDRATE} {link}",
            ],
        ),
        (
            "without Portline",
            ("socat", "picocom"),
            [f"socat pty,link={link}2,raw tcp:{HOST}:{raw_port} &", f"picocom {link}2"],
        ),
    )
    lines = []
    for title, programs, commands in tries:
        missing = [program for program in programs if not is_here(program)]
        note = f"   ({', '.join(missing)}: not installed here)" if missing else ""
        if title == "RFC 2217" and not miniterm:
            note = f"   (first: {python} -m pip install pyserial)"
        lines += [f"  {title + ':':18}{commands[0]}{note}"]
        lines += [f"  {'':18}{command}" for command in commands[1:]]
    return lines


def _python() -> tuple[str, bool]:
    """Return how to call this Python from here, and whether it has pyserial."""
    here = os.getcwd() + os.sep
    python = sys.executable or "python3"
    has_pyserial = importlib.util.find_spec("serial") is not None
    return python.removeprefix(here), has_pyserial


def _portline() -> str:
    """Return how to call this Portline from here."""
    program = os.path.join(os.path.dirname(sys.executable), "portline")
    if os.access(program, os.X_OK):
        return program.removeprefix(os.getcwd() + os.sep)
    return f"{_python()[0]} -m portline"


@click.command()
@click.option(
    "--raw-port",
    type=click.IntRange(1, PORT_MAX),
    default=RAW_PORT,
    show_default=True,
    help="The TCP port that carries plain bytes.",
)
@click.option(
    "--rfc2217-port",
    type=click.IntRange(1, PORT_MAX),
    default=RFC2217_PORT,
    show_default=True,
    help="The TCP port that carries settings and signal lines too.",
)
@click.option(
    "--web-port",
    type=click.IntRange(1, PORT_MAX),
    default=DEFAULT_PAGE.port,
    show_default=True,
    help="The TCP port of the page.",
)
@verbose_option
@click.pass_context
def demo(ctx: click.Context, /, raw_port: int, rfc2217_port: int, web_port: int) -> int:
    """Share a simulated instrument on this machine, to try Portline without hardware.

    The page shows it, and makes and changes connections, in a configuration file of the demo's own.
    A port that is taken is replaced by the next free one.  Ctrl-C ends it; nothing is left behind.
    """
    from portline.service.process.log import start_logging
    from portline.service.process.run import new_event_loop

    start_logging(verbosity(ctx))
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_run(Demo(raw_port, rfc2217_port, web_port)))
    return 0


class Greeting:
    """What the demo says at first, in one go: where the page is stands before what to try.

    The page is ready some moments after the ports; GREETING seconds later it is said without it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._page: list[str] = []
        self._around: tuple[list[str], list[str]] | None = None
        self._said = False

    def started(self, before: list[str], behind: list[str]) -> None:
        """Take what is said before and behind the address of the page."""
        self._around = (before, behind)
        if self._page:
            self.say()
        else:
            self._loop.call_later(GREETING, self.say)

    def told(self, lines: list[str]) -> None:
        """Take what the page says; at once where the rest has been said."""
        self._page += lines
        if self._said:
            click.echo("\n".join(lines))
        elif self._around is not None:
            self.say()

    def say(self) -> None:
        """Say it, once."""
        if self._said or self._around is None:
            return
        self._said = True
        before, behind = self._around
        click.echo("\n".join([*before, *self._page, *behind]))


async def _run(demo: Demo) -> None:
    from portline.control.companion import companion
    from portline.service.process.announcement import announcement
    from portline.service.process.run import Service
    from portline.web.companion import with_page
    from portline.web.credentials import Credentials

    greeting = Greeting(asyncio.get_running_loop())

    def started(gateway: Gateway) -> None:
        greeting.started(
            [*demo.notes, *announcement(gateway)],
            [
                "It sends a few sentences each second and answers *IDN?, MEAS:VOLT? and HELP.",
                "TALK OFF makes it quiet.  In another terminal, try:",
                *things_to_try(demo.raw_port, demo.rfc2217_port),
                "Ctrl-C ends the demo.",
            ],
        )

    async with demo:
        state = demo.folder / "state"
        state.mkdir(mode=0o700)
        beside = with_page(
            companion("demo", str(demo.file.path)),
            told=greeting.told,
            credentials=Credentials(state),
            key=True,
        )
        try:
            await Service(demo.config, demo.file).run(started=started, companion=beside)
        finally:
            greeting.say()
