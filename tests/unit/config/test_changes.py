from __future__ import annotations

import pytest

from portline.config.changes import Change, Changes, changes
from portline.config.models import GatewayConfig


def config(**tables: dict[str, object]) -> GatewayConfig:
    """Make a configuration; each connection has a device and any TCP port unless it says more."""
    return GatewayConfig.model_validate(
        {
            "connections": {
                name: ({} if "virtual" in table else {"port": f"/dev/tty{name}"})
                | {"listen": "127.0.0.1:0"}
                | table
                for name, table in tables.items()
            }
        }
    )


def test_nothing_changes_between_equals() -> None:
    assert changes(config(a={}, b={}), config(b={}, a={})) == Changes()
    assert changes(config(a={}), config(a={"baudrate": 9600})).lines() == []


def test_connections_come_and_go() -> None:
    found = changes(config(a={}, b={}), config(b={}, c={}))
    assert found == Changes(removed=("a",), added=("c",))
    assert found.lines() == ["a: removed", "c: added"]


def test_options_that_differ_are_changed_and_the_connection_stays() -> None:
    found = changes(config(a={}, b={}), config(a={"baudrate": 1200, "listen": 4001}, b={}))
    assert found == Changes(changed=(Change("a", "a", ("listen", "baudrate")),))
    assert not found.changed[0].remakes
    assert found.lines() == ["a: listen, baudrate changed"]


def test_a_connection_with_the_same_port_has_only_got_another_name() -> None:
    found = changes(config(a={"port": "/dev/ttyX"}), config(b={"port": "/dev/ttyX"}))
    assert found == Changes(changed=(Change("a", "b"),))
    assert found.lines() == ["a: is called b now"]
    found = changes(
        config(a={"virtual": "ttyV0"}), config(b={"virtual": "ttyV0", "buffer_size": 10})
    )
    assert found.lines() == ["a: is called b now, with buffer-size changed"]


def test_connections_keep_their_ports_when_they_swap_names() -> None:
    found = changes(
        config(a={"port": "/dev/ttyX"}, b={"port": "/dev/ttyY"}),
        config(a={"port": "/dev/ttyY"}, b={"port": "/dev/ttyX"}),
    )
    assert found == Changes(changed=(Change("b", "a"), Change("a", "b")))


def test_a_new_connection_may_get_the_name_of_one_that_is_renamed() -> None:
    found = changes(
        config(a={"port": "/dev/ttyX"}),
        config(a={"port": "/dev/ttyY"}, b={"port": "/dev/ttyX"}),
    )
    assert found.lines() == ["a: is called b now", "a: added"]


def test_a_connection_may_get_the_name_of_one_that_is_removed() -> None:
    found = changes(
        config(a={"port": "/dev/ttyX"}, b={"port": "/dev/ttyY"}), config(a={"port": "/dev/ttyY"})
    )
    assert found.lines() == ["a: removed", "b: is called a now"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"port": "/dev/ttyOther"}),
        ({}, {"virtual": "ttyV0"}),
        ({}, {"exclusive": False}),
        ({"virtual": "/dev/ttyV0"}, {"virtual": "/dev/ttyV0", "overlap": True}),
        ({"virtual": "ttyV0"}, {"virtual": "ttyV0", "strict_baudrate": True}),
        ({"virtual": "ttyV0"}, {"virtual": "ttyV0", "backend": "usbip"}),
        ({"virtual": "ttyV0"}, {"virtual": "ttyV0", "adapter": "ftdi"}),
    ],
)
def test_another_port_is_another_connection(
    before: dict[str, object], after: dict[str, object]
) -> None:
    (change,) = changes(config(a=before), config(a=after)).changed
    assert change.remakes
    assert str(change).endswith("changed; begins anew")
