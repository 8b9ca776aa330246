from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import to_json

from portline.config.models import ServerConnection, options
from portline.config.options import key_of
from portline.config.spelling import option_values
from portline.control.snapshot import plain, snapshot
from portline.line import LineSettings, ModemLines, Parity
from portline.service.status import ConnectionStatus, PeerStatus, PortStatus, State

TABLES: list[dict[str, object]] = [
    {"port": "/dev/ttyUSB0"},
    {"virtual": "ttyV0", "protocol": "rfc2217"},
    {
        "port": "usb:0403:6001",
        "listen": ["*:4001", "rfc2217://[::1]:4002"],
        "open": True,
        "parity": "even",
        "stop-bits": 1.5,
        "packet-delimiter": ["\r\n", ",", 3],
        "packet-wait": "0.1s",
        "buffer-size": "1MiB",
    },
]


def status(config: ServerConnection) -> ConnectionStatus:
    facts: dict[str, Any] = {
        "name": "/dev/ttyUSB0",
        "path": "/dev/ttyUSB0",
        "open": True,
        "reason": "",
        "settings": LineSettings(parity=Parity.EVEN),
        "lines": ModemLines(cts=True),
        "dtr": True,
        "rts": False,
        "in_use": None,
        "waiting": 1,
        "refused": 2,
        "discarded": 3,
    }
    port = PortStatus(**(dict.fromkeys(field.name for field in fields(PortStatus)) | facts))
    peer = PeerStatus(1, "127.0.0.1:5", "raw", 2.5, 10, 20, 0, 0, 0)
    numbers = {f.name: n for n, f in enumerate(fields(ConnectionStatus)) if f.type == "int"}
    return ConnectionStatus(
        name="meter",
        state=State.CONNECTED,
        reason="",
        places=("127.0.0.1:4001 (raw)",),
        port=port,
        peers=(peer,),
        config=config,
        **numbers,
    )


def test_it_tells_everything_in_plain_values() -> None:
    given = status(ServerConnection.model_validate(TABLES[0]))
    made = snapshot(given, (10.04, 0.0))
    assert json.loads(to_json(made)) == made
    assert set(made) == {
        "name",
        "state",
        "reason",
        "places",
        "access",
        "port",
        "peers",
        "rates",
        "counters",
        "options",
        "not_applicable",
        "security",
    }
    assert (made["name"], made["state"]) == ("meter", "connected")
    assert made["rates"] == {"heard": 10.0, "spoken": 0.0}
    port = made["port"]
    assert isinstance(port, dict)
    expected = {
        "name": "/dev/ttyUSB0",
        "path": "/dev/ttyUSB0",
        "open": True,
        "reason": "",
        "settings": {
            "baudrate": 9600,
            "data_bits": 8,
            "parity": "even",
            "stop_bits": "1",
            "flow_control": "none",
            "inbound_flow": None,
        },
        "lines": {"cts": True, "dsr": False, "dcd": False, "ri": False},
        "dtr": True,
        "rts": False,
        "in_use": None,
        "waiting": 1,
        "refused": 2,
        "discarded": 3,
    }
    assert {key: port[key] for key in expected} == expected
    assert made["peers"] == [
        {
            "number": 1,
            "address": "127.0.0.1:5",
            "protocol": "raw",
            "connected_for": 2.5,
            "received": 10,
            "sent": 20,
            "waiting": 0,
            "dropped": 0,
            "malformed": 0,
            "signature": "",
            "unanswered": 0,
            "login": "",
            "remote": [],
            "security": None,
        }
    ]


def test_every_counter_is_told() -> None:
    given = status(ServerConnection.model_validate(TABLES[0]))
    made = snapshot(given, None)
    counters = [f.name for f in fields(given) if isinstance(getattr(given, f.name), int)]
    assert {"heard", "spoken", "dropped", "turned_away"} < set(counters)
    assert made["counters"] == {name: getattr(given, name) for name in counters}
    assert made["rates"] == {"heard": None, "spoken": None}


@pytest.mark.parametrize("table", TABLES)
def test_options_are_told_as_a_file_would_have_them(table: dict[str, object]) -> None:
    config = ServerConnection.model_validate(table)
    values = option_values(config)
    assert list(values) == [key_of(field) for field in options(ServerConnection)]
    for field, option in options(ServerConnection).items():
        value = values[key_of(field)]
        if value is not None:
            assert option.kind.read(value) == getattr(config, field), field


@pytest.mark.parametrize("table", TABLES)
def test_the_options_without_the_inapplicable_are_a_configuration(
    table: dict[str, object],
) -> None:
    config = ServerConnection.model_validate(table)
    made = snapshot(status(config), None)
    values, without = made["options"], made["not_applicable"]
    assert isinstance(values, dict)
    assert isinstance(without, dict)
    assert [key for key in without if values[key] is not None] == []
    rest = {k: v for k, v in values.items() if v is not None}
    del rest["idle-after"]  # applies with when-full = replace-idle only
    del rest["tls-minimum"]  # applies with tls only
    for key in [key for key in rest if key.startswith("rs485-")]:
        del rest[key]  # they apply with rs485 only
    assert ServerConnection.model_validate(rest) == config


def test_a_limit_that_is_not_in_force_is_not_told() -> None:
    for protocol, limit in (("raw", 8), ("rfc2217", None)):
        config = ServerConnection.model_validate({"port": "/dev/x", "protocol": protocol})
        values = snapshot(status(config), None)["options"]
        assert isinstance(values, dict)
        assert values["max-connections"] == limit


def test_what_does_not_apply_is_told_with_where() -> None:
    real, virtual, both = (
        snapshot(status(ServerConnection.model_validate(table)), None)["not_applicable"]
        for table in TABLES
    )
    assert isinstance(real, dict)
    assert isinstance(virtual, dict)
    assert isinstance(both, dict)
    assert real["strict-baudrate"] == "a real port"
    assert real["notify"] == "protocol raw"
    assert virtual["baudrate"] == "a virtual port"
    assert virtual["send-to"] == "protocol rfc2217"
    assert "send-to" not in both
    assert "notify" not in both


def test_what_is_plain_stays() -> None:
    assert plain([1, "a", None, (True, 2.5)]) == [1, "a", None, [True, 2.5]]
    assert plain({"a": Path}) == {"a": Path}
