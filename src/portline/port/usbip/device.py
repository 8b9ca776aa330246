"""One USB serial adapter as the kernel's host controller sees it, without any I/O.

Theory of operation
-------------------
What the kernel sends goes into :meth:`Device.feed`, which returns what it means; what is to be sent
back is taken from :meth:`Device.output`.  Transfers under way wait here:

==============  ==================================================================================
towards the     each brings one :class:`Written`; its transfer is under way until
line            :meth:`Device.complete`, and the driver counts it as not yet sent for so long.
                That is what makes tcdrain true
into the host   wait for data, for the next state of the lines where a chip has no interrupt
                endpoint, or for the end
interrupts      wait for the next state of the lines or the next fault
==============  ==================================================================================

*Who has it open.*  Drivers post transfers into the host when the first application opens the port
and take them back when the last one closes it.  (A driver that is throttled posts none; none are
taken back then.  FTDI's, which has no interrupt endpoint, is then known to close by DTR and RTS,
which drop together.)

*Faults.*  A fault belongs to the next character, which travels alone.  It is told before by the
interrupt endpoint, or along with the character (``Chip.frame``).  A break brings a character of its
own, 0, as from a UART.

*Lines* do not travel with the data.  Each state that they were in is told in its turn; of more than
:data:`STATES_MAX` that the driver has not fetched the last counts.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from portline.line import LineFault, ModemLines, Purge, SetModem
from portline.port.usbip.chip import NO_FAULT, Did
from portline.port.usbip.descriptors import Setup, standard_answer
from portline.port.usbip.wire import Splitter, Submit, Unlink, completed, stalled, unlinked

if TYPE_CHECKING:
    from portline.port.usbip.chip import Chip

__all__ = [
    "STATES_MAX",
    "TRANSFERS_MAX",
    "WAITING_MAX",
    "Cancelled",
    "Device",
    "Event",
    "InUse",
    "Pending",
    "Written",
]

TRANSFERS_MAX: Final = 256
"""Transfers under way in one direction; Linux' serial drivers have at most 16."""

WAITING_MAX: Final = 1024
"""Bytes for the application beyond which no more are wanted: four transfers of most drivers, so
that the next one does not have to wait for the loop."""

STATES_MAX: Final = 16
"""States of the lines, or faults, that the driver has not fetched."""


@dataclass(frozen=True, slots=True)
class InUse:
    """The first application has opened the port, or the last one has closed it."""

    in_use: bool


@dataclass(frozen=True, slots=True)
class Written:
    """The application has written; the transfer ``number`` is to be completed."""

    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The transfer ``number`` is over, whatever became of its data."""

    number: int


Event: TypeAlias = Did | InUse | Written | Cancelled


@dataclass(slots=True)
class Pending:
    """Everything under way: what another process needs to go on.  Numbers are of transfers."""

    into: deque[tuple[int, int]] = field(default_factory=deque)
    """Number and size of those into the host."""
    interrupts: deque[tuple[int, int]] = field(default_factory=deque)
    out: dict[int, int] = field(default_factory=dict)
    """Number and size of those towards the line, in order."""
    waiting: deque[bytes | LineFault] = field(default_factory=deque)
    """What the application has not got yet."""
    states: deque[ModemLines] = field(default_factory=deque)
    """States of the lines that were not told."""
    fault: LineFault = NO_FAULT
    """What came with the next character."""
    fault_told: bool = False
    in_use: bool = False


class Device:
    """An adapter with ``chip``; ``pending`` and ``rest`` are those of a process before this one."""

    def __init__(self, chip: Chip, pending: Pending | None = None, rest: bytes = b"") -> None:
        self.chip = chip
        self.pending = Pending() if pending is None else pending
        self.waiting = sum(len(p) for p in self.pending.waiting if isinstance(p, bytes))
        """Bytes for the application that its driver has not fetched."""
        self.fetched = 0
        """Bytes for the application that its driver has fetched, since the start."""
        self._splitter = Splitter(rest)
        self._output: list[bytes] = []

    @property
    def rest(self) -> bytes:
        """The beginning of a message whose end has not come yet."""
        return self._splitter.rest

    @property
    def in_use(self) -> bool:
        """Whether an application has the port open."""
        return self.pending.in_use

    @property
    def wants(self) -> bool:
        """Whether data for the application is wanted now."""
        return self.waiting < WAITING_MAX

    def output(self) -> bytes:
        """Return what is to be sent to the kernel now, once."""
        output = b"".join(self._output)
        self._output.clear()
        return output

    def feed(self, data: bytes) -> list[Event]:
        """Take what the kernel has sent, in any pieces; return what it means, in order.

        Raises ValueError for what is not USB/IP; the device is of no more use then.
        """
        events: list[Event] = []
        for command in self._splitter.feed(data):
            if isinstance(command, Unlink):
                events += self._unlink(command)
            elif command.endpoint == 0:
                events += self._control(command)
            else:
                events += self._transfer(command)
        return events

    # --- towards the application ----------------------------------------------------------------

    def give(self, data: bytes) -> None:
        """Have the application read ``data``; call it while it is wanted."""
        if data:
            self.pending.waiting.append(data)
            self.waiting += len(data)
            self._bring()

    def fault(self, fault: LineFault) -> None:
        """Have the next character be one with a fault; a break is a character itself.

        Where the driver marks no characters, it makes one of the break itself, or none.
        """
        self.pending.waiting.append(fault)
        if fault.break_received and self.chip.marks_faults:
            self.pending.waiting.append(b"\0")
            self.waiting += 1
        self._bring()

    def drop(self) -> int:
        """Throw away what the driver has not fetched; return how many bytes."""
        dropped, self.waiting = self.waiting, 0
        self.pending.waiting.clear()
        self.pending.fault, self.pending.fault_told = NO_FAULT, False
        return dropped

    def drive(self, lines: ModemLines) -> None:
        """Have the application read these lines."""
        if lines == self.chip.lines:
            return
        self.chip.lines = lines
        states = self.pending.states
        if len(states) == STATES_MAX:
            states.pop()
        states.append(lines)
        self._bring()

    # --- from the application -------------------------------------------------------------------

    def complete(self, number: int) -> None:
        """Say that the data of a transfer has left; nothing is said of one that is over."""
        size = self.pending.out.pop(number, None)
        if size is not None:
            self._output.append(completed(number, length=size))

    # --- what the kernel asks -------------------------------------------------------------------

    def _control(self, command: Submit) -> list[Event]:
        setup = Setup.parse(command.setup)
        did: list[Did] = []
        if setup.standard:
            answer = standard_answer(setup, self.chip.descriptors)
        else:
            answer, did = self.chip.request(setup, command.data)
        if answer is None:
            self._output.append(stalled(command.number))
        elif command.into:
            self._output.append(completed(command.number, answer[: command.length]))
        else:
            self._output.append(completed(command.number, length=len(command.data)))
        events: list[Event] = []
        for each in did:
            if isinstance(each, Purge):
                if each.received:
                    self.drop()
            else:
                events.append(each)
                events += self._hung_up(each)
        return events

    def _hung_up(self, did: Did) -> list[Event]:
        """Take the drop of both outputs for a close, where nothing else could tell it."""
        dropped = did == SetModem(dtr=False, rts=False)
        silent = self.chip.interrupt_in is None and not self.pending.into
        return self._use(False) if dropped and silent else []

    def _transfer(self, command: Submit) -> list[Event]:
        pending = self.pending
        if len(pending.into) + len(pending.interrupts) + len(pending.out) >= TRANSFERS_MAX:
            raise ValueError(f"more than {TRANSFERS_MAX} transfers at the same time")
        if not command.into and command.endpoint == self.chip.bulk_out:
            if not command.data:
                self._output.append(completed(command.number))
                return []
            pending.out[command.number] = len(command.data)
            return [Written(command.number, command.data)]
        if command.into and command.endpoint == self.chip.interrupt_in:
            pending.interrupts.append((command.number, command.length))
        elif command.into and command.endpoint == self.chip.bulk_in:
            pending.into.append((command.number, command.length))
        else:
            self._output.append(stalled(command.number))
            return []
        events = self._use(True)
        self._bring()
        return events

    def _unlink(self, command: Unlink) -> list[Event]:
        pending = self.pending
        was_out = pending.out.pop(command.victim, None) is not None
        was_in = _remove(pending.into, command.victim) or _remove(
            pending.interrupts, command.victim
        )
        self._output.append(unlinked(command.number, pending=was_out or was_in))
        if was_out:
            return [Cancelled(command.victim)]
        return [] if pending.into or pending.interrupts else self._use(False)

    def _use(self, in_use: bool) -> list[Event]:
        if in_use is self.pending.in_use:
            return []
        self.pending.in_use = in_use
        if not in_use:
            self.drop()
        elif self.chip.interrupt_in is None and not self.pending.states:
            # A driver without an interrupt endpoint knows of no lines before the first packet.
            self.pending.states.append(self.chip.lines)
        return [InUse(in_use)]

    # --- transfers into the host ----------------------------------------------------------------

    def _bring(self) -> None:
        """Complete what can be completed."""
        interrupted = self.chip.interrupt_in is not None
        while True:
            moved = self._tell_states() if interrupted else False
            moved = self._take_fault(interrupted) or moved
            if self.pending.into and (interrupted or self.pending.states or self.waiting):
                moved = self._bring_one(interrupted) or moved
            if not moved:
                return

    def _tell_states(self) -> bool:
        pending = self.pending
        if not (pending.states and pending.interrupts):
            return False
        fault = pending.fault if pending.fault_told else NO_FAULT
        self._interrupt(pending.states.popleft(), fault)
        return True

    def _take_fault(self, interrupted: bool) -> bool:
        """Make the fault at the head that of the next character, and tell it where it is told."""
        pending = self.pending
        moved = False
        while pending.waiting and isinstance(head := pending.waiting[0], LineFault):
            if pending.fault != NO_FAULT and not self.chip.marks_faults:
                break  # one after the other: each is counted
            pending.waiting.popleft()
            pending.fault = _both(pending.fault, head)
            pending.fault_told = False
            moved = True
        if pending.fault == NO_FAULT or pending.fault_told:
            return moved
        if not interrupted:
            pending.fault_told = True
        elif pending.interrupts and not pending.states:
            pending.fault_told = True
            self._interrupt(self.chip.lines, pending.fault)
            moved = True
        return moved

    def _interrupt(self, lines: ModemLines, fault: LineFault) -> None:
        number, size = self.pending.interrupts.popleft()
        self._output.append(completed(number, self.chip.notice(lines, fault)[:size]))
        if fault != NO_FAULT and not self.chip.marks_faults:
            self.pending.fault = NO_FAULT  # counted, and belongs to no character

    def _bring_one(self, interrupted: bool) -> bool:
        """Complete one transfer with data, with a state, or not at all."""
        pending = self.pending
        if not interrupted and pending.states:
            data, fault, lines = b"", NO_FAULT, pending.states.popleft()
        elif not self.waiting or (pending.fault != NO_FAULT and not pending.fault_told):
            return False
        else:
            data, fault, lines = self._gather(pending.into[0][1]), pending.fault, self.chip.lines
            if fault != NO_FAULT:
                data = data[:1]
        number, room = pending.into.popleft()
        payload, taken = self.chip.frame(data, room, lines, fault)
        self._output.append(completed(number, payload))
        self._took(taken)
        return True

    def _gather(self, limit: int) -> bytes:
        """Return data up to the next fault, at most ``limit`` bytes of it."""
        data = b""
        for piece in self.pending.waiting:
            if isinstance(piece, LineFault) or len(data) >= limit:
                break
            data += piece[: limit - len(data)]
        return data

    def _took(self, count: int) -> None:
        pending = self.pending
        if count:
            pending.fault, pending.fault_told = NO_FAULT, False
        self.waiting -= count
        self.fetched += count
        while count:
            piece = pending.waiting.popleft()
            assert isinstance(piece, bytes)
            if len(piece) > count:
                pending.waiting.appendleft(piece[count:])
            count -= min(count, len(piece))


def _remove(transfers: deque[tuple[int, int]], number: int) -> bool:
    for transfer in transfers:
        if transfer[0] == number:
            transfers.remove(transfer)
            return True
    return False


def _both(first: LineFault, second: LineFault) -> LineFault:
    return LineFault(
        first.overrun or second.overrun,
        first.parity or second.parity,
        first.framing or second.framing,
        first.break_received or second.break_received,
    )
