from __future__ import annotations

import pytest

from portline.line import (
    BreakChange,
    LineChange,
    LineSettings,
    ModemChange,
    ModemLines,
    PortState,
    Report,
)
from portline.port.application import Application

UP = ModemLines(cts=True, dsr=True, dcd=True)
DOWN = ModemLines()


@pytest.fixture
def told() -> list[Report]:
    return []


@pytest.fixture
def application(told: list[Report]) -> Application:
    return Application(LineSettings(), told.append)


def opens(application: Application) -> None:
    application.there = True
    application.raise_outputs()


def test_opening_raises_the_outputs_and_closing_drops_them(
    application: Application, told: list[Report]
) -> None:
    opens(application)
    opens(application)
    assert told == [ModemChange(UP)]
    application.hold_break(True)
    application.goes()
    assert told[1:] == [BreakChange(True), BreakChange(False), ModemChange(DOWN)]


def test_what_it_drives_is_told_crossed_over(application: Application, told: list[Report]) -> None:
    opens(application)
    application.drive(rts=False)
    application.drive(rts=False)
    application.drive(dtr=False)
    assert told[1:] == [ModemChange(ModemLines(dsr=True, dcd=True)), ModemChange(DOWN)]


def test_a_rate_of_0_hangs_up_and_keeps_the_rate(
    application: Application, told: list[Report]
) -> None:
    opens(application)
    application.set(LineSettings(1200))
    application.set(LineSettings(0))
    application.set(LineSettings(0))
    assert application.settings == LineSettings(1200)
    application.set(LineSettings(1200))
    assert told[1:] == [
        LineChange(LineSettings(1200)),
        ModemChange(DOWN),
        ModemChange(UP),
    ]


def test_who_finds_a_rate_of_0_raises_nothing(application: Application, told: list[Report]) -> None:
    opens(application)
    application.set(LineSettings(0))
    application.goes()
    opens(application)
    assert told == [ModemChange(UP), ModemChange(DOWN)]
    application.goes()
    application.renewed()
    opens(application)
    assert told[2:] == [ModemChange(UP)]


def test_its_side_of_the_line(application: Application) -> None:
    opens(application)
    application.set(LineSettings(1200))
    application.drive(rts=False)
    application.hold_break(True)
    application.inputs = ModemLines(ri=True)
    assert application.state == PortState(
        LineSettings(1200), dtr=True, rts=False, break_on=True, lines=ModemLines(ri=True)
    )
