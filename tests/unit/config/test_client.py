from __future__ import annotations

import pytest
from pydantic import ValidationError

from portline.config.models import ClientConnection, GatewayConfig, ServerConnection
from portline.config.refusal import faults_of


def mistakes(**table: object) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        ClientConnection.model_validate({"virtual": "v", "connect": "h:1"} | table)
    return [f"{'.'.join(fault.location)}: {fault.text}" for fault in faults_of(caught.value)]


def test_the_kind_chooses_the_model() -> None:
    config = GatewayConfig.model_validate(
        {
            "connections": {
                "near": {"port": "/dev/x"},
                "far": {"kind": "client", "virtual": "v", "connect": ["h:1", "rfc2217://[::1]:2"]},
            }
        }
    )
    near, far = config.connections.values()
    assert isinstance(near, ServerConnection)
    assert isinstance(far, ClientConnection)
    assert [str(place) for place in far.places()] == ["raw://h:1", "rfc2217://[::1]:2"]
    assert GatewayConfig(connections=dict(config.connections)) == config


def test_an_unknown_kind_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match="must be one of server, client"):
        GatewayConfig.model_validate({"connections": {"x": {"kind": "router", "port": "/dev/x"}}})


def test_a_model_is_of_one_kind() -> None:
    assert mistakes(kind="server") == ['kind: "server" is not what this is: client']


def test_the_same_host_may_be_called_by_several() -> None:
    far = {"kind": "client", "connect": "h:1"}
    tables = {"a": far | {"virtual": "v"}, "b": far | {"virtual": "w"}}
    assert len(GatewayConfig.model_validate({"connections": tables}).connections) == 2


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"connect": []}, "connect: an empty list; write at least one address"),
        ({"connect": "h:0"}, 'connect: "h:0" is no host to connect to; name one and a port'),
        ({"connect": ["h:1", "h:1"]}, "connect: h:1 is listed twice"),
        ({"connect": 7}, None),
        (
            {"listen": 1},
            "listen: is an option of kind server or udp, and this is of kind client; take it out",
        ),
        (
            {"retry": 2, "retry_max": 1},
            "retry_max: retry 2 s is longer than retry-max 1 s; make it shorter",
        ),
        ({"proxy": "ftp://h:1"}, "proxy: "),
        ({"proxy": 5}, 'proxy: 5 must be "socks5://HOST:PORT"'),
    ],
)
def test_mistakes(table: dict[str, object], said: str | None) -> None:
    if said is None:
        ClientConnection.model_validate({"virtual": "v", **table})
    else:
        assert mistakes(**table)[0].startswith(said)


def test_the_password_of_a_proxy_is_not_shown() -> None:
    made = ClientConnection.model_validate(
        {"virtual": "v", "connect": "h:1", "proxy": "socks5://me:secret@p:1080"}
    )
    assert "secret" not in repr(made)
    assert made.proxy is not None
    assert made.proxy.password == "secret"
