from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from portline.cli.app import main
from portline.cli.flags import connection_options
from portline.config.models import ClientConnection, options
from tests.unit.cli.conftest import Runs


def attach(*words: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(main, ["attach", *words])
    return result.exit_code, result.output.splitlines()


def test_there_is_a_flag_for_every_option_but_the_hosts() -> None:
    fields = [flag.name for flag in connection_options("client", {"connect"})]
    assert fields == [f for f in options(ClientConnection) if f not in {"kind", "connect"}]


def test_a_host_and_the_name_of_a_port_are_enough(runs: Runs) -> None:
    assert attach("192.0.2.7:4001", "--virtual", "/tmp/ttyV0") == (0, [])
    ((config, _, announce),) = runs
    connection = config.connections["ttyV0"]
    assert isinstance(connection, ClientConnection)
    assert [str(place) for place in connection.places()] == ["raw://192.0.2.7:4001"]
    assert connection.virtual == "/tmp/ttyV0"
    assert announce


def test_several_hosts_and_a_real_port_meant_from_here(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("rfc2217://a:1", "b:2", "--port", "./ttyX", "--protocol", "rfc2217")
    assert attach(*words, "--retry", "1s") == (0, [])
    (connection,) = runs[0][0].connections.values()
    assert [str(place) for place in connection.places()] == ["rfc2217://a:1", "rfc2217://b:2"]
    assert connection.port == str(tmp_path / "ttyX")


@pytest.mark.parametrize(
    ("words", "mistakes"),
    [
        (
            "",
            [
                "a port is missing: --virtual NAME makes one, --port PATH takes a real one",
                "a host is missing: write it first, like 192.0.2.7:4001",
            ],
        ),
        ("*:1 --virtual v", ['HOST: "*:1" is no host to connect to; name one and a port']),
        (
            "h:1 --virtual v --port /dev/x",
            ["--virtual: --port and --virtual exclude each other; keep one of them"],
        ),
        (
            "h:1 --virtual v --retry 9s",
            ["--retry: retry 9 s is longer than --retry-max 5 s; make it shorter"],
        ),
        (
            "h:1 i:2 --virtual v --protocol rfc2217 --connect-to all",
            [
                "--connect-to: all does not apply to --protocol rfc2217, because one port has one "
                "set of settings; write first, or choose --protocol raw"
            ],
        ),
    ],
)
def test_mistakes_speak_of_flags(words: str, mistakes: list[str]) -> None:
    assert attach(*words.split()) == (2, [f"portline: error: {each}" for each in mistakes])
