"""Finds out what an adapter was in the middle of when its process was killed.

Of the transfers that were begun, those without an answer are still under way.  Requests for
settings are told to the chip again, which keeps nothing else.  What the application wrote is passed
on unless the journal says that it was; a piece that was being passed on in that very moment is
passed on again.  What was on its way to the application, and the killed process had not sent, is
lost, and so are faults.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from portline.line import SetModem
from portline.port.usbip.chips import make_chip
from portline.port.usbip.descriptors import Setup, standard_answer
from portline.port.usbip.device import Pending
from portline.port.usbip.wire import (
    Submit,
    answered,
    completed,
    recorded,
    stalled,
    unlinked,
)

if TYPE_CHECKING:
    from portline.port.usbip.chip import Chip
    from portline.port.usbip.handover import Saved
    from portline.port.usbip.journal import Record
    from portline.port.usbip.wire import Unlink

__all__ = ["revived"]


def revived(saved: Saved, record: Record) -> Saved:
    """Return what ``saved`` has become by what is recorded after it.  Raises ValueError."""
    chip = make_chip(saved.adapter, saved.name)
    chip.settings, chip.dtr, chip.rts = saved.settings, saved.dtr, saved.rts
    chip.break_on, chip.registers = saved.break_on, dict(saved.registers)
    chip.lines = record.lines
    commands, rest = recorded(saved.rest + record.received)
    pending = saved.pending
    into = {number for number, _ in (*pending.into, *pending.interrupts)}
    into |= {each.number for each in commands if isinstance(each, Submit) and each.into}
    done, sent = answered(record.sent, into)
    replay = _Replay(chip, saved, done)
    for command in commands:
        if isinstance(command, Submit):
            replay.submit(command)
        else:
            replay.unlink(command)
    begun = saved.unsent + record.sent[:sent]
    unsent = begun[len(begun) - record.unsent :] if record.unsent else b""
    writes = replay.waiting(*record.passed)
    held = replay.hold({number for number, _ in writes})
    return replace(
        saved,
        lines=chip.lines,
        settings=chip.settings,
        dtr=chip.dtr,
        rts=chip.rts,
        break_on=chip.break_on,
        registers=chip.registers,
        rest=rest,
        pending=replay.pending,
        unsent=unsent + b"".join(replay.answers),
        writes=writes,
        held=held,
    )


class _Replay:
    """The transfers of one journal, in the order in which they were begun.

    ``done`` are the numbers of those that were answered, later or at once.
    """

    def __init__(self, chip: Chip, saved: Saved, done: set[int]) -> None:
        before = saved.pending
        self.pending = Pending(
            deque(each for each in before.into if each[0] not in done),
            deque(each for each in before.interrupts if each[0] not in done),
            {number: size for number, size in before.out.items() if number not in done},
            # What the driver knows of the lines is not known: it is told, maybe again.
            states=deque([chip.lines]),
            in_use=before.in_use,
        )
        self.answers: list[bytes] = []
        self._chip = chip
        self._done = done
        self._writes = list(saved.writes)

    def submit(self, command: Submit) -> None:
        """Note a transfer that was begun."""
        number, chip, pending = command.number, self._chip, self.pending
        if command.endpoint == 0:
            self._control(command)
        elif not command.into and command.endpoint == chip.bulk_out:
            if command.data:
                self._writes.append((number, command.data))
            if number not in self._done:
                pending.out[number] = len(command.data)
        elif command.into and command.endpoint in (chip.interrupt_in, chip.bulk_in):
            pending.in_use = True
            if number not in self._done:
                kind = pending.into if command.endpoint == chip.bulk_in else pending.interrupts
                kind.append((number, command.length))
        elif number not in self._done:
            self.answers.append(stalled(number))

    def _control(self, command: Submit) -> None:
        setup, chip = Setup.parse(command.setup), self._chip
        if setup.standard:
            answer = standard_answer(setup, chip.descriptors)
        else:
            answer, did = chip.request(setup, command.data)
            silent = chip.interrupt_in is None and not self.pending.into
            if silent and SetModem(dtr=False, rts=False) in did:
                self.pending.in_use = False
        if command.number in self._done:
            return
        if answer is None:
            self.answers.append(stalled(command.number))
        elif command.into:
            self.answers.append(completed(command.number, answer[: command.length]))
        else:
            self.answers.append(completed(command.number, length=len(command.data)))

    def unlink(self, command: Unlink) -> None:
        """Note that the kernel has ended a transfer."""
        pending, victim = self.pending, command.victim
        was_out = pending.out.pop(victim, None) is not None
        before = len(pending.into) + len(pending.interrupts)
        pending.into = deque(each for each in pending.into if each[0] != victim)
        pending.interrupts = deque(each for each in pending.interrupts if each[0] != victim)
        left = len(pending.into) + len(pending.interrupts)
        if was_out:
            self._writes = [each for each in self._writes if each[0] != victim]
        elif not left:
            pending.in_use = False
        if command.number not in self._done:
            self.answers.append(unlinked(command.number, pending=was_out or left < before))

    def waiting(self, number: int, offset: int) -> tuple[tuple[int, bytes], ...]:
        """Return what was not passed on, by transfer."""
        begun = [each for each, _ in self._writes]
        writes = self._writes[begun.index(number) + 1 :] if number in begun else self._writes
        if writes and offset:
            writes = [(writes[0][0], writes[0][1][offset:]), *writes[1:]]
        return tuple(each for each in writes if each[1])

    def hold(self, waiting: set[int]) -> int | None:
        """Return the last transfer whose data was passed on; those before it are over."""
        held = [number for number in self.pending.out if number not in waiting]
        for number in held[:-1] if not waiting else held:
            self.answers.append(completed(number, length=self.pending.out.pop(number)))
        return held[-1] if held and not waiting else None
