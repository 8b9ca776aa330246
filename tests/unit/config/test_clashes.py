from __future__ import annotations

from pathlib import Path

import pytest

from portline.config import clashes as clashes_module
from portline.config.clashes import clashes, name_fault
from portline.config.rules import Fault
from portline.config.server import ServerConnection
from portline.config.values import DEFAULT_LISTEN, Address


def texts(faults: list[Fault]) -> str:
    return "\n".join(f"{'.'.join(fault.location)}: {fault.text}" for fault in faults)


@pytest.mark.parametrize("name", ["meter", "Waage 2", "öl", "a.b", "x" * 64])
def test_names_that_can_be_used(name: str) -> None:
    assert name_fault(name) is None


@pytest.mark.parametrize(
    "name", ["", "  ", " x", "x ", "a/b", "a\\b", "a\nb", "\x00", "x" * 65, ".", ".."]
)
def test_names_that_cannot_be_used(name: str) -> None:
    fault = name_fault(name)
    assert fault is not None
    assert fault.isprintable()


def test_two_connections_cannot_have_the_same_port() -> None:
    found = clashes(
        {
            "a": {"port": "/dev/ttyUSB0", "listen": 1},
            "b": {"port": "/dev//ttyUSB0", "listen": 2},
            "c": {"virtual": "v", "listen": 3},
            "d": {"virtual": "v", "listen": 4},
        }
    )
    assert texts(found) == (
        "b.port: /dev/ttyUSB0 is already the port of connections.a; give it to one\n"
        "d.virtual: v is already the virtual port of connections.c; give it to one"
    )


def test_two_connections_cannot_listen_on_the_same_address() -> None:
    found = clashes({"a": {"listen": ["1", "*:4001"]}, "b": {}, "c": {"listen": "?"}, "d": {}})
    assert [fault.location for fault in found] == [("b", "listen"), ("d", "listen")]
    assert found[0].text == (
        "127.0.0.1:4001 (the default) is already listened on by connections.a, as *:4001; "
        "choose another TCP port"
    )
    (same,) = clashes({"a": {"listen": 7}, "b": {"listen": 7}})
    assert same.text.endswith("already listened on by connections.a; choose another TCP port")
    assert clashes({"a": {"listen": 0}, "b": {"listen": 0}}) == []


def test_the_default_address_is_the_one_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ServerConnection.model_fields["listen"].default == (DEFAULT_LISTEN,)
    elsewhere = Address("127.0.0.1", 4444)
    monkeypatch.setattr(
        clashes_module, "DEFAULT_LISTEN", elsewhere
    )  # where the one default is looked up
    assert "127.0.0.1:4444 (the default)" in clashes({"a": {"listen": 4444}, "b": {}})[0].text


def test_a_virtual_port_does_not_lie_over_the_port_of_another_connection(tmp_path: Path) -> None:
    (tmp_path / "by-id").symlink_to(tmp_path / "ttyUSB0")
    over = {"virtual": f"{tmp_path}/ttyUSB0", "overlap": True}
    for port in (f"{tmp_path}/ttyUSB0", f"{tmp_path}/by-id"):
        (fault,) = clashes(
            {"a": {"port": port, "listen": 1}, "b": over | {"listen": 2}, "c": {"listen": 3}}
        )
        assert fault.location == ("b", "overlap")
        assert fault.text.startswith(f"{tmp_path}/ttyUSB0 is the port of connections.a, which")
    other = {"a": {"port": "usb:0403:6001", "listen": 1}, "b": over | {"listen": 2}}
    assert clashes(other) == []
    without = {"a": {"port": f"{tmp_path}/ttyUSB0", "listen": 1}}
    assert clashes(without | {"b": over | {"overlap": False, "listen": 2}}) == []
    assert clashes(without | {"b": {"overlap": True, "virtual": "", "listen": 2}}) == []
