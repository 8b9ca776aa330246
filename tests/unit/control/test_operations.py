from __future__ import annotations

import os

import pytest

import portline
from portline.control.operations import OPERATIONS, Pulsed, Reloaded, Restarting, Status
from portline.errors import PortError, UsageError
from tests.conftest import Run
from tests.unit.control.conftest import gateway, host


def test_the_table_describes_itself() -> None:
    assert list(OPERATIONS) == ["status", "reload", "restart", "pulse"]
    for name, operation in OPERATIONS.items():
        assert operation.name == name
        assert operation.text.endswith(".")
        assert operation.result in (Status, Reloaded, Restarting, Pulsed)
    assert [operation.changes for operation in OPERATIONS.values()] == [False, True, True, True]


def test_parameters_are_read_and_may_be_left_out() -> None:
    status = OPERATIONS["status"]
    assert status.arguments({}) == {"names": None}
    assert status.arguments({"names": ["a", "b", "a"]}) == {"names": {"a", "b"}}
    for wrong in ("a", [1], {"a": 1}, None):
        with pytest.raises(UsageError, match="status: names must be a list of texts"):
            status.arguments({"names": wrong})
    with pytest.raises(UsageError, match="reload: no parameter 'x'; there are: none"):
        OPERATIONS["reload"].arguments({"x": 1})


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
        with pytest.raises(UsageError, match="no connection 'x' here"):
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


def test_the_process_tells_who_it_is(run: Run) -> None:
    async def scenario() -> None:
        process = host(file="/tmp/\udcff.toml").subject.process
        assert (process.pid, process.command) == (os.getpid(), "serve")
        assert process.version == portline.__version__
        assert process.file == "/tmp/?.toml"
        assert 0 <= process.up_for < 1000

    run(scenario())
