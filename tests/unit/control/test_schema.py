from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from portline.config.models import ServerConnection
from portline.control.message import encode_result
from portline.control.operations.operation import Operation, Result
from portline.control.operations.process import Status
from portline.control.operations.subject import Process
from portline.control.operations.table import OPERATIONS
from portline.control.schema import (
    parameters_schema,
    result_schema,
    schema_of,
    snapshot_schema,
)
from portline.control.snapshot import snapshot
from portline.line import Item, Parity
from portline.net.tls.channel import Security
from portline.port.hardware import DriverCounters, Hardware
from portline.service.peer.remote import RemoteSetting
from portline.service.status import SecurityStatus
from tests.conftest import Run
from tests.unit.control.conftest import gateway, host
from tests.unit.control.obeying import disobeys
from tests.unit.control.test_snapshot import TABLES, status

PROCESS = Process(7, "serve", None, "1", 0.5)


def told(result: Result) -> object:
    """Return a result as a caller reads it."""
    return json.loads(b"".join(encode_result(result)))["result"]


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
def test_every_operation_describes_what_it_takes_and_answers(operation: Operation) -> None:
    for schema in (result_schema(operation.result), parameters_schema(operation)):
        assert json.loads(json.dumps(schema)) == schema
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False


@pytest.mark.parametrize("table", TABLES)
def test_a_status_is_what_its_schema_says(table: dict[str, object]) -> None:
    given = status(ServerConnection.model_validate(table))
    security = Security("TLSv1.3", "x", "sha256:1", "")
    full = replace(
        given,
        counts={"login_wrong": 1},
        security=SecurityStatus("1.2", "sha256:2", 3),
        port=replace(
            given.port,
            has_lines=True,
            backend="pty",
            adapter="",
            abilities=("lines",),
            hardware=Hardware("ftdi_sio", ("low latency",), "polled", DriverCounters(*range(7))),
        ),
        peers=(
            replace(
                given.peers[0],
                security=security,
                remote=(RemoteSetting(Item.PARITY, Parity.EVEN, None),),
            ),
        ),
    )
    for rates in (None, (1.0, 2.5)):
        answer = told(Status(PROCESS, iter([snapshot(full, rates)]), None, {}))
        assert list(disobeys(answer, result_schema(Status))) == []
    made = json.loads(json.dumps(answer))
    del made["connections"][0]["port"]["settings"]["parity"]
    made["connections"][0]["more"] = 1
    assert len(list(disobeys(made, result_schema(Status)))) == 2


def test_answers_are_what_their_schemas_say(run: Run) -> None:
    async def scenario() -> None:
        subject = host(gateway(meter={}, scale={})).subject
        asked: dict[str, dict[str, object]] = {
            "status": {},
            "options": {},
            "check": {"name": "new", "options": {"virtual": "ttyX", "baudrate": 1}},
        }
        for name, parameters in asked.items():
            operation = OPERATIONS[name]
            assert list(disobeys(parameters, parameters_schema(operation))) == []
            result = await operation.run(subject, **operation.arguments(parameters))
            assert list(disobeys(told(result), result_schema(operation.result))) == [], name

    run(scenario())


def test_types_are_described() -> None:
    @dataclass
    class Inner:
        number: int | None

    assert schema_of(int | None) == {"type": ["integer", "null"]}
    assert schema_of(dict[str, tuple[float, ...]]) == {
        "type": "object",
        "additionalProperties": {"type": "array", "items": {"type": "number"}},
    }
    assert schema_of(Inner)["required"] == ["number"]
    for wrong in (Path, Callable, Iterator):
        with pytest.raises(TypeError, match="has no JSON schema"):
            schema_of(wrong)
    assert {"options", "not_applicable"} < set(snapshot_schema()["properties"])
