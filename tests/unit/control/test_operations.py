from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import portline
from portline.config.saving import change
from portline.control.operations.operation import Result
from portline.control.operations.process import Changed, Status
from portline.control.operations.table import OPERATIONS
from portline.errors import ChangedMeanwhile, ConfigError, PortError, UsageError
from portline.hub.pulses import NAMED
from portline.service import gateway as gateways
from portline.service.connection import Connection
from portline.service.status import ConnectionStatus
from tests.conftest import Run
from tests.unit.control.conftest import gateway, host


def test_the_table_describes_itself() -> None:
    assert list(OPERATIONS) == [
        *("status", "reload", "restart", "add", "update", "remove"),
        *("start", "stop", "enable", "disable", "disconnect"),
        *("pulse", "sequences", "lines", "break", "settings", "ports", "options", "check"),
        *("events", "monitor", "terminal"),
    ]
    for name, operation in OPERATIONS.items():
        assert operation.name == name
        assert operation.text.endswith(".")
        assert issubclass(operation.result, Result)
    asking = [name for name, operation in OPERATIONS.items() if not operation.changes]
    assert asking == ["status", "sequences", "ports", "options", "check", "events", "monitor"]


def test_parameters_are_read_and_may_be_left_out() -> None:
    status = OPERATIONS["status"]
    assert status.arguments({}) == {"names": None}
    assert status.arguments({"names": ["a", "b", "a"]}) == {"names": {"a", "b"}}
    for wrong in ("a", [1], {"a": 1}, None):
        with pytest.raises(UsageError, match="status: names must be a list of texts"):
            status.arguments({"names": wrong})
    with pytest.raises(UsageError, match="reload: no parameter 'x'; there are: none"):
        OPERATIONS["reload"].arguments({"x": 1})


def test_the_log_names_what_is_asked_for() -> None:
    assert OPERATIONS["stop"].asked({"name": "a\nb"}) == "stop a\\nb"
    assert OPERATIONS["reload"].asked({}) == "reload"


@pytest.mark.parametrize(
    ("operation", "parameter"), [("update", "rename"), ("check", "name"), ("check", "before")]
)
def test_a_text_that_is_none_is_told_by_its_own_name(operation: str, parameter: str) -> None:
    given = {"name": "meter", "options": {}, parameter: 5}
    with pytest.raises(UsageError, match=f"{operation}: {parameter} must be a text"):
        OPERATIONS[operation].arguments(given)


def test_the_sequences_that_have_a_name_are_told(run: Run) -> None:
    async def scenario() -> None:
        result = await OPERATIONS["sequences"].run(host().subject)
        named = {each.name: each.steps for each in result.sequences}
        assert named == {name: each.text for name, each in NAMED.items()}
        for name, steps in named.items():
            read = OPERATIONS["pulse"].arguments({"name": "meter", "sequence": name})
            assert read["sequence"].text == steps

    run(scenario())


def test_a_pulse_needs_a_connection_and_a_sequence(run: Run) -> None:
    operation = OPERATIONS["pulse"]
    with pytest.raises(UsageError, match="pulse: needs the parameter 'sequence'"):
        operation.arguments({"name": "meter"})
    with pytest.raises(UsageError, match="name must be a text"):
        operation.arguments({"name": " ", "sequence": "esp32"})
    with pytest.raises(UsageError, match="sequence must be a text"):
        operation.arguments({"name": "meter", "sequence": 1})
    with pytest.raises(UsageError, match="is no step"):
        operation.arguments({"name": "meter", "sequence": "dtr=5"})
    arguments = operation.arguments({"name": "meter", "sequence": "esp32"})

    async def scenario() -> None:
        subject = host(gateway(meter={})).subject
        with pytest.raises(PortError, match="is not open now"):
            await operation.run(subject, **arguments)
        with pytest.raises(UsageError, match="no connection 'x'; there are: meter"):
            await operation.run(subject, **{**arguments, "name": "x"})

    run(scenario())


def test_the_status_of_some_connections(run: Run) -> None:
    async def scenario() -> None:
        subject = host(gateway(meter={}, scale={})).subject
        for names, found in (
            (None, ["meter", "scale"]),
            (frozenset({"scale", "other"}), ["scale"]),
            (frozenset(), []),
        ):
            status = await OPERATIONS["status"].run(subject, names=names)
            assert isinstance(status, Status)
            assert [each["name"] for each in status.connections] == found

    run(scenario())


def test_who_asks_for_one_connection_has_no_other_looked_at(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    survey = gateways.survey

    def noted(connection: Connection, now: float) -> ConnectionStatus:
        looked.append(connection.name)
        return survey(connection, now)

    async def scenario() -> None:
        subject = host(gateway(meter={}, scale={})).subject
        monkeypatch.setattr(gateways, "survey", noted)
        status = await OPERATIONS["status"].run(subject, names=frozenset({"scale"}))
        assert isinstance(status, Status)
        assert len(list(status.connections)) == 1
        assert looked == ["scale"]

    run(scenario())


def test_the_process_tells_who_it_is(run: Run) -> None:
    async def scenario() -> None:
        process = host(file="/tmp/\udcff.toml").subject.process
        assert (process.pid, process.command) == (os.getpid(), "serve")
        assert process.version == portline.__version__
        assert process.file == "/tmp/?.toml"
        assert 0 <= process.up_for < 1000

    run(scenario())


def test_changes_of_the_configuration_are_edits_of_its_text(run: Run) -> None:
    async def scenario() -> None:
        made = host(gateway(meter={}))
        text = '[connections.meter]\nport = "/dev/x" # left\n'

        async def edit(edit: Callable[[str], str]) -> list[str]:
            nonlocal text
            text = edit(text)
            return ["said"]

        made.subject.served.edit = edit  # type: ignore[method-assign]

        async def ask(name: str, /, **parameters: object) -> None:
            operation = OPERATIONS[name]
            result = await operation.run(made.subject, **operation.arguments(parameters))
            assert isinstance(result, Changed)
            assert result.changes == ["said"]

        await ask("add", name="new", options={"port": "/dev/y"})
        await ask("update", name="meter", options={"baudrate": 300})
        await ask("update", name="meter", options={"baudrate": None}, rename="water")
        await ask("remove", name="new")
        assert text == '[connections.water]\nport = "/dev/x" # left\n'
        with pytest.raises(UsageError, match="no connection 'meter'; there are: water"):
            await ask("remove", name="meter")
        with pytest.raises(UsageError, match="options must be a table"):
            await ask("add", name="x", options=["port"])

    run(scenario())


def test_who_says_what_he_saw_goes_over_no_change_of_another(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "portline.toml"
    path.write_text('[connections.meter]\nport = "/dev/x"\nlisten = "127.0.0.1:4001"\n')

    async def scenario() -> None:
        made = host(gateway(meter={}))

        async def edit(edit: Callable[[str], str]) -> list[str]:
            change(path, edit)
            return []

        made.subject.served.edit = edit  # type: ignore[method-assign]

        async def update(baudrate: int, **more: object) -> None:
            given = {"name": "meter", "options": {"baudrate": baudrate}, **more}
            operation = OPERATIONS["update"]
            await operation.run(made.subject, **operation.arguments(given))

        await update(300, was={"baudrate": 9600})
        before = path.read_text()
        with pytest.raises(ChangedMeanwhile, match="to 300 meanwhile; it was 9600") as caught:
            await update(1200, was={"baudrate": 9600})
        assert [option for option, _ in caught.value.faults] == ["baudrate"]
        assert path.read_text() == before
        await update(1200)
        with pytest.raises(UsageError, match="was must be a table of options"):
            await update(300, was=[])
        with pytest.raises(UsageError, match="was: 1025 values; there may be 1024"):
            await update(300, was={"listen": ["a"] * 1024})

    run(scenario())


def test_mistakes_of_a_change_are_told_by_option(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "portline.toml"
    path.write_text('[connections.meter]\nport = "/dev/x"\n')

    async def scenario() -> None:
        made = host(gateway(meter={}))

        async def edit(edit: Callable[[str], str]) -> list[str]:
            change(path, edit)
            return []

        made.subject.served.edit = edit  # type: ignore[method-assign]

        async def faults(name: str, /, **parameters: object) -> dict[str, str]:
            operation = OPERATIONS[name]
            with pytest.raises(ConfigError) as caught:
                await operation.run(made.subject, **operation.arguments(parameters))
            assert caught.value.mistakes
            return dict(caught.value.faults)

        wrong = {"virtual": "ttyV0", "baudrate": 1, "nonsense": 1}
        found = await faults("add", name="a/b", options={"port": "/dev/z", "listen": 7})
        assert found.keys() == {"name"}
        found = await faults("add", name="new", options={**wrong, "listen": 7})
        assert found.keys() == {"baudrate", "nonsense"}
        assert (await faults("add", name="new", options={"listen": 7})).keys() == {""}
        assert (await faults("add", name="meter", options={})).keys() == {"name"}
        path.write_text(path.read_text() + '[connections.a]\nport = "/dev/y"\nlisten = 1.5\n')
        found = await faults("update", name="meter", options={"parity": "x"}, rename="water")
        assert found.keys() == {"parity", ""}
        assert found[""].startswith(f"{path}:5: connections.a.listen: ")
        path.write_text("[connections.")
        found = await faults("update", name="meter", options={"baudrate": 300})
        assert found[""].startswith(f"{path}:1: not TOML")

    run(scenario())
