"""RS-485, low latency and counters of a driver that the test plays."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from portline.errors import SettingRefused
from portline.port.hardware import DriverCounters, hardware_of
from portline.port.tty import latency
from portline.port.tty.features import Features
from portline.port.tty.rs485 import Rs485, Rs485Mode
from tests.unit.port.driver import Driver

PORT = "/dev/ttyNONE0"
LOW_LATENCY = 1 << 13


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    return Driver(999, monkeypatch)


def engage(features: Features, driver: Driver, *, has_rts: bool = True):  # type: ignore[no-untyped-def]
    return features.engage(PORT, driver.fd, PORT, has_rts=has_rts)


@pytest.mark.parametrize(
    ("rs485", "flags", "before", "after"),
    [
        (Rs485(), 0b00011, 0, 0),
        (Rs485(rts_on_send=False), 0b00101, 0, 0),
        (Rs485(rx_during_tx=True), 0b10011, 0, 0),
        (Rs485(before=0.003, after=0.1), 0b00011, 3, 100),
    ],
)
def test_the_driver_switches_and_is_put_back(
    driver: Driver, rs485: Rs485, flags: int, before: int, after: int
) -> None:
    found = driver.rs485
    engaged = engage(Features(rs485), driver)
    assert struct.unpack("=8I", driver.rs485)[:4] == (flags, before, after, 7)
    assert (engaged.modes, engaged.software) == (("RS-485 (driver)",), None)
    engaged.release()
    assert driver.rs485 == found


def test_without_such_a_driver_portline_switches(driver: Driver) -> None:
    driver.refuses = {"TIOCGRS485"}
    engaged = engage(Features(Rs485()), driver)
    assert (engaged.modes, engaged.software) == (("RS-485 (software)",), Rs485())
    driver.refuses = set()
    driver.keeps = 0  # a driver that takes it and forgets it
    assert engage(Features(Rs485()), driver).software == Rs485()
    software = Rs485(Rs485Mode.SOFTWARE)
    driver.keeps = 0xFF
    assert engage(Features(software), driver).software == software
    assert struct.unpack("=8I", driver.rs485)[0] == 0


def test_without_rts_nobody_can_switch(driver: Driver) -> None:
    driver.refuses = {"TIOCSRS485"}
    with pytest.raises(SettingRefused, match="nor has the port an RTS"):
        engage(Features(Rs485()), driver, has_rts=False)


@pytest.mark.parametrize(
    ("rs485", "option"),
    [
        (Rs485(before=0.001), "rs485-delay-before"),
        (Rs485(after=0.001), "rs485-delay-after"),
        (Rs485(rts_on_send=False), "rs485-rts-on-send"),
        (Rs485(rx_during_tx=True), "rs485-rx-during-tx"),
    ],
)
def test_what_the_driver_does_not_do_exactly_is_refused(
    driver: Driver, rs485: Rs485, option: str
) -> None:
    driver.delays = False
    driver.keeps = 0b00011
    found = driver.rs485
    with pytest.raises(SettingRefused, match=f"not {option} like this; leave it out") as caught:
        engage(Features(rs485), driver)
    assert caught.value.setting == option
    assert driver.rs485 == found


def test_low_latency_is_a_flag_that_is_put_back(driver: Driver) -> None:
    before = bytes(driver.serial)
    engaged = engage(Features(low_latency=True), driver)
    assert driver.flags == 0x40 | LOW_LATENCY
    assert driver.serial[:16] + driver.serial[20:] == before[:16] + before[20:]
    assert engaged.modes == ("low latency",)
    engaged.release()
    assert driver.flags == 0x40
    driver.serial = bytearray(struct.pack("iiIii", 4, 1, 0, 4, LOW_LATENCY)) + bytes(108)
    engage(Features(low_latency=True), driver).release()
    assert driver.flags == LOW_LATENCY  # somebody else's


def test_the_timer_of_an_ftdi_chip(driver: Driver, tmp_path: Path) -> None:
    driver.refuses = {"TIOCSSERIAL"}
    file = tmp_path / "ttyUSB7/device/latency_timer"
    file.parent.mkdir(parents=True)
    for before in (16, 1):
        file.write_text(f"{before}\n")
        undo = latency.engage(PORT, driver.fd, "/dev/ttyUSB7", tmp_path)
        assert int(file.read_text()) == 1
        undo()
        assert int(file.read_text()) == before


def test_a_driver_that_forgets_the_flag_has_no_low_latency(driver: Driver) -> None:
    driver.remembers = False
    with pytest.raises(SettingRefused, match=r"no low latency .*; leave low-latency out"):
        engage(Features(low_latency=True), driver)


def test_a_refusal_leaves_nothing_switched_on(driver: Driver) -> None:
    driver.refuses = {"TIOCGSERIAL"}
    found = driver.rs485
    with pytest.raises(SettingRefused, match="low-latency"):
        engage(Features(Rs485(), low_latency=True), driver)
    assert driver.rs485 == found


def test_a_device_that_is_gone_is_not_put_back(driver: Driver) -> None:
    engaged = engage(Features(Rs485(), low_latency=True), driver)
    driver.refuses = {"TIOCSRS485", "TIOCGSERIAL"}
    engaged.release()


def test_what_the_driver_tells(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "ttyUSB7/device").mkdir(parents=True)
    (tmp_path / "ttyUSB7/device/driver").symlink_to("/drivers/ftdi_sio")
    found = hardware_of(driver.fd, "/dev/ttyUSB7", ("x",), lines="waited for", ttys=tmp_path)
    assert (found.driver, found.features, found.lines) == ("ftdi_sio", ("x",), "waited for")
    assert found.counters == DriverCounters(104, 105, 106, 107, 108, 109, 110)
    driver.refuses = {"TIOCGICOUNT"}
    found = hardware_of(driver.fd, "/dev/ttyS9", (), lines="polled", ttys=tmp_path)
    assert (found.driver, found.lines, found.counters) == ("", "polled", None)


def test_a_pty_has_none_of_it() -> None:
    master, slave = os.openpty()
    assert Features(Rs485()).engage(PORT, slave, PORT, has_rts=True).software is not None
    with pytest.raises(SettingRefused):
        Features(low_latency=True).engage(PORT, slave, PORT, has_rts=True)
    assert hardware_of(slave, PORT, (), lines="none").counters is None
    os.close(master)
    os.close(slave)
