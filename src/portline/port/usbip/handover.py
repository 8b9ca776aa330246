"""A port that goes from one process to the next while an application has it open.

Theory of operation
-------------------
The kernel only knows the socket.  Whoever has our end of it is the adapter, and while nobody reads
it the kernel waits: transfers stay under way, an application blocks as it would on a busy line.
(Requests for settings and lines time out, pl2303's after 0.1 s, others after 5 s; taking one back
waits for us, too.)  So what is handed over is the socket, and a journal
(:mod:`portline.port.usbip.journal`) with what there is to know, a :class:`Saved`.  Both lie on the
port's shelf (:mod:`portline.port.shelf`) from the moment the
adapter is plugged in.  :func:`left_for` is the way back from there; what a process has not said
because it was killed, :mod:`portline.port.usbip.revival` finds out.
"""

from __future__ import annotations

import logging
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

from portline.line import DATA_BITS, LineSettings, ModemLines  # pydantic reads annotations
from portline.port.usbip.chips import CHIPS
from portline.port.usbip.device import TRANSFERS_MAX, Pending
from portline.port.usbip.journal import Journal
from portline.port.usbip.naming import abandon, take_away
from portline.port.usbip.revival import revived
from portline.port.usbip.wire import TRANSFER_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import TypeAdapter

    from portline.port.shelf import Shelf
    from portline.port.usbip.device import Device

__all__ = ["Handover", "Saved", "left_for", "save", "taken_over"]

LOG: Final = logging.getLogger("portline.port")

_STRANGE: Final = "what is saved is of another version, or no adapter"

DESCRIPTORS: Final = 2
"""On the shelf of a port: the socket and the journal."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What an adapter is in the middle of."""

    __pydantic_config__: ClassVar[Any] = {
        "strict": True,
        "extra": "forbid",
        "ser_json_bytes": "hex",
        "val_json_bytes": "hex",
    }

    name: str
    """The port's."""
    adapter: str
    slot: int
    path: str | None
    """Where applications find it."""
    node: str | None
    settings: LineSettings
    lines: ModemLines
    dtr: bool
    rts: bool
    break_on: bool
    registers: dict[int, int]
    pending: Pending
    rest: bytes
    """The beginning of a message from the kernel."""
    unsent: bytes
    """The rest of what the kernel has not taken."""
    writes: tuple[tuple[int, bytes], ...]
    """What the application wrote and was not passed on, by transfer."""
    held: int | None
    """The transfer that is held until everything has left."""
    kept: bytes = b""
    """What the application wrote and nobody has heard."""

    def to_json(self) -> bytes:
        """Write it as text."""
        return _adapter().dump_json(self)

    @classmethod
    def from_json(cls, text: bytes) -> Saved:
        """Read it.  Raises ValueError for anything else."""
        try:
            saved: Saved = _adapter().validate_json(text)
        except ValueError:  # pydantic's has several lines
            raise ValueError(_STRANGE) from None
        if not _plausible(saved):
            raise ValueError(_STRANGE)
        return saved


def _plausible(saved: Saved) -> bool:
    """Tell whether all numbers are such as there are; the kernel and the chip take no others."""
    pending, line = saved.pending, saved.settings
    transfers = [*pending.into, *pending.interrupts, *pending.out.items()]
    numbers = [number for number, _ in (*transfers, *saved.writes)]
    sizes = [size for _, size in transfers]
    return (
        saved.adapter in CHIPS
        and saved.slot >= 0
        and line.data_bits in DATA_BITS
        and all(0 <= value <= 0xFF for value in saved.registers.values())
        and all(0 <= each < 1 << 32 for each in (*numbers, saved.held or 0, line.baudrate))
        and all(0 <= size <= TRANSFER_MAX for size in sizes)
        and len(transfers) <= TRANSFERS_MAX
    )


@cache
def _adapter() -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(Saved)


@dataclass(frozen=True, slots=True)
class Handover:
    """What was saved, the connected socket, and the journal, which goes on."""

    saved: Saved
    socket: socket.socket
    journal: Journal

    def close(self) -> None:
        """Let go of everything; where nobody else has the socket, the adapter is unplugged."""
        self.socket.close()
        self.journal.close()


def save(
    device: Device,
    *,
    name: str,
    adapter: str,
    slot: int,
    path: str | None,
    node: str | None,
    unsent: bytes,
    writes: tuple[tuple[int, bytes], ...],
    held: int | None,
    kept: bytes,
) -> Saved:
    """Return the state of everything at this moment; the device has nothing more to say."""
    chip = device.chip
    return Saved(
        name=name,
        adapter=adapter,
        slot=slot,
        path=path,
        node=node,
        settings=chip.settings,
        lines=chip.lines,
        dtr=chip.dtr,
        rts=chip.rts,
        break_on=chip.break_on,
        registers=dict(chip.registers),
        pending=device.pending,
        rest=device.rest,
        unsent=unsent,
        writes=writes,
        held=held,
        kept=kept,
    )


def left_for(name: str, adapter: str, shelf: Shelf) -> Handover | None:
    """Return what a process before this one has left for a port; None, and why, if it is no use."""
    descriptors = shelf.take()
    if not descriptors:
        return None
    try:
        handover = taken_over(descriptors)
    except ValueError as error:
        fault = str(error)
    else:
        if (handover.saved.name, handover.saved.adapter) == (name, adapter):
            return handover
        fault = f"it is {handover.saved.adapter}, and {adapter} is configured"
        abandon(handover)
    shelf.forget()
    LOG.warning(
        "%s: the adapter of the process before is of no use (%s); another one is plugged in, "
        "and programs have to open the port again",
        name,
        fault,
    )
    return None


def taken_over(descriptors: Sequence[int]) -> Handover:
    """Return what lies on a shelf; the descriptors belong to it, or are closed.

    Raises ValueError, in a few words, for what is no adapter that is still plugged in; its name is
    taken away then.
    """
    if len(descriptors) != DESCRIPTORS:
        _close(descriptors)
        raise ValueError(f"{len(descriptors)} descriptors are no adapter")
    one, two = descriptors
    found = (one, two) if stat.S_ISSOCK(os.fstat(one).st_mode) else (two, one)
    try:
        journal = Journal(found[1])
    except (OSError, ValueError) as error:
        _close(found)
        raise ValueError(_words(error)) from error
    connected: socket.socket | None = None
    saved: Saved | None = None
    try:
        record = journal.read()
        saved = Saved.from_json(record.text)
        connected = socket.socket(fileno=found[0])
        _examine(connected)
        if any(record.received[:4]) or any(record.sent[:4]):
            saved = revived(saved, record)
    except (OSError, ValueError) as error:
        journal.close()
        if saved is not None:
            take_away(saved)
        if connected is None:
            _close(found[:1])
        else:
            connected.close()
        raise ValueError(_words(error)) from error
    return Handover(replace(saved, lines=record.lines), connected, journal)


def _examine(connected: socket.socket) -> None:
    """Raise unless this is connected to a kernel that still listens."""
    connected.getpeername()
    connected.setblocking(False)
    if (connected.family, connected.type) != (socket.AF_UNIX, socket.SOCK_STREAM):
        raise ValueError("its socket is of another kind")
    with suppress(BlockingIOError):
        if not connected.recv(1, socket.MSG_PEEK):
            raise ValueError("the kernel has unplugged it")


def _words(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)
