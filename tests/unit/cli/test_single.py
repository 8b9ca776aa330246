from __future__ import annotations

import pytest
from click.testing import CliRunner

from portline.cli.app import main
from tests.unit.cli.conftest import Runs


@pytest.mark.parametrize(
    "words",
    [
        "share /dev/ttyX --listen 127.0.0.1:4001",
        "attach 192.0.2.7:4001 --virtual ttyV0",
        "udp 192.0.2.7:5000 --virtual ttyV0",
    ],
)
def test_each_command_runs_its_connection_under_its_own_name(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    commands: list[str] = []
    monkeypatch.setattr("portline.control.companion.companion", commands.append)
    assert CliRunner().invoke(main, [*words.split(), "--name", "meter", "-v"]).exit_code == 0
    ((config, verbose, announce),) = runs
    assert commands == [words.split()[0]]
    assert list(config.connections) == ["meter"]
    assert (verbose, announce) == (1, True)
