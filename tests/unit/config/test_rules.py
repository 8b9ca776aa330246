from __future__ import annotations

import pytest

from portline.config.rules import Fault, contradictions, folded, unknown
from portline.config.values import Protocol
from portline.hub.policy import WhenFull

FIELDS = ("port", "max_connections", "listen")


def texts(faults: list[Fault]) -> str:
    return "\n".join(f"{'.'.join(fault.location)}: {fault.text}" for fault in faults)


def test_both_spellings_of_a_key_are_accepted() -> None:
    assert folded({"max-connections": 1, "port": 2}, FIELDS) == (
        {"max_connections": 1, "port": 2},
        [],
    )
    assert folded({"max_connections": 1}, FIELDS)[0] == {"max_connections": 1}


def test_both_spellings_at_once_are_a_mistake() -> None:
    table, faults = folded({"max-connections": 1, "max_connections": 2}, FIELDS)
    assert table == {"max_connections": 1}
    assert "written twice" in texts(faults)


def test_a_key_that_is_no_option_is_told_with_the_nearest() -> None:
    assert folded({"max-conections": 1}, FIELDS) == (
        {},
        [Fault(("max-conections",), 'unknown option; did you mean "max-connections"?')],
    )
    assert unknown("xyz", FIELDS) == "unknown option; take it out"


def test_a_key_of_another_kind_is_told_with_the_kinds_that_have_it() -> None:
    said = folded({"connect-to": "all"}, FIELDS, "server", {"connect_to": ["client"]})[1]
    assert said == [
        Fault(
            ("connect-to",),
            "is an option of kind client, and this is of kind server; "
            "take it out, or write another kind",
        )
    ]


def test_a_port_is_needed_and_one_is_enough() -> None:
    assert contradictions({"port": "/dev/x"}) == []
    assert contradictions({"virtual": "x"}) == []
    assert "needs a port" in texts(contradictions({}))
    assert "exclude each other" in texts(contradictions({"port": "/dev/x", "virtual": "x"}))


@pytest.mark.parametrize("backend", ["auto", "usbip", "PTY", "cuse", None, "nonsense"])
def test_an_adapter_goes_with_usb_ports(backend: str | None) -> None:
    table = {"virtual": "x", "adapter": "ftdi"} | ({} if backend is None else {"backend": backend})
    said = texts(contradictions(table))
    assert ("pty has none" in said) is (backend == "PTY")
    assert ("cuse has none" in said) is (backend == "cuse")


@pytest.mark.parametrize("option", ["backend", "adapter"])
def test_a_real_port_is_not_made(option: str) -> None:
    assert "does not apply to a real port" in texts(contradictions({"port": "/dev/x", option: 1}))


@pytest.mark.parametrize(
    ("table", "refused"),
    [
        ({"virtual": "v", "parity": "none"}, "a virtual port"),
        ({"port": "/dev/x", "listen_when_open": False}, "a real port"),
        ({"port": "/dev/x", "notify": True}, "protocol raw"),
        ({"port": "/dev/x", "protocol": "rfc2217", "send_to": "all"}, "protocol rfc2217"),
        ({"port": "/dev/x", "protocol": Protocol.RFC2217, "send_to": "all"}, "protocol rfc2217"),
        ({"port": "/dev/x", "listen": "rfc2217://1", "send_to": "all"}, "protocol rfc2217"),
        ({"port": "/dev/x", "listen": ["1", "rfc2217://2"], "send_to": "all", "notify": 1}, ""),
        # Where it is unclear what is meant, nothing is said before that is clear.
        ({"parity": "none", "listen_when_open": True}, ""),
        ({"port": "/dev/x", "protocol": "telnet", "send_to": "all", "notify": 1}, ""),
        ({"port": "/dev/x", "listen": "?", "send_to": "all", "notify": 1}, ""),
    ],
)
def test_an_explicit_option_has_to_apply(table: dict[str, object], refused: str) -> None:
    told = texts([f for f in contradictions(table) if "does not apply" in f.text])
    assert (f"does not apply to {refused}, because" in told) if refused else told == ""


@pytest.mark.parametrize("rule", ["replace-idle", "Replace_Idle", WhenFull.REPLACE_IDLE, "?"])
def test_idle_after_goes_with_replace_idle_however_it_is_written(rule: object) -> None:
    assert contradictions({"port": "/dev/x", "when_full": rule, "idle_after": 5}) == []


@pytest.mark.parametrize("table", [{}, {"when_full": "refuse"}, {"when_full": WhenFull.REFUSE}])
def test_idle_after_alone_is_a_mistake(table: dict[str, object]) -> None:
    (fault,) = contradictions({"port": "/dev/x", "idle_after": 5, **table})
    assert fault.location == ("idle_after",)
    assert "replace-idle" in fault.text


@pytest.mark.parametrize("off", ["off", "OFF", 0, "0s"])
def test_a_second_probe_needs_a_first_one(off: object) -> None:
    told = texts(contradictions({"port": "/dev/x", "keepalive": off, "keepalive_retry": 5}))
    assert told.startswith("keepalive_retry: says when to probe again, but keepalive = off")


@pytest.mark.parametrize(
    "table", [{"keepalive_retry": 5}, {"keepalive": 9, "keepalive_retry": 5}, {"keepalive": "off"}]
)
def test_keepalive_may_be_set_in_part(table: dict[str, object]) -> None:
    assert contradictions({"port": "/dev/x", **table}) == []


@pytest.mark.parametrize("on", ["on", "software", "On "])
@pytest.mark.parametrize(
    ("option", "value", "fault"),
    [
        ("flow_control", "hardware", "hardware needs RTS"),
        ("rts_connected", "high", "RTS is what switches"),
        ("cross_lines", True, "drives RTS"),
        ("reset_sequences", "esp32", "need RTS"),
        ("reset_sequences", "off", ""),
        ("rts_disconnected", "low", "RTS is what switches"),
        ("rts_disconnected", "leave", ""),
        ("flow_control", "xon-xoff", ""),
        ("rs485_delay_before", 0.01, ""),
        ("dtr_connected", "high", ""),
    ],
)
def test_rs485_has_rts_for_itself(on: str, option: str, value: object, fault: str) -> None:
    table = {"port": "/dev/x", "protocol": "rfc2217", "rs485": on, option: value}
    faults = contradictions(table)
    assert [each.location for each in faults] == ([(option,)] if fault else [])
    assert fault in texts(faults)


def test_options_of_rs485_need_rs485() -> None:
    table: dict[str, object] = {"port": "/dev/x", "rs485_delay_after": 0.01, "rs485": "off"}
    (fault,) = contradictions(table)
    assert fault.location == ("rs485_delay_after",)
    assert 'write rs485 = "on" too' in fault.text
    assert contradictions({**table, "rs485": "nonsense"}) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"ca": "/ca.pem"}, "ca: is about TLS, which is off; write tls = true too"),
        ({"tls": False, "tls_minimum": "1.2"}, "tls_minimum: is about TLS, which is off"),
        ({"tls": True, "key": "/key.pem"}, "key: belongs to a certificate"),
        ({"tls": True, "client_crl": "/crl.pem"}, "client_crl: says who is not let in"),
        ({"tls": True, "tls_name": "x"}, "tls_name: is what a CA has signed; give ca too"),
    ],
)
def test_options_of_encryption_that_say_nothing_are_refused(
    options: dict[str, object], says: str
) -> None:
    assert says in texts(contradictions({"port": "/dev/ttyS0", "listen": "4001", **options}))


def test_datagrams_cannot_be_encrypted_and_it_is_told_why() -> None:
    for key in ("tls", "ca", "certificate"):
        (fault,) = folded({key: "x"}, ("port",), "udp", {key: ["server", "client"]})[1]
        assert "DTLS" in fault.text
        assert "VPN" in fault.text
