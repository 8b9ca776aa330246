"""An adapter that is plugged in: the socket, the chip, and both ways through it.

Made anew (:func:`plug_in`), or taken over from another process in the middle of everything
(:func:`resume`).
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
from portline.port.usbip.plug import Plug, PlugOwner, pair
from portline.port.usbip.supply import Supply, pipe

if TYPE_CHECKING:
    import asyncio
    import socket

    from portline.line import LineSettings
    from portline.port.outlet import Done
    from portline.port.usbip.vhci import Controller

__all__ = ["Wiring", "WiringOwner", "plug_in", "resume"]


class WiringOwner(PlugOwner, IntakeOwner, Line, Protocol):
    """The port at our end of an adapter."""

    name: str


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
    ) -> None:
        self.slot = slot
        self.device = device
        self.plug = Plug(owner, device, connected, loop, unsent)
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
        )
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

    def close(self) -> list[Done]:
        """Unplug; return the ``done`` of each request that waited, in order."""
        waiting = self._let_go()
        self.plug.close()
        return waiting

    def release(self, adapter: str, node: str | None) -> tuple[Handover, list[Done]]:
        """Let go of the adapter without unplugging it; return what another process needs."""
        self.supply.fill()
        saved = save(adapter, self.slot, node, self.plug, self.intake)
        waiting = self._let_go()
        return Handover(saved, self.plug.release()), waiting

    def _let_go(self) -> list[Done]:
        waiting = self.outlet.close()
        self.intake.close()
        self.supply.close()
        return waiting


def plug_in(
    owner: WiringOwner,
    controller: Controller,
    adapter: str,
    inputs: ModemLines,
    loop: asyncio.AbstractEventLoop,
    *,
    strict: LineSettings | None,
) -> Wiring:
    """Plug an adapter in whose application reads ``inputs``; ``strict`` holds it to their speed.

    Raises PortError, and leaves nothing.
    """
    chip = make_chip(adapter, owner.name)
    controller.prepare(owner.name, chip, IDENTITIES[adapter])
    chip.lines = inputs
    device = Device(chip)
    if inputs != ModemLines():
        device.pending.states.append(inputs)  # the driver begins with none
    try:
        ours, kernels = pair()
    except OSError as error:
        raise PortError(owner.name, f"no socket: {error.strerror}") from error
    try:
        with kernels:
            slot = controller.attach(owner.name, kernels)
        ends = _pipe(owner.name)
    except BaseException:
        ours.close()
        raise
    return Wiring(owner, loop, device, ours, ends, slot, strict=strict)


def resume(
    owner: WiringOwner, handover: Handover, loop: asyncio.AbstractEventLoop, *, strict: bool
) -> Wiring:
    """Go on where another process has stopped.  Raises PortError."""
    saved = handover.saved
    ends = _pipe(owner.name)
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
    )


def _pipe(name: str) -> tuple[int, int]:
    try:
        return pipe()
    except OSError as error:
        raise PortError(name, f"no pipe: {error.strerror}") from error
