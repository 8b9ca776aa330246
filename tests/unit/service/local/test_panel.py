from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from portline.control.server import TIME_LIMIT
from portline.errors import PortAbsent, PortError, SettingRefused, UsageError
from portline.line import (
    Item,
    LineFault,
    LineSettings,
    ModemLines,
    Parity,
    PortState,
    Request,
    SendBreak,
    SetInputs,
    SetLine,
    SetModem,
    Told,
)
from portline.port.ladder import CUSE
from portline.port.tty.orders import BREAK_LIMIT
from portline.service.local import panel as module
from tests.conftest import Run
from tests.unit.service.conftest import Play, Stage
from tests.waiting import until


class Stubborn:
    """Lets a memory port do some rates only."""

    def __init__(self, stage: Stage, *rates: int) -> None:
        self.port, self.rates = stage.port, rates
        self.submit, stage.port.submit = stage.port.submit, self.judge  # type: ignore[method-assign]

    def judge(
        self, request: Request, done: Callable[[PortState], None] = lambda state: None
    ) -> None:
        if isinstance(request, SetLine) and request.baudrate not in (None, *self.rates):
            request = replace(request, baudrate=None)
        self.submit(request, done)


def test_lines_of_a_real_port_hold_until_something_else_decides(stage: Play, run: Run) -> None:
    async def scenario() -> None:
        async with stage(dtr_connected="low", rts_connected="leave") as made:
            panel = made.connection.panel
            assert panel.switches == ("dtr", "rts")
            made.happened()
            await panel.drive({"dtr": False, "rts": False})
            assert made.happened() == [SetModem(dtr=False, rts=False)]
            found = await panel.levels()
            assert (found["dtr"], found["rts"], found["cts"]) == (False, False, False)
            await made.peer()
            made.happened()
            await panel.drive({"dtr": True})
            assert made.port.state.dtr
            await panel.drive({"dtr": None, "rts": None})  # low while somebody is connected
            assert not made.port.state.dtr
            assert not made.port.state.rts
            assert made.happened()[-1] == SetModem(dtr=False)
            await panel.drive({})

    run(scenario())


def test_what_an_application_reads_is_held_until_its_rules_change(stage: Play, run: Run) -> None:
    async def scenario() -> None:
        async with stage(virtual="ttyV0", cts_connected="high", ri_connected="leave") as made:
            panel = made.connection.panel
            assert panel.switches == ("cts", "dsr", "dcd", "ri")
            assert "portline run" in panel.unseen
            made.happened()
            await panel.drive({"cts": True, "dcd": True, "ri": True})
            assert made.happened() == [SetInputs(ModemLines(cts=True, dcd=True, ri=True))]
            assert await panel.levels() == {"cts": True, "dsr": False, "dcd": True, "ri": True}
            await panel.drive({"dcd": None})
            assert made.happened() == [SetInputs(ModemLines(cts=True, ri=True))]
            peer = await made.peer()  # CTS is high by its rule now, which ends that it is held
            assert made.connection.inputs.lines == ModemLines(cts=True, ri=True)
            peer.socket.close()
            await made.alone()
            assert made.connection.inputs.lines == ModemLines(ri=True)  # no rule speaks of RI
            await panel.drive({"ri": None})
            assert made.connection.inputs.lines == ModemLines()
            made.connection.port_lost(PortError("ttyV0", "its name is taken"))
            with pytest.raises(PortError, match="is not open now"):
                await panel.drive({"ri": True})

    run(scenario())


def test_nobody_knows_the_lines_of_a_real_port_that_is_closed(stage: Play, run: Run) -> None:
    async def scenario() -> None:
        async with stage() as made:
            panel = made.connection.panel
            assert "dtr" in await panel.levels()
            assert panel.unseen == ""
            made.connection.port_lost(PortError("/dev/x", "was pulled"))
            assert await panel.levels() == {}
            assert panel.unseen == "the port is not open now; see `portline status`"

    run(scenario())


@pytest.mark.parametrize(
    ("options", "line", "told"),
    [
        ({}, "cts", "is a real port, whose CTS comes from the device; drive DTR or RTS"),
        ({}, "xyz", "there is no line 'xyz' to drive here; there are: dtr, rts"),
        ({"virtual": "ttyV0"}, "dtr", "whose DTR is its application's; drive CTS, DSR, DCD, RI"),
        ({"rs485": "on"}, "rts", "RTS switches the direction of RS-485 here; take rs485 out"),
    ],
)
def test_a_line_that_is_not_driven_here(
    stage: Play, run: Run, options: dict[str, object], line: str, told: str
) -> None:
    async def scenario() -> None:
        async with stage(**options) as made:
            made.happened()
            with pytest.raises(UsageError, match=told):
                await made.connection.panel.drive({line: True})
            assert made.happened() == []

    run(scenario())


def test_a_port_that_cannot_now_says_why(
    stage: Play, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)

    async def scenario() -> None:
        async with stage() as made:
            panel, port = made.connection.panel, made.port
            port.has_lines = False
            with pytest.raises(PortError, match="the device has no signal lines; use an adapter"):
                await panel.drive({"dtr": True})
            assert await panel.levels() == {}
            assert "has no signal lines" in panel.unseen
            port.has_lines = port.hold = True
            for call in (
                lambda: panel.drive({"dtr": False}),
                lambda: panel.send_break(0.01),
                lambda: panel.set(SetLine(baudrate=300)),
            ):
                with pytest.raises(PortError, match=r"takes nothing: \d+ bytes? before what"):
                    await call()
            port.hold = False
            port.carry_out()
            made.connection.port_lost(PortAbsent("memory", "is gone"))
            for call in (
                lambda: panel.drive({"dtr": True}),
                lambda: panel.send_break(0.1),
                lambda: panel.set(SetLine(baudrate=300)),
            ):
                with pytest.raises(PortError, match="is not open now; see `portline status`"):
                    await call()

    run(scenario())


def test_a_driver_that_refuses(stage: Play, run: Run) -> None:
    async def scenario() -> None:
        async with stage() as made:
            submit = made.port.submit

            def refusing(*arguments: object) -> None:
                made.port.refused += 1
                submit(*arguments)  # type: ignore[arg-type]

            made.port.submit = refusing  # type: ignore[method-assign]
            with pytest.raises(PortError, match="has refused to move DTR or RTS"):
                await made.connection.panel.drive({"dtr": True})
            with pytest.raises(PortError, match="has refused to send a break"):
                await made.connection.panel.send_break(0.1)

    run(scenario())


def test_a_caller_is_told_before_the_socket_gives_up_on_it() -> None:
    assert BREAK_LIMIT < module.PATIENCE < TIME_LIMIT


def test_a_break(stage: Play, run: Run) -> None:
    async def scenario() -> None:
        async with stage() as made:
            made.happened()
            await made.connection.panel.send_break(0.5)
            assert made.happened() == [SendBreak(0.5)]
        async with stage(virtual="ttyV0") as made:
            with pytest.raises(UsageError, match="a pseudo terminal has none; choose backend usb"):
                await made.connection.panel.send_break(0.5)
            made.port.capabilities = CUSE
            with pytest.raises(PortError, match="no application has it open to read a break"):
                await made.connection.panel.send_break(0.5)
            made.port.use(True)
            made.happened()
            await made.connection.panel.send_break(0.5)
            assert made.happened() == [LineFault(break_received=True)]
            assert made.connection.panel.unseen == ""

    run(scenario())


def test_settings_are_put_in_force_and_told(stage: Play, run: Run) -> None:
    async def scenario() -> None:
        async with stage(protocol="rfc2217", baudrate=1200) as made:
            panel = made.connection.panel
            asker = await made.asker()
            found = await panel.set(SetLine(baudrate=300, parity=Parity.EVEN))
            assert found == made.port.state.settings == LineSettings(300, parity=Parity.EVEN)
            news = {Told(Item.BAUDRATE, 300), Told(Item.PARITY, Parity.EVEN)}
            await until(lambda: (asker.look(), news <= set(asker.reports))[1])
            assert await panel.set(SetLine()) == found
            Stubborn(made, 300, 1200)
            wrong = SetLine(baudrate=12345, parity=Parity.ODD)
            with pytest.raises(SettingRefused, match="does not do baudrate = 12345") as caught:
                await panel.set(wrong)
            assert (caught.value.setting, caught.value.value) == ("baudrate", 12345)
            assert made.port.state.settings == found

    run(scenario())


def test_who_watches_sees_what_is_switched(stage: Play, run: Run) -> None:
    async def scenario() -> None:
        async with stage() as made:
            watcher = made.connection.tap.watch(lambda: None)
            watcher.take()
            panel = made.connection.panel
            await panel.drive({"dtr": False})
            await panel.send_break(0.5)
            await panel.set(SetLine(baudrate=300))
            found = [(record.kind.value, record.text) for record in watcher.take()]
            assert [kind for kind, _ in found] == ["lines", "break", "settings"]
            assert found[1][1] == "0.5 s"
            assert "300" in found[2][1]
            watcher.close()

    run(scenario())


def test_settings_of_a_virtual_port_are_its_applications(stage: Play, run: Run) -> None:
    async def scenario() -> None:
        async with stage(virtual="ttyV0") as made:
            assert await made.connection.panel.set(SetLine()) == LineSettings()
            with pytest.raises(UsageError, match="the application that opens it decides"):
                await made.connection.panel.set(SetLine(baudrate=300))

    run(scenario())
