"""Which backend is taken, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portline.port import ladder
from portline.port.base import Ability
from portline.port.ladder import LADDER, Adapter, Backend, choose


@pytest.fixture
def possible(monkeypatch: pytest.MonkeyPatch) -> dict[Backend, str]:
    """Return the obstacles of the rungs, which the test may change."""
    obstacles = {rung.backend: "" for rung in LADDER}
    rungs = tuple(
        replace(rung, obstacle=lambda _adapter, backend=rung.backend: obstacles[backend])
        for rung in LADDER
    )
    monkeypatch.setattr(ladder, "LADDER", rungs)
    return obstacles


def test_auto_takes_the_best_that_is_possible(possible: dict[Backend, str]) -> None:
    choice = choose(Backend.AUTO, Adapter.PL2303)
    assert (choice.rung.backend, choice.why) == (Backend.USBIP, "the best there is")


def test_auto_tells_what_it_passed_over(possible: dict[Backend, str]) -> None:
    possible[Backend.USBIP] = "the module is missing; load it"
    choice = choose(Backend.AUTO, Adapter.PL2303)
    assert choice.rung.backend is Backend.CUSE
    assert choice.why == "not usbip: the module is missing; load it"
    possible[Backend.CUSE] = "not for this user"
    choice = choose(Backend.AUTO, Adapter.PL2303)
    assert choice.rung.backend is Backend.PTY
    assert choice.why == "not usbip: the module is missing; load it; not cuse: not for this user"


@pytest.mark.parametrize("backend", [Backend.USBIP, Backend.CUSE, Backend.PTY])
def test_what_is_asked_for_is_taken_whatever_is_in_the_way(
    possible: dict[Backend, str], backend: Backend
) -> None:
    possible[Backend.USBIP] = "the module is missing; load it"
    assert choose(backend, Adapter.FTDI).rung.backend is backend


def test_the_last_rung_is_always_possible() -> None:
    assert {LADDER[-1].obstacle(adapter) for adapter in Adapter} == {""}


def test_what_the_adapters_lack() -> None:
    usbip = next(rung for rung in LADDER if rung.backend is Backend.USBIP)
    lacks = {a: set(Ability) - usbip.capabilities(a).abilities for a in Adapter}
    assert lacks == {
        Adapter.PL2303: set(),
        Adapter.FTDI: {Ability.EVERY_FORMAT},
        Adapter.CDC_ACM: {Ability.FLOW_CONTROL, Ability.CTS, Ability.FAULTS},
    }
    assert str(usbip.capabilities(Adapter.FTDI)).startswith("usbip (ftdi): any baudrate, parity")
