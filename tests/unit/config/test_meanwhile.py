from __future__ import annotations

import pytest

from portline.config.document import parse
from portline.config.meanwhile import demand_unchanged
from portline.config.options import Combination, exclusion
from portline.config.spelling import known_options, option_values
from portline.control.snapshot import combinations
from portline.errors import ChangedMeanwhile

TEXT = """\
[connections.meter]
port = "/dev/x"
baudrate = 9600
packet_pause = "20ms"
listen = ["127.0.0.1:4001", "127.0.0.1:4002"]
"""


def shown(text: str) -> dict[str, object]:
    """What a status shows of the options."""
    config = parse(text).connections["meter"]
    chosen: frozenset[Combination] = combinations(config)
    without = [f for f in known_options(type(config)) if exclusion(f, chosen) is not None]
    return option_values(config) | dict.fromkeys(field.replace("_", "-") for field in without)


SEEN = shown(TEXT)


def faults(text: str, options: dict[str, object], was: dict[str, object] = SEEN) -> dict[str, str]:
    try:
        demand_unchanged(text, "meter", options, was)
    except ChangedMeanwhile as error:
        return dict(error.faults)
    return {}


def test_what_was_seen_may_be_changed() -> None:
    changes: dict[str, object] = {
        "baudrate": 300, "packet-pause": None, "listen": "127.0.0.1:5", "protocol": "rfc2217",
        "parity": "even", "notify-changes": True, "port": None, "virtual": "x",
    }  # fmt: skip
    assert faults(TEXT, changes) == {}


def test_a_change_over_another_one_is_told_with_both_values() -> None:
    other = TEXT.replace("9600", "19200").replace("20ms", "30 ms")
    assert faults(other, {"parity": "even"}) == {}
    found = faults(other, {"baudrate": 300, "packet_pause": None, "parity": "even"})
    assert found == {
        "baudrate": "somebody has changed this to 19200 meanwhile; it was 9600 when you began; "
        "save again if yours is to hold",
        "packet-pause": "somebody has changed this to 0.03 meanwhile; it was 0.02 when you began; "
        "save again if yours is to hold",
    }
    without = TEXT.replace("baudrate = 9600\n", "baudrate = 1200\n")
    assert faults(without, {"baudrate": 300}, {}) == {}


def test_what_both_want_is_no_conflict() -> None:
    other = TEXT.replace("9600", "19200").replace('packet_pause = "20ms"\n', "")
    assert faults(other, {"baudrate": 19200, "packet-pause": None}) == {}


def test_another_spelling_is_no_change() -> None:
    other = TEXT.replace("packet_pause", "packet-pause").replace("20ms", "0.02 s")
    assert faults(other, {"packet-pause": "5ms"}) == {}


@pytest.mark.parametrize("text", ["[connections.", "[connections.other]\n", "connections = 3\n"])
def test_what_is_no_such_connection_is_for_others_to_refuse(text: str) -> None:
    assert faults(text, {"baudrate": 300}) == {}


def test_a_long_value_is_cut_short() -> None:
    listen = ", ".join(f'"127.0.0.1:{port}"' for port in range(4001, 4101))
    other = TEXT.replace('["127.0.0.1:4001", "127.0.0.1:4002"]', f"[{listen}]")
    assert len(faults(other, {"listen": "127.0.0.1:5"})["listen"]) < 500
