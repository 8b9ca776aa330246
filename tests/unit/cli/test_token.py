from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from portline.cli.app import main
from portline.web.credentials import Credentials


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "state"
    monkeypatch.setenv("STATE_DIRECTORY", str(made))
    return made


def invoke(*words: str, typed: str | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(main, words, input=typed)
    return result.exit_code, result.output


def test_a_token_is_printed_once_listed_by_name_and_removed(folder: Path) -> None:
    code, said = invoke("token", "grafana")
    assert code == 0
    assert Credentials(folder).owner(said.strip()) == "grafana"
    assert invoke("token") == (0, "grafana\n")
    code, again = invoke("token", "grafana")
    assert (code, again.startswith("portline: error: there is a token grafana")) == (2, True)
    assert invoke("token", "--remove", "grafana") == (0, "grafana: is worthless now\n")
    assert Credentials(folder).owner(said.strip()) is None
    assert invoke("token") == (0, "")


def test_what_is_removed_has_to_be_named() -> None:
    assert invoke("token", "--remove")[0] == 2
    assert "there are: none" in invoke("token", "--remove", "x")[1]


def test_the_password_of_the_page_is_typed_or_made(folder: Path) -> None:
    code, said = invoke("password", "--web", typed="correct horse\n")
    assert (code, "has to log in again" in said) == (0, True)
    assert Credentials(folder).check("correct horse")
    code, said = invoke("password", "--web", "--generate")
    made = said.splitlines()[-1].removeprefix("The password is: ")
    assert Credentials(folder).check(made)
    assert not Credentials(folder).check("correct horse")


def test_a_password_of_the_page_is_not_short_and_has_no_file() -> None:
    code, said = invoke("password", "--web", typed="short\n")
    assert (code, "8 to" in said) == (2, True)
    assert invoke("password", "--web", "--plain", typed="correct horse\n")[0] == 2
    assert invoke("password", "--web", "x", typed="correct horse\n")[0] == 2
