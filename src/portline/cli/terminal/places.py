"""Where a terminal leads to: a connection of a running Portline, a remote port, a device here."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from portline.cli.processes import ask_all, holder_of, on_this_machine
from portline.errors import PortBusy, PortError, PortlineError, UsageError, clean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portline.control.way import Way
    from portline.line import LineSettings, SetLine, SetModem
    from portline.remote.port import RemotePort
    from portline.service.operator.bench import Bench

__all__ = ["Attached", "Device", "Place", "Remote", "Served", "place_of"]

DEVICE: Final = ("usb:", "path:")
"""How the name of a device begins that is no path."""


LINELESS: Final = "the device has no signal lines"

CLOSE_LIMIT: Final = 5.0
"""Seconds that a device gets for what it still has to send."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A port that is open, and what it is for people.

    ``lineless``: why it has no signal lines; "" where it has them.
    """

    port: RemotePort
    title: str
    lineless: str = ""


class Place(Protocol):
    """What can be opened, again and again."""

    name: str

    async def open(self) -> Attached:
        """Open it.  Raises PortlineError."""

    async def why(self) -> str:
        """Return why it has ended, as far as it is known; "" for nothing to say."""

    async def close(self) -> None:
        """Finish with what was opened, whose port is closed; within CLOSE_LIMIT."""


@dataclass
class Served:
    """A connection of a running Portline; ``line`` and ``outputs`` are asked for at first."""

    name: str
    way: Way | None
    line: SetLine
    outputs: SetModem

    async def open(self) -> Attached:
        """Have the process that serves it give us a terminal."""
        from portline.control.client import SocketWay, take_over
        from portline.remote.opening import over

        loop = asyncio.get_running_loop()
        way = await loop.run_in_executor(None, holder_of, self.name, self.way)
        if not isinstance(way, SocketWay):
            raise UsageError(
                f"{self.name}: a terminal needs bytes in both directions, which the API of {way} "
                f"does not carry; open {way}/terminal/{self.name} in a browser, or use "
                f"`ssh -t HOST portline term {self.name}`"
            )
        result, sock = await loop.run_in_executor(
            None, take_over, way.path, "terminal", {"name": self.name}
        )
        port = await over(loop, sock, self.name)
        try:
            await port.ask(self.line, self.outputs)
        except BaseException:
            port.abort()
            raise
        told = result if isinstance(result, dict) else {}
        lineless = "" if told.get("has_lines", True) else LINELESS
        return Attached(port, f"{self.name} ({told.get('port', '')})", lineless)

    async def why(self) -> str:
        """Ask the process."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, self._why)

    def _why(self) -> str:
        try:
            for answer in ask_all("status", self.way, names=[self.name]):
                for connection in answer.result["connections"] if answer.error is None else ():
                    reason = str(connection["port"]["reason"])
                    return reason or "the Portline that serves it has closed it; it stops, perhaps"
        except (PortlineError, LookupError, TypeError):
            return ""
        return "the Portline that served it has ended, or has that connection no more"

    async def close(self) -> None:
        """Do nothing: the process that serves it goes on."""


@dataclass
class Remote:
    """A port of another machine, by its URL; ``options`` are those of ``portline.open``."""

    name: str
    options: Mapping[str, Any]

    async def open(self) -> Attached:
        """Connect."""
        import portline

        port = await portline.open(self.name, **self.options)
        told = "" if port.raw or not port.signature else f" ({port.signature})"
        lineless = ""
        if port.raw:
            lineless = "raw:// carries data only, no signal lines"
        elif not port.tells_outputs:
            lineless = "the server tells of no DTR and RTS"
        return Attached(port, f"{self.name}{told}", lineless)

    async def why(self) -> str:
        """Return nothing: the port has told itself."""
        return ""

    async def close(self) -> None:
        """Do nothing: the port is closed."""


@dataclass
class Device:
    """A port of this machine, opened by this process alone."""

    name: str
    settings: LineSettings
    outputs: SetModem
    exclusive: bool = True
    _bench: Bench | None = field(default=None, repr=False)
    _ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    async def open(self) -> Attached:
        """Open the device."""
        from portline.remote.opening import over
        from portline.service.operator.bench import Bench

        loop = asyncio.get_running_loop()
        self._ended.clear()
        self._bench = Bench(
            self.name,
            self.settings,
            loop=loop,
            ended=self._ended.set,
            exclusive=self.exclusive,
            dtr=self.outputs.dtr,
            rts=self.outputs.rts,
        )
        try:
            self._bench.open()
        except PortBusy as error:
            self._bench = None
            raise await loop.run_in_executor(None, self._busy, error) from None
        except PortError:
            self._bench = None
            raise
        ours, theirs = socket.socketpair()
        self._bench.serve(theirs)
        path = self._bench.port.path
        lineless = "" if self._bench.port.has_lines else LINELESS
        port = await over(loop, ours, self.name)
        title = self.name if path in (None, self.name) else f"{self.name} ({path})"
        return Attached(port, title, lineless)

    def _busy(self, error: PortBusy) -> PortError:
        """Return the error, with the connection to which the device belongs if it is ours."""
        from portline.port.inventory.naming import resolve

        with suppress(PortlineError, LookupError, TypeError):
            path = os.path.realpath(resolve(self.name))
            for answer in ask_all("status", None):
                for connection in answer.result["connections"] if answer.error is None else ():
                    theirs = connection["port"]["path"]
                    if theirs is not None and os.path.realpath(theirs) == path:
                        name = clean(connection["name"])
                        return PortBusy(
                            self.name,
                            f"is the port of the connection {name} of a running Portline; open "
                            f"that: `portline term {name}`",
                            error.holder,
                        )
        return error

    async def why(self) -> str:
        """Return what has become of the device."""
        error = None if self._bench is None else self._bench.error
        return "" if error is None else str(error).removeprefix(f"{self.name}: ")

    async def close(self) -> None:
        """Close the device, when it has sent what was typed."""
        if self._bench is not None:
            try:
                async with asyncio.timeout(CLOSE_LIMIT):
                    await self._ended.wait()
            except TimeoutError:
                self._bench.close()


def place_of(
    name: str,
    *,
    way: Way | None,
    line: SetLine,
    outputs: SetModem,
    exclusive: bool,
    remote: Mapping[str, Any],
) -> Place:
    """Return what a word on the command line means.

    ``line`` and ``outputs`` are wanted of the port, ``remote`` are further options of a URL.
    Raises UsageError for options that it does not have.
    """
    from portline.line import LineSettings

    given = {key: value for key, value in remote.items() if value is not None}
    is_remote = "://" in name
    if given and not is_remote:
        flags = ", ".join(f"--{key.replace('_', '-')}" for key in given)
        raise UsageError(f"{flags}: only for a port of another machine, like rfc2217://host:4001")
    is_device = not is_remote and ("/" in name or name.startswith(DEVICE))
    if not exclusive and not is_device:
        raise UsageError("--no-exclusive: only for a device of this machine")
    if is_remote or is_device:
        way = on_this_machine(name, way)
        if way is not None:
            raise UsageError("--socket: only for a connection of a running Portline")
    if is_remote:
        wanted = {
            each: getattr(line, each)
            for each in ("baudrate", "data_bits", "parity", "stop_bits", "flow_control")
        }
        return Remote(name, {**wanted, "dtr": outputs.dtr, "rts": outputs.rts, **given})
    if is_device:
        return Device(name, line.applied_to(LineSettings()), outputs, exclusive)
    return Served(name, way, line, outputs)
