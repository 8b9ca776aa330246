from __future__ import annotations

import pytest
from pydantic import ValidationError

from portline.config.models import Address, GatewayConfig, Place, Protocol, ServerConnection
from portline.config.refusal import faults_of
from portline.line import FlowControl, LineSettings, Parity, StopBits


def mistakes(tree: object) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        GatewayConfig.model_validate(tree)
    return {".".join(fault.location): fault.text for fault in faults_of(caught.value)}


def test_a_connection_is_made_of_values_as_people_write_them() -> None:
    meter = ServerConnection.model_validate(
        {
            "port": "/dev/ttyUSB0",
            "listen": ["4001", "rfc2217://[::1]:4002"],
            "baudrate": 115200,
            "data-bits": 7,
            "parity": "even",
            "stop-bits": 2,
            "flow_control": "xon-xoff",
            "keepalive": "1min",
            "buffer-size": "64KiB",
        }
    )
    assert meter.line_settings() == LineSettings(
        115200, 7, Parity.EVEN, StopBits.TWO, FlowControl.XON_XOFF
    )
    assert meter.places() == (
        Place("127.0.0.1", 4001, Protocol.RAW),
        Place("::1", 4002, Protocol.RFC2217),
    )
    assert (meter.keepalive, meter.buffer_size) == (60.0, 65536)
    assert (meter.is_virtual, meter.port_name) == (False, "/dev/ttyUSB0")


def test_what_a_connection_is_that_says_nothing() -> None:
    meter = ServerConnection(virtual="ttyV0")
    assert meter.line_settings() == LineSettings()
    assert meter.places() == (Place("127.0.0.1", 4001, Protocol.RAW),)
    assert (meter.keepalive, meter.keepalive_retry, meter.inactivity) == (10.0, 3.0, 0.0)
    assert (meter.receive_from.value, meter.send_to.value) == ("all", "all")
    assert (meter.buffer_size, meter.backlog_size, meter.overflow.value) == (
        0,
        256 * 1024,
        "drop-oldest",
    )
    assert (meter.is_virtual, meter.port_name) == (True, "ttyV0")


@pytest.mark.parametrize("option", ["keepalive", "keepalive-retry"])
def test_keepalive_is_in_the_whole_seconds_that_the_kernel_counts(option: str) -> None:
    told = mistakes({"connections": {"meter": {"port": "/dev/ttyUSB0", option: "2500ms"}}})
    assert "must be whole seconds" in told[f"connections.meter.{option.replace('-', '_')}"]


def test_a_model_cannot_be_changed() -> None:
    meter = ServerConnection(port="/dev/ttyUSB0")
    with pytest.raises(ValidationError, match="frozen"):
        meter.baudrate = 1200  # type: ignore[misc]  # what this test is about


def test_a_gateway_takes_connections_that_are_models_already() -> None:
    meter = ServerConnection(port="/dev/ttyUSB0", listen=(Address("::1", 1),))
    config = GatewayConfig(connections={"meter": meter})
    assert config.connections["meter"] is meter
    assert GatewayConfig.model_validate(config) is config
    told = mistakes({"connections": {"meter": meter, "other": meter}})
    assert set(told) == {"connections.other.port", "connections.other.listen"}


def test_every_mistake_is_told_at_once_and_none_hides_another() -> None:
    told = mistakes(
        {
            "conections": {},
            "connections": {
                "a/b": {"port": "/dev/x", "listen": 1, "parity": "evn", "baudrat": 9600},
                "c": {"virtual": "v", "data-bits": 9, "listen": 1},
                "d": 3,
            },
        }
    )
    assert list(told) == [
        "connections.a/b.parity",
        "connections.a/b.baudrat",
        "connections.c.data_bits",
        "connections.d",
        "conections",
        "connections.a/b",
        "connections.c.listen",
    ]
    assert told["conections"] == 'unknown option; did you mean "connections"?'
    assert told["connections.d"] == "must be a table of options, not 3"


def test_a_value_may_be_wrong_and_out_of_place() -> None:
    with pytest.raises(ValidationError) as caught:
        ServerConnection.model_validate({"virtual": "v", "data-bits": 9})
    assert [fault.location for fault in faults_of(caught.value)] == [("data_bits",)] * 2


@pytest.mark.parametrize("tree", [{}, {"connections": {}}, {"connections": 3}])
def test_a_gateway_without_connections_says_what_to_write(tree: object) -> None:
    assert "write one, like: [connections.meter]" in mistakes(tree)["connections"]


def test_what_is_no_table_is_refused() -> None:
    assert mistakes(3) == {"": "must be a table with connections"}


def test_braces_in_a_value_stay_what_they_are() -> None:
    told = mistakes({"connections": {"a": {"port": "/dev/x", "parity": "{text}"}}})
    assert told["connections.a.parity"].startswith('"{text}" must be one of')
