from __future__ import annotations

from portline.cli.details import details, differences
from portline.config.models import ServerConnection, options
from portline.config.options import Group, key_of
from tests.unit.cli.answers import connection

REAL = {
    "port": "/dev/ttyUSB0",
    "packet-delimiter": ["\r\n", 3],
    "keepalive": 0,
    "buffer-size": "1MiB",
    "nodelay": False,
}


def test_what_is_not_at_its_default_is_named() -> None:
    assert differences(connection(options=REAL | {"keepalive": 30}), 80) == [
        "  options   packet-delimiter = \\r\\n, \\x03; keepalive = 30s; buffer-size = 1MiB;",
        "            nodelay = false",
    ]
    assert differences(connection(), 80) == []


def test_every_option_is_in_its_group() -> None:
    lines = details(connection(options=REAL), 80)
    titles = [line.strip() for line in lines if line.startswith("  ") and line[2] != " "]
    assert titles == [group.value for group in Group]
    keys = [line.split()[0] for line in lines if line.startswith("    ")]
    assert sorted(keys) == sorted(key_of(field) for field in options(ServerConnection))
    assert max(map(len, lines)) <= 80


def test_values_are_written_as_in_a_file() -> None:
    lines = details(connection(options=REAL), 80)
    for line in (
        "    port                 /dev/ttyUSB0",
        "    virtual              -",
        "    baudrate             9600",
        "    packet-delimiter     \\r\\n, \\x03 (default: none)",
        "    keepalive            off (default: 10s)",
        "    inactivity           off",
        "    buffer-size          1MiB (default: 0)",
        "    nodelay              false (default: true)",
        "    strict-baudrate      - (does not apply to a real port)",
        "    notify               - (does not apply to protocol raw)",
    ):
        assert line in lines


def test_an_option_of_another_version_is_shown_as_it_is() -> None:
    made = connection()
    made["options"]["new-thing"] = "x\n"
    assert differences(made, 80) == ["  options   new-thing = x\\n"]
    made["options"]["new-thing"] = None
    assert differences(made, 80) == []
