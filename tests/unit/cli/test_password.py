from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from portline.auth.password import Password, Verifier
from portline.cli.app import main
from portline.errors import UsageError
from tests.unit.cli.conftest import Runs

WORD = "correct horse battery staple"


def invoke(*words: str, typed: str | None = f"{WORD}\n") -> tuple[int, str]:
    result = CliRunner().invoke(main, ["password", *words], input=typed)
    return result.exit_code, result.output


def test_a_salted_password_is_written_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "meter.password"
    code, said = invoke(str(path))
    assert (code, said) == (0, f"{path}: holds the salted password, and only you may read it\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert Password(WORD).matches(Verifier.parse(path.read_text().strip()))
    assert invoke(str(path)) == (
        2,
        f"portline: error: {path} is there already; --force replaces it\n",
    )
    assert invoke("--force", "--plain", str(path))[0] == 0
    assert path.read_text() == f"{WORD}\n"


def test_without_a_file_the_line_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTLINE_PASSWORD", WORD)
    code, said = invoke(typed=None)
    assert code == 0
    assert Password(WORD).matches(Verifier.parse(said.strip()))


def test_one_is_made_that_nobody_guesses(tmp_path: Path) -> None:
    path = tmp_path / "made"
    code, said = invoke("--generate", str(path))
    assert code == 0
    told = said.splitlines()[-1].removeprefix("The password is: ")
    assert len(told) == 24
    assert Password(told).matches(Verifier.parse(path.read_text().strip()))
    code, said = invoke("--generate", "--plain", "--force", str(path))
    assert path.read_text().strip() not in said


@pytest.mark.parametrize(("typed", "fault"), [("\n", "is empty"), ("\x07\n", "no password may")])
def test_what_is_no_password(typed: str, fault: str) -> None:
    code, said = invoke(typed=typed)
    assert code == 2
    assert fault in said


def test_a_file_that_cannot_be_written_is_told_with_the_remedy(tmp_path: Path) -> None:
    code, said = invoke(str(tmp_path / "no" / "file"))
    assert (code, f"run `mkdir -p {tmp_path / 'no'}`" in said) == (1, True)
    code, said = invoke("--force", str(tmp_path))
    assert (code, "it is a folder; name a file" in said) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        "share --password hunter2",
        "share --password hunter2 --virtual v",
        "share --password=hunter2 /dev/ttyS9",
        "share /dev/ttyS9 --password hunter2",
        "attach 192.0.2.7:4001 --virtual v --password hunter2",
        "attach --password hunter2 192.0.2.7:4001 --virtual v",
        "udp 192.0.2.7:4001 --virtual v --password=hunter2",
        "add meter --password hunter2",
        "edit meter --password hunter2",
    ],
)
def test_a_password_on_the_command_line_is_told_and_not_repeated(words: str, runs: Runs) -> None:
    result = CliRunner().invoke(main, words.split())
    assert result.exit_code == 2
    assert "--password takes no value" in result.output
    assert "hunter2" not in result.output
    assert not runs


@pytest.mark.parametrize(
    "words",
    [
        "share --password /dev/ttyS9",
        "share --virtual v --password --tls",
        "attach --password 192.0.2.7:4001 --virtual v",
        "udp --virtual v --password 192.0.2.7:4001",
    ],
)
def test_what_follows_the_flag_may_be_an_argument(words: str, runs: Runs) -> None:
    result = CliRunner().invoke(main, words.split())
    assert result.exit_code == 0, result.output
    ((config, _, _),) = runs
    (one,) = config.connections.values()
    assert one.password


def test_a_salted_password_is_not_salted_again() -> None:
    code, said = invoke(typed=f"{Password(WORD).verifier(4096).line()}\n")
    assert (code, "is a salted one" in said) == (2, True)


def test_nobody_can_be_asked_without_a_terminal() -> None:
    from portline.cli.password import asked

    assert not os.isatty(0) or pytest.skip("there is a terminal")
    with pytest.raises(UsageError, match="there is no terminal"):
        asked()


@pytest.mark.parametrize(
    "words",
    [
        "share --virtual v --listen 4001",
        "attach 192.0.2.7:4001 --virtual v",
        "udp 192.0.2.7:5000 --virtual v",
    ],
)
def test_the_environment_is_enough_for_one_connection(
    words: str, runs: Runs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def wants(*more: str) -> tuple[bool, str | None]:
        runs.clear()
        result = CliRunner().invoke(main, [*words.split(), *more])
        assert result.exit_code == 0, result.output
        ((config, _, _),) = runs
        (one,) = config.connections.values()
        return one.password, one.password_file

    monkeypatch.delenv("PORTLINE_PASSWORD", raising=False)
    assert wants() == (False, None)
    assert wants("--password") == (True, None)
    monkeypatch.setenv("PORTLINE_PASSWORD", WORD)
    assert wants() == (True, None)
    assert wants("--no-password") == (False, None)
    path = tmp_path / "p"
    path.write_text(WORD)
    path.chmod(0o600)
    assert wants("--password-file", str(path)) == (False, str(path))


def test_no_command_takes_a_password_as_an_argument() -> None:
    result = CliRunner().invoke(main, ["attach", "--help"])
    assert "--password / --no-password" in result.output
    assert "--password-file FILE" in result.output
