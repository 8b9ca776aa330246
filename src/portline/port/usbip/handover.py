"""A port that goes from one process to another while an application has it open.

Theory of operation
-------------------
The kernel only knows the socket.  Whoever has our end of it is the adapter, and while nobody reads
it the kernel waits: transfers stay under way, an application blocks as it would on a busy line.
(Requests for settings and lines time out after five seconds.)  So a port is handed over by the
socket and a :class:`Saved`: :func:`send` and :func:`receive` carry both over a Unix socket,
``UsbipPort.release`` and ``taken_over`` are the two ends.  Where the process is only replaced
(exec), the descriptor may be inherited instead.
"""

from __future__ import annotations

import json
import socket
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from portline.line import FlowControl, LineFault, LineSettings, ModemLines, Parity, StopBits
from portline.port.usbip.device import Pending

if TYPE_CHECKING:
    from portline.port.usbip.intake import Intake
    from portline.port.usbip.plug import Plug

__all__ = ["SAVED_MAX", "Handover", "Saved", "receive", "save", "send"]

SAVED_MAX: Final = 1024 * 1024
"""Bytes of what is saved: all that may wait in both directions, in hexadecimal, several times."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What an adapter is in the middle of."""

    adapter: str
    slot: int
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

    def to_json(self) -> str:
        """Write it as text."""
        return json.dumps(asdict(self), default=_plain)

    @classmethod
    def from_json(cls, text: str) -> Saved:
        """Read it.  Raises ValueError for what another version wrote."""
        try:
            return cls(**_read(json.loads(text)))
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"no saved adapter: {error}") from error


@dataclass(frozen=True, slots=True)
class Handover:
    """What was saved, and the connected socket."""

    saved: Saved
    socket: socket.socket


def save(adapter: str, slot: int, node: str | None, plug: Plug, intake: Intake) -> Saved:
    """Return the state of everything at this moment."""
    device, chip = plug.device, plug.device.chip
    return Saved(
        adapter=adapter,
        slot=slot,
        node=node,
        settings=chip.settings,
        lines=chip.lines,
        dtr=chip.dtr,
        rts=chip.rts,
        break_on=chip.break_on,
        registers=dict(chip.registers),
        pending=device.pending,
        rest=device.rest,
        unsent=plug.unsent + device.output(),
        writes=intake.waiting,
        held=intake.held,
    )


def send(handover: Handover, over: socket.socket) -> None:
    """Send a port to another process, over a blocking stream socket; our descriptor is closed.

    Raises OSError.
    """
    text = handover.saved.to_json().encode()
    head = len(text).to_bytes(4, "big")
    socket.send_fds(over, [head], [handover.socket.fileno()])
    over.sendall(text)
    handover.socket.close()


def receive(over: socket.socket) -> Handover:
    """Take a port that ``send`` has sent.  Raises OSError, ValueError."""
    head, descriptors, _flags, _address = socket.recv_fds(over, 4, 1)
    size = int.from_bytes(head, "big")
    if len(head) != 4 or len(descriptors) != 1 or size > SAVED_MAX:
        raise ValueError("nothing that is a port was handed over")
    connected = socket.socket(fileno=descriptors[0])
    text = bytearray()
    while len(text) < size:
        piece = over.recv(size - len(text))
        if not piece:
            connected.close()
            raise ValueError("a port was handed over in part")
        text += piece
    return Handover(Saved.from_json(text.decode()), connected)


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, deque):
        return list(value)
    if isinstance(value, Parity | StopBits | FlowControl):
        return value.value
    if isinstance(value, ModemLines | LineFault):  # asdict leaves what is in a deque
        return asdict(value)
    raise TypeError(f"{type(value)} cannot be saved")


def _bytes(value: Any) -> bytes:
    return bytes.fromhex(value["bytes"])


def _read(table: dict[str, Any]) -> dict[str, Any]:
    settings = table["settings"]
    inbound = settings["inbound_flow"]
    line = LineSettings(
        baudrate=settings["baudrate"],
        data_bits=settings["data_bits"],
        parity=Parity(settings["parity"]),
        stop_bits=StopBits(settings["stop_bits"]),
        flow_control=FlowControl(settings["flow_control"]),
        inbound_flow=None if inbound is None else FlowControl(inbound),
    )
    return table | {
        "settings": line,
        "lines": ModemLines(**table["lines"]),
        "registers": {int(key): value for key, value in table["registers"].items()},
        "pending": _pending(table["pending"]),
        "rest": _bytes(table["rest"]),
        "unsent": _bytes(table["unsent"]),
        "writes": tuple((number, _bytes(data)) for number, data in table["writes"]),
    }


def _pending(table: dict[str, Any]) -> Pending:
    return Pending(
        into=deque((number, size) for number, size in table["into"]),
        interrupts=deque((number, size) for number, size in table["interrupts"]),
        out={int(number): size for number, size in table["out"].items()},
        waiting=deque(
            _bytes(each) if "bytes" in each else LineFault(**each) for each in table["waiting"]
        ),
        states=deque(ModemLines(**each) for each in table["states"]),
        fault=LineFault(**table["fault"]),
        fault_told=table["fault_told"],
        in_use=table["in_use"],
    )
