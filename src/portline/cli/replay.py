"""``portline replay``: one direction of a recording, with its timing, to a device or a URL."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol

import click

from portline.cli.app import verbose_option
from portline.cli.completion import connections_devices_and_urls
from portline.cli.layout import age, clean
from portline.cli.watching import forget_output
from portline.errors import PortlineError, SettingRefused
from portline.line import LineSettings
from portline.plural import plural
from portline.recording.pcapng import MAGIC, read_pcapng
from portline.recording.record import Kind, Record, Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

__all__ = ["LINE_MAX", "recorded", "replay"]

LINE_MAX: Final = 1024**2
"""Bytes of a line of JSON: more than ten times what the longest record takes."""

SPEED_MAX: Final = 1e6

PATIENCE: Final = 60.0
"""Seconds of silence in a recording that nobody has to wonder about; a longer one is told of."""


class Outlet(Protocol):
    """Where a recording is played to; ``heard`` bytes came back from there."""

    heard: int

    async def send(self, data: bytes) -> None:
        """Send data; returns when there is room for more."""


def recorded(file: BinaryIO, name: str) -> Iterator[Record]:
    """Yield the records of a file of pcapng or of lines of JSON.  Raises PortlineError."""
    start = file.read(len(MAGIC))

    def read(size: int) -> bytes:
        nonlocal start
        taken, start = start[:size], start[size:]
        return taken + file.read(size - len(taken))

    if start and start != MAGIC and not start.startswith(b"{"):
        raise PortlineError(
            f"{name}: is no recording with times: neither pcapng nor JSON of `portline record`"
        )
    try:
        yield from read_pcapng(read) if start == MAGIC else _lines(file, start)
    except ValueError as error:
        raise PortlineError(f"{name}: {error}") from error
    except OSError as error:
        raise PortlineError(f"{name}: cannot be read: {error.strerror}") from error


def _lines(file: BinaryIO, start: bytes) -> Iterator[Record]:
    number = 0
    while line := start + file.readline(LINE_MAX):
        number += 1
        start = b""
        try:
            yield Record.of(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number}: is no record of Portline") from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise PortlineError(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        yield file


class _Player:
    """Plays the data of one direction; ``speed`` is how much faster than it was, None at once."""

    def __init__(self, source: Source, speed: float | None) -> None:
        self.bytes = 0
        self.pieces = 0
        self.others = 0
        """Pieces of the other direction."""
        self.gaps = 0
        """Places where the recording itself lacks something."""
        self._source = source
        self._speed = speed

    async def play(self, records: Iterator[Record], outlet: Outlet) -> None:
        """Play all that there is."""
        loop = asyncio.get_running_loop()
        begun: float | None = None
        first = 0.0
        for record in records:
            self.gaps += record.kind is Kind.SKIPPED
            if record.kind is not Kind.DATA:
                continue
            if record.source is not self._source:
                self.others += 1
                continue
            if begun is None:
                begun, first = loop.time(), record.at
            if self._speed is not None:
                wait = begun + (record.at - first) / self._speed - loop.time()
                if wait > PATIENCE:
                    click.echo(
                        f"the next piece is {age(wait)} later; --fast does not wait", err=True
                    )
                await asyncio.sleep(max(0.0, wait))
            await outlet.send(record.data)
            self.bytes += len(record.data)
            self.pieces += 1


class _Pipe:
    heard = 0

    async def send(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


class _Remote:
    """A port of another machine."""

    def __init__(self, port: Any) -> None:
        self.heard = 0
        self._port = port

    async def send(self, data: bytes) -> None:
        self._port.write(data)
        await self._port.drain()

    async def listen(self) -> None:
        """Take what comes back, so that nothing waits for it."""
        with suppress(PortlineError):  # the next write tells
            while data := await self._port.read():
                self.heard += len(data)


class _Device:
    """A serial port of this machine."""

    def __init__(self, port: Any) -> None:
        self._port = port

    @property
    def heard(self) -> int:
        """Bytes that wait to be read."""
        return int(self._port.in_waiting)

    async def send(self, data: bytes) -> None:
        await asyncio.to_thread(self._port.write, data)


@asynccontextmanager
async def _outlet(target: str, settings: LineSettings | None) -> AsyncIterator[Any]:
    if target == "-":
        yield _Pipe()
    elif "://" in target:
        import portline

        given: dict[str, Any] = {}
        if settings is not None:
            given = {
                "baudrate": settings.baudrate,
                "data_bits": settings.data_bits,
                "parity": settings.parity,
                "stop_bits": settings.stop_bits,
            }
        async with portline.open(target, **given) as port:
            outlet = _Remote(port)
            listening = asyncio.get_running_loop().create_task(outlet.listen())
            try:
                yield outlet
            finally:
                listening.cancel()
    else:
        port = _device(target, settings or LineSettings())
        try:
            yield _Device(port)
            await asyncio.to_thread(port.flush)
        finally:
            port.close()


def _device(path: str, settings: LineSettings) -> Any:
    import serial

    from portline.port.inventory.naming import resolve

    try:
        return serial.Serial(
            resolve(path),
            settings.baudrate,
            bytesize=settings.data_bits,
            parity=settings.parity.value,
            stopbits=float(settings.stop_bits.value),
            exclusive=True,
        )
    except ValueError as error:
        raise SettingRefused(path, "settings", str(settings), str(error)) from error
    except serial.SerialException as error:
        reason = str(error).rpartition("] ")[2] or str(error)
        raise PortlineError(
            f"{path}: cannot be opened: {reason}; where a Portline has it, play to its address"
        ) from error


def _settings(
    _ctx: click.Context, _param: click.Parameter, text: str | None
) -> LineSettings | None:
    try:
        return None if text is None else LineSettings.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("file", type=click.Path(path_type=Path, readable=False, allow_dash=True))
@click.argument("target", shell_complete=connections_devices_and_urls)
@click.option(
    "--from",
    "source",
    type=click.Choice(["port", "peers"]),
    default="port",
    show_default=True,
    help="Play what came from the port, or what the peers sent to it.",
)
@click.option(
    "--speed",
    type=click.FloatRange(0, SPEED_MAX, min_open=True),
    default=1.0,
    help="So many times as fast as it was; 0.5 is half as fast. [default: 1]",
)
@click.option("--fast", is_flag=True, help="As fast as TARGET takes it.")
@click.option(
    "--settings",
    callback=_settings,
    metavar="SETTINGS",
    help="Of a port, like 115200-8N1. [default: 9600-8N1 of a device; of a URL as it has them]",
)
@verbose_option
def replay(
    file: Path,
    target: str,
    source: str,
    speed: float,
    fast: bool,
    settings: LineSettings | None,
) -> int:
    """Play one direction of the recording FILE to TARGET, with the timing that it had.

    FILE is of `portline record`, pcapng or json; - is standard input.  TARGET is a device, like
    /dev/ttyUSB0, the URL of a remote port, like rfc2217://host:4001, or - for standard output.  To
    play to a connection of a running Portline, name its address.
    """
    player = _Player(Source.PORT if source == "port" else Source.PEER, None if fast else speed)
    begun = time.monotonic()
    heard = 0

    async def play() -> None:
        nonlocal heard
        with _opened(file) as opened:
            async with _outlet(target, settings) as outlet:
                await player.play(recorded(opened, str(file)), outlet)
                heard = outlet.heard

    stopped = _stopped(play)
    if stopped is None:
        return 0
    where = "" if target == "-" else f" to {clean(target)}"
    told = "stopped after" if stopped else "played"
    told += f" {plural(player.bytes, 'byte')} in {plural(player.pieces, 'piece')}"
    told += f"{where} in {age(time.monotonic() - begun)}"
    if heard:
        told += f"; {plural(heard, 'byte')} came back"
    if player.gaps:
        gaps = plural(player.gaps, "time")
        told += f"; the recording has gaps: {gaps} something came too fast for it"
    if not player.bytes and player.others:
        told += f"; there is nothing from the {source}, the other direction has something"
    click.echo(told, err=target == "-")
    return 0


def _stopped(play: Callable[[], Any]) -> bool | None:
    """Play; return whether somebody stopped it, None where nobody wants to read it any more."""
    try:
        from portline.service.process.log import hush_asyncio

        hush_asyncio()
        asyncio.run(play())
    except KeyboardInterrupt:
        return True
    except BrokenPipeError:
        forget_output()
        return None
    except OSError as error:  # pyserial's errors among them
        raise PortlineError(f"went away: {error}") from error
    return False
