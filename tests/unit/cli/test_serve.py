from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from portline.cli.app import main
from portline.cli.serve import found_config
from portline.errors import ConfigError
from portline.service.process.early import CHANGING, held
from tests.unit.cli.conftest import Runs

GOOD = '[connections.meter]\nport = "/dev/ttyUSB0"\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_named_file_is_run(here: Path, runs: Runs) -> None:
    (here / "my.toml").write_text(GOOD)
    result = CliRunner().invoke(main, ["-v", "serve", "--config", "my.toml"])
    assert (result.exit_code, result.output) == (0, "")
    ((config, verbose, announce),) = runs
    assert list(config.connections) == ["meter"]
    assert (verbose, announce) == (1, True)


def test_the_file_in_this_folder_is_found_and_named(here: Path, runs: Runs) -> None:
    (here / "portline.toml").write_text(GOOD)
    result = CliRunner().invoke(main, ["serve"])
    assert (result.exit_code, result.stderr) == (0, "portline: using portline.toml\n")
    assert len(runs) == 1


def test_mistakes_end_it(here: Path, runs: Runs) -> None:
    (here / "portline.toml").write_text(GOOD + "baudrat = 9600\nparity = 8\n")
    result = CliRunner().invoke(main, ["serve"])
    assert (result.exit_code, runs) == (2, [])
    assert result.stderr.splitlines() == [
        "portline: error: portline.toml:3: connections.meter.baudrat: unknown option; "
        'did you mean "baudrate"?',
        "portline: error: portline.toml:4: connections.meter.parity: 8 must be one of none, odd, "
        "even, mark, space",
    ]


def test_a_hang_up_that_comes_while_it_begins_is_kept(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "portline.toml").write_text(GOOD)
    seen: list[frozenset[int]] = []

    def run(*_: object, **__: object) -> int:
        os.kill(os.getpid(), signal.SIGHUP)
        seen.append(held())
        return 0

    monkeypatch.setattr("portline.service.process.run.run", run)
    before = [signal.getsignal(number) for number in CHANGING]
    try:
        assert CliRunner().invoke(main, ["serve"]).exit_code == 0
    finally:
        for number, handler in zip(CHANGING, before, strict=True):
            signal.signal(number, handler)
    assert seen == [frozenset({signal.SIGHUP})]


def test_the_first_place_that_has_a_file_is_taken(tmp_path: Path) -> None:
    places = (tmp_path / "a", tmp_path / "b")
    with pytest.raises(ConfigError, match=r"no configuration: there is neither .*/a nor .*/b"):
        found_config(None, places)
    places[1].touch()
    assert found_config(None, places) == places[1]
    places[0].touch()
    assert found_config(None, places) == places[0]
    assert found_config(Path("x"), places) == Path("x")
