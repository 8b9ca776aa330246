"""An adapter that is plugged in: the socket, the chip, and both ways through it.

Made anew (:func:`plug_in`), or taken over from another process in the middle of everything
(:func:`resume`).  While there is a shelf, everything is written into a journal on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from portline.errors import PortError
from portline.line import ModemLines
from portline.port.outlet import Line, Outlet
from portline.port.pty.strict import StrictOutlet
from portline.port.usbip.chips import IDENTITIES, make_chip
from portline.port.usbip.device import Device
from portline.port.usbip.handover import Handover, save
from portline.port.usbip.intake import Intake, IntakeOwner
from portline.port.usbip.journal import Journal
from portline.port.usbip.plug import Plug, PlugOwner, pair
from portline.port.usbip.supply import Supply, pipe

if TYPE_CHECKING:
    import asyncio
    import socket

    from portline.line import LineSettings
    from portline.port.outlet import Done
    from portline.port.shelf import Shelf
    from portline.port.usbip.vhci import Controller

__all__ = ["Wiring", "WiringOwner", "plug_in", "resume"]


class WiringOwner(PlugOwner, IntakeOwner, Line, Protocol):
    """The port at our end of an adapter."""

    name: str
    adapter: str
    shelf: Shelf | None

    @property
    def path(self) -> str | None:
        """Where applications find the terminal."""

    @property
    def node(self) -> str | None:
        """The terminal as the kernel calls it."""


class Wiring:
    """What there is while an adapter is plugged in.

    ``slot`` is the controller's port; ``waiting`` and ``held`` are those of an intake.
    """

    def __init__(
        self,
        owner: WiringOwner,
        loop: asyncio.AbstractEventLoop,
        device: Device,
        connected: socket.socket,
        ends: tuple[int, int],
        slot: int,
        *,
        strict: LineSettings | None,
        unsent: bytes = b"",
        waiting: tuple[tuple[int, bytes], ...] = (),
        held: int | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.slot = slot
        self.device = device
        self._owner = owner
        self._journal = journal
        self.plug = Plug(owner, device, connected, loop, unsent, journal, self.checkpoint)
        self.supply = Supply(self.plug, ends, loop)
        time = None if strict is None else strict.character_time
        self.outlet: Outlet = (
            Outlet(owner, self.supply.fd, loop)
            if time is None
            else StrictOutlet(owner, self.supply.fd, loop, time)
        )
        self.intake = Intake(
            owner,
            loop,
            character_time=time,
            asked=device.chip.asks_transmitter,
            waiting=waiting,
            held=held,
            note=(lambda number, offset: None) if journal is None else journal.passed,
        )
        self.checkpoint()
        loop.call_soon(self.intake.run)

    def set_character_time(self, seconds: float) -> None:
        """Go on at another speed, where that matters."""
        if isinstance(self.outlet, StrictOutlet):
            self.outlet.set_character_time(seconds)
            self.intake.set_character_time(seconds)

    def show_transmitter(self) -> None:
        """Have the driver that asks for the transmitter see what is known of it."""
        self.device.chip.transmitter_empty = self.intake.empty

    def drop(self) -> int:
        """Throw away what the application has not fetched; return how many bytes."""
        return self.device.drop() + self.supply.drop()

    def drive(self, lines: ModemLines) -> None:
        """Have the application read these lines."""
        self.device.drive(lines)
        if self._journal is not None:
            self._journal.lines(lines)
        self.plug.flush()

    def close(self) -> list[Done]:
        """Unplug; return the ``done`` of each request that waited, in order."""
        self._owner.discarded += self.drop()
        waiting = self._let_go()
        self.plug.close()
        if self._owner.shelf is not None:
            self._owner.shelf.forget()
        return waiting

    def checkpoint(self, kept: bytes = b"") -> None:
        """Write down how everything is, while there is a journal.

        Raises ValueError when that is too much.
        """
        journal, shelf = self._journal, self._owner.shelf
        self.plug.flush()
        if journal is None or shelf is None:
            return
        saved = save(
            self.device,
            name=self._owner.name,
            adapter=self._owner.adapter,
            slot=self.slot,
            path=self._owner.path,
            node=self._owner.node,
            unsent=self.plug.unsent,
            writes=self.intake.waiting,
            held=self.intake.held,
            kept=kept,
        )
        journal.checkpoint(saved.to_json(), unsent=len(saved.unsent), lines=self.device.chip.lines)
        self.intake.begin_notes()

    def prepare_to_leave(self, kept: bytes) -> None:
        """Write everything down for another process; ``kept`` was written and nobody heard it.

        Raises ValueError when that is too much; nothing was changed then.
        """
        self.supply.fill()
        self.device.give(self.outlet.leftover())
        self.checkpoint(kept)

    def leave(self) -> list[Done]:
        """Let go without unplugging; return as ``close`` does."""
        waiting = self._let_go()
        self.plug.release()
        return waiting

    def _let_go(self) -> list[Done]:
        waiting = self.outlet.close()
        self.intake.close()
        self.supply.close()
        if self._journal is not None:
            self._journal.close()
        return waiting


def plug_in(
    owner: WiringOwner,
    controller: Controller,
    inputs: ModemLines,
    loop: asyncio.AbstractEventLoop,
    *,
    strict: LineSettings | None,
) -> Wiring:
    """Plug an adapter in whose application reads ``inputs``; ``strict`` holds it to their speed.

    Raises PortError, and leaves nothing.
    """
    chip = make_chip(owner.adapter, owner.name)
    controller.prepare(owner.name, chip, IDENTITIES[owner.adapter])
    chip.lines = inputs
    device = Device(chip)
    if inputs != ModemLines():
        device.pending.states.append(inputs)  # the driver begins with none
    try:
        ours, kernels = pair()
    except OSError as error:
        raise PortError(owner.name, f"no socket: {error.strerror}") from error
    journal = None
    try:
        if owner.shelf is not None:
            journal = _journal(owner.name)
        with kernels:
            slot = controller.attach(owner.name, kernels)
        ends = _pipe(owner.name)
    except BaseException:
        ours.close()
        if journal is not None:
            journal.close()
        raise
    if owner.shelf is not None and journal is not None:
        owner.shelf.keep((ours.fileno(), journal.descriptor))
    return Wiring(owner, loop, device, ours, ends, slot, strict=strict, journal=journal)


def resume(
    owner: WiringOwner, handover: Handover, loop: asyncio.AbstractEventLoop, *, strict: bool
) -> Wiring:
    """Go on where another process has stopped.  Raises PortError."""
    saved = handover.saved
    ends = _pipe(owner.name)
    if owner.shelf is not None:
        owner.shelf.keep((handover.socket.fileno(), handover.journal.descriptor))
    chip = make_chip(saved.adapter, owner.name)
    chip.settings, chip.lines = saved.settings, saved.lines
    chip.dtr, chip.rts, chip.break_on = saved.dtr, saved.rts, saved.break_on
    chip.registers = dict(saved.registers)
    return Wiring(
        owner,
        loop,
        Device(chip, saved.pending, saved.rest),
        handover.socket,
        ends,
        saved.slot,
        strict=saved.settings if strict else None,
        unsent=saved.unsent,
        waiting=saved.writes,
        held=saved.held,
        journal=handover.journal,
    )


def _journal(name: str) -> Journal:
    try:
        return Journal.create()
    except OSError as error:
        raise PortError(name, f"no memory for a journal: {error.strerror}") from error


def _pipe(name: str) -> tuple[int, int]:
    try:
        return pipe()
    except OSError as error:
        raise PortError(name, f"no pipe: {error.strerror}") from error
