"""What a killed process was in the middle of follows from what has passed over its socket."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from portline.line import LineSettings, Parity, StopBits
from portline.port.usbip.chips import make_chip
from portline.port.usbip.device import Device, Written
from portline.port.usbip.handover import Saved, save
from portline.port.usbip.journal import Record
from portline.port.usbip.revival import revived
from tests.unit.port.usbip.test_device import ADAPTERS, STEPS
from tests.usb_host import DRIVERS, Driver

ZEROS = bytes(100)


class Process:
    """A device and its driver, with a record of what passes between them."""

    def __init__(self, adapter: str) -> None:
        self.adapter = adapter
        self.device = Device(make_chip(adapter, "/dev/plc"))
        self.driver: Driver = DRIVERS[adapter]()
        self.writes: list[tuple[int, bytes]] = []
        self.received = self.sent = b""
        self.checkpoint()

    def checkpoint(self) -> None:
        """Begin the record here."""
        self.saved = deepcopy(self.state())
        self.received = self.sent = b""

    def state(self) -> Saved:
        return save(
            self.device,
            name="/dev/plc",
            adapter=self.adapter,
            slot=0,
            path=None,
            node=None,
            unsent=b"",
            writes=tuple(each for each in self.writes if each[0] in self.device.pending.out),
            held=None,
            kept=b"",
        )

    def turn(self) -> bool:
        """Let each say what it has to say, once."""
        self.driver.look()
        output = self.driver.host.take_output()
        self.received += output
        self.writes += [
            (event.number, event.data)
            for event in self.device.feed(output)
            if isinstance(event, Written)
        ]
        return self.answer() or bool(output)

    def answer(self) -> bool:
        output = self.device.output()
        self.sent += output
        self.driver.host.feed(output)
        return bool(output)

    def settle(self) -> None:
        while self.turn():
            pass

    def complete(self, count: int) -> None:
        """Let the first writes have left."""
        for number in list(self.device.pending.out)[:count]:
            self.device.complete(number)
        self.answer()

    def revived(self) -> Saved:
        return revived(
            self.saved,
            Record(
                b"",
                0,
                (0, 0),
                self.device.chip.lines,
                self.received + ZEROS,
                self.sent + ZEROS,
            ),
        )

    def play(self, steps: list, checkpoint_at: int) -> None:  # type: ignore[type-arg]
        """Do what the steps say; between two of them everything may be written down."""
        driver, device = self.driver, self.device
        for index, (what, value) in enumerate(steps):
            if index == checkpoint_at:
                self.checkpoint()
            match what:
                case "open" if not driver.opened:
                    driver.open()
                    self.settle()
                case "close" if driver.opened:
                    driver.unsent.clear()
                    driver.throttled = False
                    driver.close()
                case "write" if driver.opened:
                    driver.write(value)
                case "give" if device.in_use and device.wants:
                    device.give(value)
                case "drive":
                    device.drive(value)
                case "set" if driver.opened:
                    driver.set(value)
                case "settle":
                    self.complete(1 + value)
            self.turn()


@ADAPTERS
@given(steps=STEPS, checkpoint_at=st.integers(0, 40))
def test_it_is_what_the_process_would_have_said(
    adapter: str,
    steps: list,  # type: ignore[type-arg]
    checkpoint_at: int,
) -> None:
    process = Process(adapter)
    process.play(steps, checkpoint_at)
    found, state = process.revived(), process.state()
    for name in ("settings", "lines", "dtr", "rts", "break_on", "registers", "rest"):
        assert getattr(found, name) == getattr(state, name), name
    for name in ("into", "interrupts", "out", "in_use"):
        assert getattr(found.pending, name) == getattr(state.pending, name), name
    assert found.unsent == b""  # everything was answered that can be
    # Nothing was passed on by what is recorded.
    assert [each for each in found.writes if each[0] in found.pending.out] == list(state.writes)


@ADAPTERS
@given(steps=STEPS)
def test_what_was_received_and_not_answered_is_answered_now(
    adapter: str,
    steps: list,  # type: ignore[type-arg]
) -> None:
    """Killed between the two: the host fails on an answer too many, and waits for one too few."""
    process = Process(adapter)
    process.play(steps, -1)
    driver = process.driver
    process.settle()
    if driver.opened:
        driver.set(LineSettings(57600, 7, Parity.EVEN, StopBits.TWO))
        driver.close()
    output = driver.host.take_output()
    process.received += output  # and nothing is answered any more
    found = process.revived()
    driver.host.feed(found.unsent)
    chip = make_chip(adapter, "/dev/plc")
    process.device = Device(chip, found.pending, found.rest)
    driver.look()
    assert not driver.host._victims
    assert set(driver.host._into) - set(driver.host.results) == {
        *(number for number, _ in found.pending.into),
        *(number for number, _ in found.pending.interrupts),
        *found.pending.out,
    }
    assert not found.pending.in_use
