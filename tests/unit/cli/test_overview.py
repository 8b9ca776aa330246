from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import portline
from portline.cli.overview import NUMBERS, TRAFFIC, overview
from portline.line import FlowControl, LineSettings, Parity
from portline.net.tls.mistrust import Failure
from portline.service.status import ConnectionStatus, PeerStatus, PortStatus, State
from tests.unit.cli.answers import connection


def counters() -> set[str]:
    """Return the names of all that a connection and its port count."""
    return {
        field.name
        for kind in (ConnectionStatus, PortStatus)
        for field in fields(kind)
        if field.type == "int"
    }


def test_a_real_port_is_shown_with_its_settings_and_where_it_listens() -> None:
    assert overview(connection(), 80) == [
        "meter: listening",
        "  port      /dev/ttyUSB0, 115200-8N1 hardware, open",
        "  listens   127.0.0.1:4001 (raw)",
        "  lines     DTR on, RTS off (out), CTS on, DSR off, DCD off, RI off (in)",
        "  traffic   0 B from the port (0 B/s), 0 B to the port (0 B/s)",
    ]


def test_a_port_that_is_absent() -> None:
    port = {"name": "usb:0403:6001", "path": None, "open": False}
    lines = overview(
        connection(port=port, state=State.PORT_ABSENT, reason="it is not there", places=()), 80
    )
    assert lines[:3] == [
        "meter: port absent - it is not there",
        "  port      usb:0403:6001, 115200-8N1 hardware, not open",
        "  listens   nowhere",
    ]
    assert not any(line.startswith("  lines") for line in lines)


def test_a_virtual_port_is_shown_with_what_its_application_has_set() -> None:
    settings = LineSettings(
        1200, 7, Parity.EVEN, flow_control=FlowControl.NONE, inbound_flow=FlowControl.HARDWARE
    )
    port = {"name": "ttyV0", "path": "/dev/ttyV0", "in_use": True, "settings": settings}
    lines = overview(connection(port=port), 80)
    assert lines[1:4] == [
        "  port      ttyV0 (/dev/ttyV0), virtual, 1200-7E1 inbound hardware, an",
        "            application has it open",
        "  listens   127.0.0.1:4001 (raw)",
    ]
    assert (
        lines[4] == "  lines     CTS on, DSR off, DCD off, RI off (as the application reads them)"
    )
    made = connection(port=port | {"in_use": False})
    made["port"]["inputs"] = {"cts": False, "dsr": True, "dcd": True, "ri": False}
    lines = overview(made, 80)
    assert lines[4] == "  lines     CTS off, DSR on, DCD on, RI off (as the application reads them)"
    assert "no application has it open" in " ".join(" ".join(lines).split())


def test_peers_are_a_table_of_what_there_is_to_say() -> None:
    quick = PeerStatus(1, "127.0.0.1:50312", "raw", 5.0, 512, 1_234_567, 0, 0, 0)
    slow = PeerStatus(2, "[::1]:4", "rfc2217", 90_000_000.0, 0, 0, 7, 20_000, 3)
    lines = overview(connection(peers=(quick,)), 80)[5:]
    assert lines[0] == "  peers     ADDRESS          PROTOCOL  SINCE     IN     OUT"
    assert re.fullmatch(r" {12}127\.0\.0\.1:50312  raw {7}\d\d:\d\d:\d\d  512 B  1\.2 MB", lines[1])
    lines = overview(connection(peers=(quick, slow)), 80)[5:]
    assert lines[0].split()[-4:] == ["WAITING", "DROPPED", "NOT", "UNDERSTOOD"]
    assert lines[1].endswith("0 B      0 B      0")
    assert lines[2].endswith("7 B      20.0 kB  3")
    assert re.search(r"20\d\d-\d\d-\d\d \d\d:\d\d ", lines[2])


def test_traffic_and_what_was_counted() -> None:
    made = connection(heard=12_000, spoken=5, rates=None, dropped=1, turned_away=2)
    made["port"]["discarded"] = 3
    assert overview(made, 80)[4:] == [
        "  traffic   12.0 kB from the port, 5 B to the port",
        "  counted   1 B dropped for peers that read too slowly, went or were not there;",
        "            2 turned away;",
        "            3 B for the port discarded (it was away or not open, or purged)",
    ]


def test_in_detail_every_counter_is_shown() -> None:
    lines = overview(connection(), 80, everything=True)
    assert lines[5:7] == ["", "  Counters"]
    texts = (
        NUMBERS[name].format(bytes="0 B", count=0, s="s", es="es")
        for name in counters() - {*TRAFFIC}
    )
    assert sorted(lines[7:]) == sorted(f"    {text}" for text in texts)


def test_every_counter_has_words() -> None:
    assert counters() | {"operators_dropped"} <= {*NUMBERS, *TRAFFIC}


def test_the_page_has_words_for_the_same_counters() -> None:
    script = Path(portline.__file__).parent / "web/static/script/counters.js"
    words = script.read_text().split("const WORDS = {")[1].split("\n};")[0]
    assert set(re.findall(r"^  (\w+):", words, re.MULTILINE)) == NUMBERS.keys()


def test_a_counter_without_words_is_shown_all_the_same() -> None:
    made = connection()
    made["counters"]["bits_turned"] = 4
    assert overview(made, 80)[-1] == "  counted   4 bits turned"


def test_names_move_no_cursor() -> None:
    made = connection("Zähler \x1b[2J", places=("\n",), reason="\r")
    text = "".join(overview(made, 80))
    assert text.isprintable()
    assert "Zähler \\x1b[2J" in text


def test_a_driver_is_shown_where_something_is_known_of_it() -> None:
    known = {"driver": "ftdi_sio", "features": ("low latency",), "lines": "waited for"}
    known["counters"] = {"framing": 2, "overrun": 0}
    shown = "ftdi_sio, low latency, lines waited for, 2 framing errors"
    assert f"  driver    {shown}" in overview(connection(port={"hardware": known}), 80)
    nothing = {"driver": "", "features": (), "lines": "none", "counters": None}
    lines = overview(connection(port={"hardware": nothing, "has_lines": False}), 80)
    assert not any(line.startswith("  driver") for line in lines)
    lines = overview(connection(port={"hardware": nothing | {"features": ("RS-485",)}}), 80)
    assert "  driver    unknown, RS-485" in lines


def test_a_device_without_signal_lines_is_told_to_have_none() -> None:
    lines = overview(connection(port={"has_lines": False}), 80)
    assert "  lines     none: the device has no signal lines" in lines
    older = connection()
    del older["port"]["has_lines"]
    assert overview(older, 80) == overview(connection(), 80)


def test_encryption_is_shown_with_what_protects_each_peer() -> None:
    made = connection(
        security={"minimum": "1.3", "certificate": "sha256:abcd", "handshakes": 2},
    )
    peer = {
        "address": "192.0.2.1:5",
        "protocol": "raw",
        "connected_for": 1,
        **dict.fromkeys(("received", "sent", "waiting", "dropped", "malformed"), 0),
    }
    shown = {"version": "TLSv1.3", "cipher": "x", "subject": "", "fingerprint": ""}
    made["peers"] = [
        peer | {"security": shown | {"subject": "me"}},
        peer | {"security": shown | {"fingerprint": f"sha256:{'1' * 64}"}},
        peer | {"security": None},
    ]
    lines = overview(made, 120)
    assert "  security  TLS 1.3 or newer, certificate sha256:abcd, 2 handshakes under way" in lines
    table = lines[lines.index(next(line for line in lines if "ENCRYPTION" in line)) :]
    assert "TLSv1.3 me" in table[1]
    assert f"TLSv1.3 sha256:{'1' * 16}" in table[2]
    assert "none" in table[3]


def test_every_failure_of_a_handshake_is_told_in_words() -> None:
    assert {failure.value for failure in Failure} <= NUMBERS.keys()


def test_nouns_bend_with_their_number() -> None:
    for count, words in ((1, "1 login; 1 request that"), (2, "2 logins; 2 requests that")):
        made = connection(port={"refused": count})
        made["counters"]["logins"] = count
        assert words in " ".join(overview(made, 200))
