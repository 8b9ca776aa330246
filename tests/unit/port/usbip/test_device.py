"""An adapter against a model of its driver, for each chip there is."""

from __future__ import annotations

import random
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.line import (
    DATA_BITS,
    FlowControl,
    LineChange,
    LineFault,
    LineSettings,
    ModemLines,
    Parity,
    SetBreak,
    SetModem,
    StopBits,
)
from portline.port.usbip.chip import TransmitterAsked
from portline.port.usbip.chips import CHIPS, make_chip
from portline.port.usbip.device import (
    STATES_MAX,
    TRANSFERS_MAX,
    WAITING_MAX,
    Cancelled,
    Device,
    Event,
    InUse,
    Written,
)
from tests.usb_host import DRIVERS, Driver

SETTINGS = st.builds(
    LineSettings,
    st.sampled_from([300, 9600, 19200, 57600, 115200, 250000, 921600, 12345, 1_000_000]),
    st.sampled_from(DATA_BITS),
    st.sampled_from(Parity),
    st.sampled_from(StopBits),
    st.sampled_from(FlowControl),
)

ADAPTERS = pytest.mark.parametrize("adapter", CHIPS)
MARKING = pytest.mark.parametrize("adapter", [n for n, chip in CHIPS.items() if chip.marks_faults])


class Bench:
    """A device and its driver, joined; ``events`` is what the device has told."""

    def __init__(self, adapter: str) -> None:
        self.device = Device(make_chip(adapter, "/dev/plc"))
        self.driver: Driver = DRIVERS[adapter]()
        self.host = self.driver.host
        self.events: list[Event] = []

    def settle(self, *, completing: bool = True) -> None:
        """Let both talk until nothing moves."""
        while True:
            self.driver.look()
            output = self.host.take_output()
            if output:
                for event in self.device.feed(output):
                    self.events.append(event)
                    if completing and isinstance(event, Written):
                        for number in list(self.device.pending.out):  # in order, as a line does
                            self.device.complete(number)
            answer = self.device.output()
            self.host.feed(answer)
            if not output and not answer:
                return

    def take(self) -> list[Event]:
        events, self.events = self.events, []
        return events

    def open(self) -> None:
        self.driver.open()
        self.settle()
        self.events.clear()

    @property
    def written(self) -> bytes:
        return b"".join(event.data for event in self.events if isinstance(event, Written))


# --- the kernel gets to know it -------------------------------------------------------------------


@ADAPTERS
def test_the_kernel_gets_to_know_it(adapter: str) -> None:
    bench = Bench(adapter)
    host = bench.host
    short = host.request(0x80, 6, 0x0100, 0, length=8)
    whole = host.request(0x80, 6, 0x0100, 0, length=18)
    head = host.request(0x80, 6, 0x0200, 0, length=9)
    configuration = host.request(0x80, 6, 0x0200, 0, length=255)
    qualifier = host.request(0x80, 6, 0x0600, 0, length=10)
    language = host.request(0x80, 6, 0x0300, 0, length=255)
    strings = [host.request(0x80, 6, 0x0300 | n, 0x409, length=255) for n in (1, 2, 3, 4)]
    chosen = host.request(0x00, 9, 1, 0)
    unknown = host.request(0x80, 0x33, 0, 0, length=2)
    bench.settle()
    results = host.results
    assert results[whole].data[:8] == results[short].data
    assert len(results[whole].data) == results[whole].data[0] == 18
    size = struct.unpack_from("<H", results[head].data, 2)[0]
    assert len(results[configuration].data) == size
    parts = results[configuration].data
    walked = 0
    while walked < len(parts):
        walked += parts[walked]
    assert walked == size
    assert results[qualifier].status == results[unknown].status == -32
    assert results[language].data == b"\x04\x03\x09\x04"
    assert results[chosen].status == 0
    texts = [results[n].data[2:].decode("utf-16-le") for n in strings[:3]]
    assert texts == ["Portline", "virtual port plc", "plc"]
    assert results[strings[3]].status == -32


# --- open and close -------------------------------------------------------------------------------


@ADAPTERS
def test_opening_and_closing_are_told_once(adapter: str) -> None:
    bench = Bench(adapter)
    for _ in range(3):
        bench.driver.open()
        bench.settle()
        assert bench.take() == [InUse(True), SetModem(dtr=True, rts=True)]
        bench.driver.close()
        bench.settle()
        assert bench.take() == [SetModem(dtr=False, rts=False), InUse(False)]
        assert not bench.device.in_use


@ADAPTERS
def test_a_throttled_port_is_still_open_and_can_be_closed(adapter: str) -> None:
    bench = Bench(adapter)
    bench.open()
    bench.driver.throttled = True
    while bench.driver.into:
        bench.device.give(b"x")
        bench.settle()
    assert bench.device.in_use
    assert bench.take() == []
    bench.driver.close()
    bench.settle()
    assert InUse(False) in bench.take()


# --- what an application sets ---------------------------------------------------------------------


@ADAPTERS
@given(settings=SETTINGS)
def test_settings_arrive_as_the_application_made_them(adapter: str, settings: LineSettings) -> None:
    bench = Bench(adapter)
    bench.open()
    if adapter == "ftdi":
        settings = replace(settings, data_bits=max(7, settings.data_bits))
    bench.driver.set(settings)
    bench.settle()
    if adapter == "cdc-acm":
        settings = replace(settings, flow_control=FlowControl.NONE)
    assert bench.device.chip.settings == settings
    changes = [event for event in bench.take() if isinstance(event, LineChange)]
    assert settings == (changes[-1].settings if changes else LineSettings())
    bench.driver.set(settings)
    bench.settle()
    assert bench.take() == []


@ADAPTERS
def test_outputs_and_breaks_are_told_once_each(adapter: str) -> None:
    bench = Bench(adapter)
    bench.open()
    for dtr, rts in [(True, False), (False, False), (False, True), (False, True)]:
        bench.driver.drive(dtr=dtr, rts=rts)
    for on in (True, True, False):
        bench.driver.hold_break(on)
    bench.settle()
    assert bench.take() == [
        SetModem(dtr=True, rts=False),
        SetModem(dtr=False, rts=False),
        SetModem(dtr=False, rts=True),
        SetBreak(True),
        SetBreak(False),
    ]


@ADAPTERS
def test_impossible_settings_are_refused(adapter: str) -> None:
    bench = Bench(adapter)
    bench.open()
    if adapter == "ftdi":
        odd = [bench.host.request(0x40, 4, value, 0) for value in (5, 9, 8 | 7 << 8, 8 | 3 << 11)]
    else:
        odd = [
            bench.host.request(0x21, 0x20, 0, 0, data)
            for data in (b"", b"\0" * 6, b"\0" * 8, struct.pack("<IBBB", 9600, 3, 0, 8))
        ]
    bench.settle()
    assert {bench.host.results[number].status for number in odd} == {-32}
    assert bench.take() == []


def test_ftdi_takes_5_bits_for_8_as_the_chip_does() -> None:
    bench = Bench("ftdi")
    bench.open()
    bench.host.request(0x40, 4, 7, 0)
    bench.host.request(0x40, 4, 0, 0)
    bench.settle()
    bits = [each.settings.data_bits for each in bench.take() if isinstance(each, LineChange)]
    assert bits == [7, 8]


# --- data -----------------------------------------------------------------------------------------


@ADAPTERS
def test_data_passes_unchanged_both_ways(adapter: str) -> None:
    bench = Bench(adapter)
    bench.open()
    there, back = random.Random(1).randbytes(20_000), random.Random(2).randbytes(20_000)
    bench.driver.write(back)
    rest = there
    while rest:
        assert bench.device.wants
        bench.device.give(rest[:700])
        rest = rest[700:]
        bench.settle()
    assert bench.driver.received == there
    assert bench.written == back
    assert bench.device.fetched == len(there)
    assert bench.device.waiting == 0
    assert bench.driver.drained


@ADAPTERS
def test_nothing_more_is_wanted_while_the_driver_fetches_nothing(adapter: str) -> None:
    bench = Bench(adapter)
    bench.open()
    bench.driver.throttled = True
    given = b""
    while bench.device.wants:
        given += b"0123456789" * 10
        bench.device.give(b"0123456789" * 10)
        bench.settle()
    assert WAITING_MAX <= bench.device.waiting < WAITING_MAX + 100
    bench.driver.throttled = False
    bench.settle()
    assert bench.driver.received == given


@ADAPTERS
def test_a_write_is_under_way_until_it_is_completed(adapter: str) -> None:
    bench = Bench(adapter)
    bench.open()
    bench.driver.write(b"a" * 10)
    bench.settle(completing=False)
    [event] = bench.take()
    assert isinstance(event, Written)
    assert not bench.driver.drained
    bench.device.complete(event.number)
    bench.device.complete(event.number)
    bench.settle()
    assert bench.driver.drained


@ADAPTERS
def test_what_nobody_fetched_is_gone_with_the_application(adapter: str) -> None:
    bench = Bench(adapter)
    bench.open()
    bench.driver.throttled = True
    for _ in range(40):
        bench.device.give(b"old")
        bench.settle()
    before = bytes(bench.driver.received)
    bench.driver.close()
    bench.settle()
    bench.driver.throttled = False
    bench.open()
    bench.device.give(b"new")
    bench.settle()
    assert bench.driver.received == before + b"new"


# --- lines and faults -----------------------------------------------------------------------------


def _seen(adapter: str, lines: ModemLines) -> ModemLines:
    return replace(lines, cts=False) if adapter == "cdc-acm" else lines


@ADAPTERS
def test_each_state_of_the_lines_is_told_in_its_turn(adapter: str) -> None:
    bench = Bench(adapter)
    bench.open()
    bench.driver.states.clear()
    states = [
        ModemLines(dsr=True, cts=True),
        ModemLines(dsr=True, cts=True, ri=True),
        ModemLines(cts=True),
        ModemLines(dcd=True),
    ]
    for state in states:
        bench.device.drive(state)
        bench.device.drive(state)
    bench.settle()
    assert bench.driver.states == [_seen(adapter, state) for state in states]


@ADAPTERS
def test_lines_that_move_while_nobody_looks_end_in_the_last_state(adapter: str) -> None:
    bench = Bench(adapter)
    for number in range(5 * STATES_MAX):
        bench.device.drive(ModemLines(ri=number % 2 == 0, dsr=True))
    last = ModemLines(dcd=True, dsr=True)
    bench.device.drive(last)
    assert len(bench.device.pending.states) == STATES_MAX
    bench.open()
    assert bench.driver.lines == last


@MARKING
def test_a_fault_marks_the_next_character_and_no_other(adapter: str) -> None:
    bench = Bench(adapter)
    bench.open()
    bench.device.give(b"before")
    bench.device.fault(LineFault(parity=True))
    bench.device.give(b"Xafter")
    bench.settle()
    assert bench.driver.received == b"beforeXafter"
    [(bits, marked)] = bench.driver.marked
    assert marked == b"X"
    assert bits == {"pl2303": 0x20, "ftdi": 0x04}[adapter]


@MARKING
def test_a_break_is_a_character_of_its_own(adapter: str) -> None:
    bench = Bench(adapter)
    bench.open()
    bench.device.fault(LineFault(break_received=True))
    bench.device.give(b"after")
    bench.settle()
    assert bench.driver.received == b"\0after"
    assert [marked for _, marked in bench.driver.marked] == [b"\0"]


@MARKING
def test_a_fault_outlives_a_change_of_the_lines(adapter: str) -> None:
    bench = Bench(adapter)
    bench.open()
    bench.device.fault(LineFault(framing=True))
    bench.settle()
    bench.device.drive(ModemLines(ri=True))
    bench.settle()
    bench.device.give(b"Xy")
    bench.settle()
    assert bench.driver.lines == ModemLines(ri=True)
    assert [marked for _, marked in bench.driver.marked] == [b"X"]


def test_the_class_counts_faults_without_marking() -> None:
    bench = Bench("cdc-acm")
    bench.open()
    bench.device.fault(LineFault(break_received=True, overrun=True))
    bench.device.give(b"data")
    bench.settle()
    assert bench.driver.received == b"data"
    assert bench.driver.marked[0][0] == 0x44


def test_two_faults_of_the_class_are_two() -> None:
    bench = Bench("cdc-acm")
    bench.open()
    told: list[int] = []
    bench.driver.noticed = lambda data: told.append(data[8] & 0x74)  # type: ignore[method-assign]
    bench.device.fault(LineFault(parity=True))
    bench.device.fault(LineFault(framing=True))
    bench.device.drive(ModemLines(dsr=True))
    bench.settle()
    assert sorted(told) == [0, 0x10, 0x20]


# --- the transmitter of the one that is asked -----------------------------------------------------


def test_ftdi_asks_for_the_transmitter() -> None:
    bench = Bench("ftdi")
    bench.open()
    bench.device.chip.transmitter_empty = False
    bench.driver.ask()  # type: ignore[attr-defined]  # this driver does
    bench.settle()
    [event] = bench.take()
    assert isinstance(event, TransmitterAsked)
    assert bench.driver.empty is False  # type: ignore[attr-defined]
    bench.device.chip.transmitter_empty = True
    bench.driver.ask()  # type: ignore[attr-defined]
    bench.settle()
    assert bench.driver.empty is True  # type: ignore[attr-defined]


# --- whatever comes -------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.none()),
        st.tuples(st.just("close"), st.none()),
        st.tuples(st.just("write"), st.binary(min_size=1, max_size=400)),
        st.tuples(st.just("give"), st.binary(min_size=1, max_size=400)),
        st.tuples(st.just("throttle"), st.booleans()),
        st.tuples(st.just("drive"), st.builds(ModemLines, st.booleans(), st.booleans())),
        st.tuples(st.just("fault"), st.builds(LineFault, st.booleans(), st.booleans())),
        st.tuples(st.just("set"), SETTINGS),
        st.tuples(st.just("settle"), st.booleans()),
    ),
    max_size=40,
)


@ADAPTERS
@given(steps=STEPS)
def test_every_transfer_ends_once_and_nothing_is_lost_while_it_is_open(
    adapter: str, steps: list
) -> None:
    """``Host.feed`` fails on a transfer that ends twice, or that was never begun."""
    bench = Bench(adapter)
    driver, device = bench.driver, bench.device
    wrote, gave = b"", b""
    whole = True
    for what, value in steps:
        match what:
            case "open" if not driver.opened:
                driver.open()
                bench.settle()
                driver.received.clear()
                wrote, gave, whole = b"", b"", True
                bench.events.clear()
            case "close" if driver.opened:
                driver.unsent.clear()
                driver.throttled = False
                driver.close()
                bench.settle()
                whole = False
            case "write" if driver.opened:
                driver.write(value)
                wrote += value
            case "give" if device.in_use and device.wants:
                device.give(value)
                gave += value
            case "throttle":
                driver.throttled = value
            case "drive":
                device.drive(value)
            case "fault" if device.in_use:
                device.fault(value)
            case "set" if driver.opened:
                driver.set(value)
            case "settle":
                bench.settle(completing=value)
    driver.throttled = False
    bench.settle()
    assert len(device.pending.states) <= STATES_MAX
    for number in list(device.pending.out):
        device.complete(number)
    bench.settle()
    for number in list(device.pending.out):
        device.complete(number)
    bench.settle()
    if driver.opened and whole:
        assert driver.received == gave
        assert driver.lines == _seen(adapter, device.chip.lines)
    assert device.in_use is driver.opened
    under_way = {*driver.into, *driver.notices, *driver.out}
    begun = set(bench.host._into)
    assert begun - set(bench.host.results) == under_way


@ADAPTERS
def test_a_driver_that_begins_without_end_is_refused(adapter: str) -> None:
    bench = Bench(adapter)
    for _ in range(TRANSFERS_MAX + 2):  # the first one brings FTDI's state
        bench.host.submit(bench.device.chip.bulk_in, into=True, length=64)
    with pytest.raises(ValueError, match="transfers at the same time"):
        bench.device.feed(bench.host.take_output())


@ADAPTERS
def test_a_write_that_is_taken_back_is_told(adapter: str) -> None:
    bench = Bench(adapter)
    bench.open()
    number = bench.host.submit(bench.device.chip.bulk_out, into=False, data=b"abc")
    bench.host.unlink(number)
    bench.settle(completing=False)
    assert bench.take() == [Written(number, b"abc"), Cancelled(number)]
    assert bench.host.unlinked == {number: -104}
    bench.device.complete(number)
    assert bench.device.output() == b""
