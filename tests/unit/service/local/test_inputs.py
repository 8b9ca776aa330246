from __future__ import annotations

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from portline.config.models import ServerConnection
from portline.hub.lines import InputRules, Level, LineRule, crossed
from portline.line import (
    Item,
    LineFault,
    ModemChange,
    ModemLines,
    Query,
    Report,
    Request,
    SetInputs,
    SetModem,
)
from portline.service.local.inputs import Inputs, input_rules
from tests.memory import MemoryPort

UP = ModemLines(cts=True, dsr=True, dcd=True)
OFF = ModemLines()


class Remote:
    """A session of which only the asking is looked at."""

    def __init__(self) -> None:
        self.closed = False
        self.asked: list[Request] = []

    def ask(self, request: Request) -> None:
        self.asked.append(request)


class Stage:
    def __init__(self, **options: object) -> None:
        config = ServerConnection.model_validate(
            options if "port" in options else {"virtual": "ttyV0", "protocol": "rfc2217"} | options
        )
        self.port = MemoryPort(cast("Any", None))
        self.told: list[object] = []
        self.inputs = Inputs(input_rules(config), self.port, told=self.told.append)
        self.peer = Remote()
        self.session = cast("Any", self.peer)

    def shown(self) -> list[ModemLines]:
        """Return what the application read since this was last called, in order."""
        happened, self.port.happened = self.port.happened, []
        return [request.lines for request in happened if isinstance(request, SetInputs)]

    def opens(self) -> None:
        self.inputs.application(crossed(dtr=True, rts=True), [])

    def tells(self, lines: ModemLines) -> None:
        self.inputs.told(self.session, ModemChange(lines))


def test_the_rules_are_those_of_the_configuration() -> None:
    config = ServerConnection.model_validate(
        {
            "virtual": "ttyV0",
            "protocol": "rfc2217",
            "cts-connected": "high",
            "cts-disconnected": "low",
            "allow-cts": False,
            "dsr-connected": "leave",
            "dcd-disconnected": "leave",
            "allow-dcd": False,
            "ri-connected": "high",
        }
    )
    assert input_rules(config) == InputRules(
        cts=LineRule(Level.HIGH, Level.LOW, False),
        dsr=LineRule(Level.LEAVE, Level.FOLLOW, True),
        dcd=LineRule(Level.FOLLOW, Level.LEAVE, False),
        ri=LineRule(Level.HIGH, Level.FOLLOW, True),
    )


def test_a_real_port_reads_its_own_lines() -> None:
    stage = Stage(port="/dev/ttyX")
    stage.inputs.moment(connected=True)
    stage.inputs.application(UP, [stage.session])
    stage.tells(UP)
    stage.inputs.driven(stage.session, SetModem(dtr=True))
    assert stage.shown() == []
    assert stage.peer.asked == []


def test_the_application_reads_its_own_outputs_while_nobody_tells_more() -> None:
    stage = Stage()
    stage.opens()
    stage.opens()
    stage.inputs.moment(connected=True)
    assert stage.shown() == [UP]
    stage.inputs.application(OFF, [])
    assert stage.shown() == [OFF]
    assert stage.told == [SetInputs(UP), SetInputs(OFF)]


def test_an_access_server_tells_the_lines_of_its_device_until_it_leaves() -> None:
    stage = Stage()
    stage.opens()
    stage.inputs.moment(connected=True)
    stage.tells(ModemLines(cts=True, ri=True))
    stage.inputs.told(stage.session, LineFault(parity=True))
    assert stage.shown() == [UP, ModemLines(cts=True, ri=True)]
    stage.inputs.left(stage.session, connected=False)
    assert stage.shown() == [UP]


def test_a_client_is_the_other_end_of_a_null_modem_cable() -> None:
    stage = Stage()
    stage.inputs.moment(connected=True)
    stage.inputs.driven(stage.session, SetModem(dtr=True))
    stage.inputs.driven(stage.session, SetModem(rts=True))
    stage.inputs.driven(stage.session, SetModem(dtr=False))
    both = [ModemLines(dsr=True, dcd=True), UP, ModemLines(cts=True)]
    assert stage.shown() == both


def test_a_client_that_has_gone_drives_nothing_any_more() -> None:
    stage = Stage()
    stage.peer.closed = True
    stage.inputs.driven(stage.session, SetModem(dtr=True))
    assert stage.shown() == []


def test_who_told_last_is_the_remote_side() -> None:
    stage = Stage()
    stage.inputs.moment(connected=True)
    stage.tells(ModemLines(cts=True, ri=True))
    other = cast("Any", Remote())
    stage.inputs.driven(other, SetModem(dtr=True))
    stage.inputs.left(stage.session, connected=True)
    assert stage.shown() == [ModemLines(cts=True, ri=True), ModemLines(dsr=True, dcd=True)]
    stage.inputs.left(other, connected=True)
    assert stage.shown() == [OFF]


def test_the_last_peers_leaving_is_one_change() -> None:
    """What it told ends and the other moment begins: the line held in both does not move."""
    stage = Stage(
        **{"cts-disconnected": "high", "dsr-connected": "high", "dsr-disconnected": "high"}
    )
    stage.inputs.moment(connected=False)
    assert stage.shown() == [ModemLines(cts=True, dsr=True)]
    stage.inputs.moment(connected=True)
    stage.tells(ModemLines(cts=True))
    assert stage.shown() == [ModemLines(dsr=True), ModemLines(cts=True, dsr=True)]
    stage.inputs.left(stage.session, connected=False)
    stage.inputs.moment(connected=False)
    assert stage.shown() == []


def test_a_line_left_alone_stays_as_it_was() -> None:
    stage = Stage(**{"cts-disconnected": "leave", "dsr-connected": "leave"})
    stage.inputs.moment(connected=True)
    stage.tells(ModemLines(cts=True, dsr=True))
    stage.inputs.left(stage.session, connected=False)
    assert stage.shown() == [ModemLines(cts=True, dsr=True), ModemLines(cts=True)]


def test_new_rules_take_effect_at_once() -> None:
    stage = Stage()
    stage.opens()
    stage.inputs.rules = InputRules(ri=LineRule(disconnected=Level.HIGH))
    stage.inputs.rules = InputRules(ri=LineRule(disconnected=Level.HIGH))
    assert stage.shown() == [UP, ModemLines(cts=True, dsr=True, dcd=True, ri=True)]


def test_an_access_server_drives_what_the_application_drives() -> None:
    stage = Stage()
    stage.inputs.serves(stage.session)
    stage.inputs.application(ModemLines(cts=True), [stage.session])
    assert stage.peer.asked == [
        SetModem(dtr=False, rts=False),
        Query(Item.MODEM_LINES),
        SetModem(dtr=False, rts=True),
    ]


any_lines = st.builds(ModemLines, *[st.booleans()] * 4)
reports: st.SearchStrategy[Report] = st.builds(ModemChange, any_lines)
events = st.lists(
    st.one_of(
        st.tuples(st.just("moment"), st.booleans()),
        st.tuples(st.just("application"), any_lines),
        st.tuples(st.just("told"), reports),
        st.tuples(st.just("left"), st.booleans()),
    ),
    max_size=30,
)


@given(
    events, st.dictionaries(st.sampled_from(["cts", "dsr", "dcd", "ri"]), st.sampled_from(Level))
)
def test_the_port_hears_changes_only_and_one_for_each_event(
    happening: list[tuple[str, Any]], levels: dict[str, Level]
) -> None:
    stage = Stage(**{f"{line}-connected": level.value for line, level in levels.items()})
    known = OFF
    for what, value in happening:
        match what:
            case "moment":
                stage.inputs.moment(connected=value)
            case "application":
                stage.inputs.application(value, [])
            case "told":
                stage.inputs.told(stage.session, value)
            case _:
                stage.inputs.left(stage.session, connected=value)
        shown = stage.shown()
        assert len(shown) <= 1
        assert known not in shown
        known = shown[0] if shown else known
        assert known == stage.inputs.lines
