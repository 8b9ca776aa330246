from __future__ import annotations

import pytest
from click.testing import CliRunner

from portline.cli.app import main
from tests.unit.cli.conftest import Runs


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("share --ca FILE", "--ca belongs to the end that connects"),
        ("share --fingerprint sha256:0", "who is let in here by certificate says --client-ca"),
        ("attach --client-ca FILE h:1", "which server is trusted here says --ca"),
        ("attach --open h:1", "--open belongs to the end that is connected to (`portline share`)"),
        ("attach --allow 10.0.0.0/8 h:1", "nobody connects to this end"),
        ("udp --tls h:1", "--tls does not apply to datagrams"),
        ("udp --no-tls h:1", "--no-tls does not apply to datagrams"),
        ("udp --certificate FILE h:1", "DTLS"),
        ("udp --max-connections 3 h:1", "is an option of `portline share`, and means nothing to"),
        ("edit meter --kind client", "--kind cannot be changed: a server stays one; remove it"),
        (
            "share --kind client --virtual v",
            "--kind is an option of `portline add`; `portline share`",
        ),
        ("share --retry 3", "--retry is an option of `portline attach`"),
        ("run --password -- true", "give --password-file FILE"),
        ("run --baudrate 300 -- true", "name it here: --port NAME"),
        ("run --ca FILE -- true", "--ca is about servers; name one: --port NAME=HOST:PORT"),
        ("attach rfc2217s://h:1 --virtual v", "write rfc2217://HOST:PORT with --tls"),
        ("share --virtual v --listen raws://127.0.0.1:1", "write raw://HOST:PORT with --tls"),
        ("run --port v=telnets://h:1 -- true", "write raw://HOST:PORT or rfc2217://HOST:PORT"),
    ],
)
def test_an_option_of_another_command_is_said_to_be_that(words: str, told: str, runs: Runs) -> None:
    result = CliRunner().invoke(main, words.split())
    assert result.exit_code == 2
    assert told in result.output
    assert "Did you mean" not in result.output
    assert not runs


def test_what_no_command_has_is_guessed_as_before(runs: Runs) -> None:
    result = CliRunner().invoke(main, ["share", "--tsl", "--virtual", "v"])
    assert (result.exit_code, "'--tls'" in result.output) == (2, True)
    assert not runs
