from __future__ import annotations

from pathlib import Path

import pytest

from portline.config.examination import Examination, examine
from portline.config.models import GatewayConfig

CONFIG = GatewayConfig.model_validate(
    {
        "connections": {
            "meter": {"port": "/dev/ttyUSB0", "listen": 4001, "baudrate": 300, "parity": "even"},
            "scale": {"virtual": "ttyV0", "listen": [4002, "rfc2217://127.0.0.1:4003"]},
        }
    }
)


def mistakes(found: Examination) -> dict[str, str]:
    return {each.option: each.text for each in found.mistakes}


def test_nothing_is_wrong() -> None:
    found = examine(CONFIG, "new", {"port": "/dev/ttyUSB1", "listen": 4005, "baudrate": "19200"})
    assert found.mistakes == []
    assert found.options["baudrate"] == 19200
    assert found.options["parity"] == "none"
    assert found.options["strict-baudrate"] is None
    assert found.not_applicable["strict-baudrate"].startswith("does not apply to a real port, beca")
    assert found.options.keys() > found.not_applicable.keys()


def test_every_mistake_is_told_beside_its_option(tmp_path: Path) -> None:
    wrong = {"virtual": "ttyV1", "baudrate": 9600, "buffer-size": "x", "nonsense": 1, "listen": 7}
    found = mistakes(examine(CONFIG, "new", wrong))
    assert found.keys() == {"baudrate", "buffer-size", "nonsense"}
    assert found["baudrate"].startswith("does not apply to a virtual port, because")
    assert "unknown option" in found["nonsense"]
    assert mistakes(examine(CONFIG, "new", {"listen": 7})).keys() == {""}
    gone = {"port": "/dev/x", "listen": 7, "password-file": str(tmp_path / "none")}
    assert mistakes(examine(CONFIG, "new", gone)).keys() == {"password-file"}


def test_what_is_wrong_leaves_the_rest_known() -> None:
    wrong = {"virtual": "ttyV1", "keepalive": "x", "buffer-size": "1kB", "listen": 9}
    found = examine(CONFIG, "new", wrong)
    assert mistakes(found).keys() == {"keepalive"}
    assert found.options["buffer-size"] == 1000
    assert found.options["virtual"] == "ttyV1"
    assert found.options["baudrate"] is None
    assert "baudrate" in found.not_applicable


@pytest.mark.parametrize("name", ["meter", "", "a/b", "x" * 65])
def test_a_name_may_be_wrong(name: str) -> None:
    found = mistakes(examine(CONFIG, name, {"port": "/dev/ttyUSB1", "listen": 4005}))
    assert found.keys() == {"name"}


def test_what_it_would_not_share_with_another_one() -> None:
    found = mistakes(examine(CONFIG, "new", {"port": "/dev/ttyUSB0", "listen": 4003}))
    assert found.keys() == {"port", "listen"}
    assert "meter" in found["port"]
    assert "scale" in found["listen"]


def test_a_change_is_of_what_is_there() -> None:
    found = examine(CONFIG, "meter", {"baudrate": 600}, "meter")
    assert found.mistakes == []
    assert (found.options["baudrate"], found.options["parity"]) == (600, "even")
    found = examine(CONFIG, "water", {"baudrate": None, "parity": "odd"}, "meter")
    assert found.mistakes == []
    assert (found.options["baudrate"], found.options["parity"]) == (9600, "odd")
    assert mistakes(examine(CONFIG, "scale", {}, "meter")).keys() == {"name"}
    assert mistakes(examine(CONFIG, "meter", {"listen": 4002}, "meter")).keys() == {"listen"}
    other = examine(CONFIG, "meter", {"port": None, "virtual": "ttyV2"}, "meter")
    assert mistakes(other).keys() == {"baudrate", "parity"}
    with pytest.raises(KeyError):
        examine(CONFIG, "meter", {}, "nobody")


def test_another_kind() -> None:
    options = {"kind": "client", "connect": "192.0.2.1:4001", "virtual": "ttyV3"}
    found = examine(CONFIG, "far", options)
    assert found.mistakes == []
    assert found.options["connect"] == ["192.0.2.1:4001"]
    assert mistakes(examine(CONFIG, "far", {**options, "connect": None})).keys() == {""}
    assert mistakes(examine(CONFIG, "far", {**options, "kind": "sever"})).keys() >= {"kind"}


def test_what_says_nothing_beside_the_other_options() -> None:
    found = examine(CONFIG, "new", {"port": "/dev/x", "listen": 9})
    assert found.not_applicable["certificate"].startswith("is about TLS, which is off; write tls")
    assert found.not_applicable["rs485-delay-before"].startswith("is about RS-485, which is off")
    assert "packet-delimiter" in found.not_applicable["packet-strip"]
    assert "idle-after" in found.not_applicable
    assert found.options["idle-after"] is not None  # it is in force, whatever it says
    assert found.not_applicable.keys().isdisjoint(
        {"port", "virtual", "tls", "open", "password", "password-file", "listen", "rs485"}
    )
    more = {"tls": True, "rs485": "on", "packet-delimiter": ",", "password-file": "/x"}
    found = examine(CONFIG, "new", {"port": "/dev/x", "listen": 9, **more})
    assert found.not_applicable.keys().isdisjoint(
        {"certificate", "rs485-delay-before", "packet-strip", "client-ca", "password-prompt"}
    )
    assert found.not_applicable["key"] == "belongs to a certificate; give certificate too"
    assert "keeps people out" in found.not_applicable["open"]


@pytest.mark.parametrize("kind", ["server", "client", "udp"])
def test_what_is_not_offered_would_be_refused(kind: str) -> None:
    places = {"connect": "127.0.0.1:9"} if kind != "server" else {"listen": 9}
    options = {"kind": kind, "port": "/dev/x", **places}
    found = examine(CONFIG, "new", options)
    assert found.mistakes == []
    for key in found.not_applicable:
        value = found.options[key]
        for written in (True, "/x", 1) if value in (None, False) else (value,):
            wrong = examine(CONFIG, "new", {**options, key: written})
            assert any(mistake.option == key for mistake in wrong.mistakes), key
