"""The options of who is trusted: networks, passwords, and what is open."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from portline.auth.password import Password
from portline.config.document import load
from portline.config.models import GatewayConfig
from portline.config.networks import NETWORKS_MAX, NetworkList
from portline.config.secrets import secrets
from portline.errors import ConfigError
from portline.service.network.access import access, open_doors

KIND = NetworkList()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("192.168.1.0/24", "192.168.1.0/24"),
        ("192.168.1.0/255.255.255.0", "192.168.1.0/24"),
        (["10.0.0.1", "fd00::/8"], "10.0.0.1/32, fd00::/8"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ([ipaddress.ip_network("::1")], "::1/128"),
    ],
)
def test_networks(value: object, shown: str) -> None:
    read = KIND.read(value)
    assert KIND.show(read) == shown
    assert KIND.read(shown.split(", ")) == read
    assert KIND.show(None) == "none"


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("192.168.1.7/24", "write 192.168.1.0/24 for the network, or 192.168.1.7 for that address"),
        ("eth0", "names of hosts and of interfaces are none"),
        ("10.0.0.0/33", "must be a network"),
        (10, "must be a network"),
        ([], "an empty list"),
        (["10.0.0.1"] * (NETWORKS_MAX + 1), "must be 1 to 256"),
        (["x", "y"], '"x" must be .*; "y" must be'),
    ],
)
def test_what_is_no_network(value: object, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        KIND.read(value)


@given(st.text(max_size=60) | st.integers() | st.lists(st.text(max_size=20), max_size=4))
def test_whatever_is_written_is_read_or_refused(value: object) -> None:
    try:
        read = KIND.read(value)
    except ValueError:
        return
    assert KIND.read(KIND.show(read).split(", ")) == read


# --- what goes together ---------------------------------------------------------------------------


def made(**table: object) -> Any:
    table.setdefault("port", "/dev/ttyUSB0")
    return GatewayConfig.model_validate({"connections": {"m": table}}).connections["m"]


def fault(**table: object) -> str:
    with pytest.raises(ValidationError) as raised:
        made(**table)
    (error,) = raised.value.errors()
    return f"{error['loc'][-1]}: {error['msg']}"


@pytest.mark.parametrize("listen", ["*:1", "0.0.0.0:1", "[::]:1", "192.0.2.7:1", "host.example:1"])
def test_nothing_is_open_beyond_this_machine_unless_that_is_said(listen: str) -> None:
    assert fault(listen=listen).startswith(f"listen: {listen}: everybody who reaches it")
    for more in (
        {"open": True},
        {"password_file": "/p"},
        {"password": True},
        {"allow": "10.0.0.0/8"},
        {"tls": True, "client_ca": "/ca"},
    ):
        one = made(listen=listen, **more)
        assert bool(open_doors(one)) == ("open" in more)
        assert ("open to everybody" in access(one)) == ("open" in more)
    assert "everybody" in fault(listen=listen, tls=True)
    assert "everybody" in fault(listen=listen, deny="10.0.0.0/8")


@pytest.mark.parametrize(
    "allow", ["0.0.0.0/0", "::/0", ["0.0.0.0/1", "128.0.0.0/1"], ["10.0.0.0/8", "::ffff:0:0/96"]]
)
def test_networks_that_keep_nobody_out_are_open(allow: object) -> None:
    for listen in ("*:1", "192.0.2.7:1"):
        told = fault(listen=listen, allow=allow)
        assert told.startswith(f"listen: {listen}: allow keeps nobody out, so everybody who")
        assert "everybody" in fault(listen=listen, allow=allow, deny="10.0.0.0/8")
        one = made(listen=listen, allow=allow, open=True)
        assert open_doors(one) == [listen]
        assert "open to everybody who reaches" in access(one)
        assert not open_doors(made(listen=listen, allow=allow, password=True))
    assert not open_doors(made(allow=allow))
    half = made(listen="*:1", allow=["0.0.0.0/1", "129.0.0.0/8", "fd00::/8"])
    assert not open_doors(half)


@pytest.mark.parametrize("listen", [4001, "127.0.0.5:1", "[::1]:1", "localhost:1"])
def test_this_machine_needs_no_word(listen: object) -> None:
    assert access(made(listen=listen)) == "everybody on this machine"


@pytest.mark.parametrize(
    ("table", "is_open"),
    [
        ({"connect": "192.0.2.7:1"}, False),
        ({"connect": "192.0.2.7:1", "listen": "*:1"}, False),
        ({"connect": "239.1.2.3:1", "listen": "*:1"}, True),
        ({"connect": "239.1.2.3:1", "listen": 1}, False),
        ({"connect": "255.255.255.255:1", "listen": "*:1"}, True),
        ({"accept": "learn", "listen": "*:1"}, True),
        ({"accept": "any", "listen": "0.0.0.0:1"}, True),
        ({"accept": "learn", "listen": 1}, False),
    ],
)
def test_datagrams_of_everybody(table: dict[str, object], is_open: bool) -> None:
    if is_open:
        assert "everybody who reaches it" in fault(kind="udp", **table)
        assert open_doors(made(kind="udp", open=True, **table))
    else:
        assert not open_doors(made(kind="udp", **table))


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"open": True, "allow": "::1"}, "open: says that everybody is let in, and allow keeps"),
        ({"open": True, "password": True}, "open: says that everybody is let in, and a password"),
        ({"password": True, "password_file": "/p"}, "password: password and password-file exclude"),
        ({"password_prompt": "tls"}, "password_prompt: asks for a password, and there is none"),
        ({"password_file": "p"}, 'password_file: "p" must be the path of a file, from / on'),
    ],
)
def test_contradictions(table: dict[str, object], text: str) -> None:
    assert fault(**table).startswith(text)


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"connect": "239.1.2.3:1"}, "connect: 239.1.2.3:1: a password is proved by one end"),
        ({"listen": 1, "accept": "any"}, "accept: any takes datagrams of those who are not"),
    ],
)
def test_a_password_is_proved_to_one(table: dict[str, object], text: str) -> None:
    assert fault(kind="udp", password_file="/p", **table).startswith(text)


def test_a_client_has_no_networks() -> None:
    assert "is an option of kind server or udp" in fault(kind="client", connect="h:1", allow="::1")


# --- the secrets themselves -----------------------------------------------------------------------


def file(folder: Path, text: str, mode: int = 0o600) -> str:
    path = folder / "password"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def config(**connections: dict[str, object]) -> GatewayConfig:
    return GatewayConfig.model_validate({"connections": connections})


def test_a_server_keeps_no_password_and_all_of_a_file_have_the_same_salt(tmp_path: Path) -> None:
    path = file(tmp_path, "pencil\n")
    found = secrets(
        config(
            a={"port": "/dev/a", "listen": 1, "password_file": path},
            b={"port": "/dev/b", "listen": 2, "password_file": path},
            c={"kind": "client", "virtual": "c", "connect": "h:1", "password_file": path},
            d={"kind": "udp", "virtual": "d", "connect": "h:1", "password_file": path},
            e={"port": "/dev/e", "listen": 3},
        )
    )
    a, b, c, d, e = (found[name] for name in "abcde")
    assert a is not None
    assert b is not None
    assert c is not None
    assert d is not None
    assert e is None
    assert (a.password, a.verifier) == (None, b.verifier)
    assert (c.password, c.verifier) == (Password("pencil"), None)
    assert (d.password, d.verifier) == (Password("pencil"), a.verifier)


def test_the_environment_or_somebody_at_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ask() -> str:
        asked.append("typed")
        return "typed"

    one = config(
        a={"kind": "client", "virtual": "a", "connect": "h:1", "password": True},
        b={"kind": "client", "virtual": "b", "connect": "h:1", "password": True},
    )
    monkeypatch.delenv("PORTLINE_PASSWORD", raising=False)
    with pytest.raises(ConfigError, match="there is no environment variable PORTLINE_PASSWORD"):
        secrets(one)
    found = secrets(one, ask)
    assert asked == ["typed"]
    assert [each and each.password for each in found.values()] == [Password("typed")] * 2
    monkeypatch.setenv("PORTLINE_PASSWORD", "set")
    assert secrets(one, ask)["a"] == secrets(one)["a"]
    monkeypatch.setenv("PORTLINE_PASSWORD", "\x07secret")
    with pytest.raises(ConfigError) as raised:
        secrets(one)
    assert "secret" not in str(raised.value)


def test_a_password_that_only_a_server_needs_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = file(tmp_path, "pencil\n")
    server = {"port": "/dev/a", "listen": 1, "password_file": path}
    client = {"kind": "client", "virtual": "c", "connect": "h:1", "password_file": path}
    secrets(config(a=server, c=client))
    assert not caplog.records
    for _ in range(2):
        secrets(config(a=server, b={**server, "port": "/dev/b", "listen": 2}))
    (told,) = caplog.records
    assert f"`portline password --force {path}` stores it so" in told.getMessage()
    assert "pencil" not in told.getMessage()
    salted = file(tmp_path, Password("pencil").verifier(4096).line())
    secrets(config(a={**server, "password_file": salted}))
    assert len(caplog.records) == 1


def test_a_file_with_mistakes_is_told_with_its_line(tmp_path: Path) -> None:
    path = file(tmp_path, "pencil", 0o644)
    document = tmp_path / "portline.toml"
    document.write_text(f'[connections.m]\nport = "/dev/x"\npassword-file = "{path}"\n')
    with pytest.raises(ConfigError) as raised:
        load(document)
    assert str(raised.value).startswith(f"{document}:3: connections.m.password-file: {path} can be")
    with pytest.raises(ConfigError, match=r"connections\.m\.password-file: .* can be read"):
        secrets(config(m={"port": "/dev/x", "password_file": path}))
