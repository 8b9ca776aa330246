from __future__ import annotations

import pytest

from portline.config.models import MODELS, ConnectionConfig, ServerConnection, options
from portline.config.options import (
    EXCLUSIONS,
    Combination,
    Group,
    applies_to,
    exclusion,
    key_of,
)
from portline.config.values import Protocol

REAL_RAW, REAL_RFC2217, VIRTUAL_RAW, VIRTUAL_RFC2217 = Combination

# Options that do nothing unless they are written, so there is no default to give a reason for.
WITHOUT_DEFAULT = {
    *("kind", "port", "virtual", "connect", "proxy"),
    *("certificate", "key", "client_ca", "client_crl", "ca", "fingerprint", "tls_name"),
}

# Every option, and where it applies: real raw, real rfc2217, virtual raw, virtual rfc2217.
TABLE = {
    (True, True, False, False): (
        "baudrate data-bits parity stop-bits flow-control exclusive open-when-connected "
        "when-absent rs485 rs485-rts-on-send rs485-delay-before rs485-delay-after "
        "rs485-rx-during-tx low-latency "
        "dtr-connected rts-connected dtr-disconnected rts-disconnected"
    ),
    (True, True, True, True): (
        "kind enabled protocol packet-size packet-delimiter packet-strip packet-wait packet-idle "
        "packet-pause keepalive keepalive-retry inactivity when-full idle-after buffer-size "
        "buffer-overflow backlog-size overflow nodelay listen connect connect-to proxy "
        "connect-timeout retry retry-max interface multicast-ttl multicast-loop datagram-size "
        "accept max-learned forget-after password-file password password-prompt allow deny open "
        "tls certificate key tls-minimum client-ca client-crl ca "
        "fingerprint tls-name"
    ),
    (True, False, True, False): "max-connections receive-from send-to",
    (False, False, True, True): (
        "backend adapter "
        "overlap strict-baudrate listen-when-open connect-when-open cts-connected dsr-connected "
        "dcd-connected ri-connected cts-disconnected dsr-disconnected dcd-disconnected "
        "ri-disconnected"
    ),
    (False, True, False, True): "notify allow-dtr allow-rts allow-break",
    (False, True, False, False): "allow-settings cross-lines reset-sequences",
    (False, False, False, True): "answers allow-cts allow-dsr allow-dcd allow-ri",
}


@pytest.mark.parametrize(
    ("key", "marks"), [(key, marks) for marks, keys in TABLE.items() for key in keys.split()]
)
def test_each_option_applies_where_the_table_says(
    key: str, marks: tuple[bool, bool, bool, bool]
) -> None:
    applies = applies_to(key.replace("-", "_"))
    assert tuple(item in applies for item in Combination) == marks


def test_the_table_speaks_of_options_that_exist() -> None:
    assert set(EXCLUSIONS) <= {field for model in MODELS.values() for field in options(model)}


def test_the_table_of_this_test_has_every_option_once() -> None:
    keys = [key for keys in TABLE.values() for key in keys.split()]
    chosen_between = {"port", "virtual"}  # by a rule of their own: exactly one of them
    known = {key_of(field) for model in MODELS.values() for field in options(model)}
    assert sorted(keys) == sorted(known - chosen_between)


@pytest.mark.parametrize("model", MODELS.values())
def test_every_field_is_an_option_and_explains_itself(model: type[ConnectionConfig]) -> None:
    known = options(model)
    assert set(known) == set(model.model_fields)
    for field, option in known.items():
        assert option.text[0].isupper(), field
        assert not option.text.endswith("."), field
        assert option.why or field in WITHOUT_DEFAULT, field


@pytest.mark.parametrize("model", MODELS.values())
def test_the_options_stand_in_the_order_of_the_groups(model: type[ConnectionConfig]) -> None:
    groups = [option.group for option in options(model).values()]
    assert groups == sorted(groups, key=list(Group).index)


@pytest.mark.parametrize("field", options(ServerConnection))
def test_every_default_is_a_value_that_the_option_takes(field: str) -> None:
    option = options(ServerConnection)[field]
    default = ServerConnection.model_fields[field].default
    if default is not None:
        assert option.kind.read(default) == default
        assert option.kind.show(default)


def test_an_option_applies_if_it_applies_to_any_combination() -> None:
    assert exclusion("notify", [REAL_RAW, REAL_RFC2217]) is None
    assert exclusion("listen", [REAL_RAW]) is None
    assert exclusion("notify", []) is None


def test_an_exclusion_tells_where_why_and_what_to_do() -> None:
    found = exclusion("allow_settings", [VIRTUAL_RAW])
    assert found is not None
    assert str(found) == (
        "does not apply to a virtual port, because the application that opens it decides, and the "
        "peer follows; leave it out, or share a real port (option port)"
    )


def test_a_combination_knows_whether_its_port_is_virtual() -> None:
    assert Combination.of(virtual=True, protocol=Protocol.RFC2217) is VIRTUAL_RFC2217
    assert [item.is_virtual for item in Combination] == [False, False, True, True]
    assert key_of("max_connections") == "max-connections"
