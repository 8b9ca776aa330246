from __future__ import annotations

from pathlib import Path

import pytest

from portline.auth.password import PASSWORD_MAX
from portline.errors import PortlineError, UsageError
from portline.web.credentials import (
    PASSWORD_FILE,
    PASSWORD_MIN,
    TOKENS_FILE,
    TOKENS_MAX,
    Credentials,
    Grade,
)
from tests.conftest import Run
from tests.unit.web.conftest import hosting


def test_a_password_that_was_made_is_the_right_one_and_only_its_hash_is_kept(folder: Path) -> None:
    credentials = Credentials(folder)
    assert credentials.grade() == Grade()
    assert not credentials.grade().there
    password = credentials.generate()
    assert credentials.check(password)
    assert not credentials.check(password + "x")
    file = folder / PASSWORD_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().startswith("$argon2id$")
    assert password not in file.read_text()


def test_another_process_sees_another_password_at_once(folder: Path) -> None:
    ours, theirs = Credentials(folder), Credentials(folder)
    ours.store("correct horse")
    before = ours.grade()
    assert ours.check("correct horse")
    assert ours.proved("correct horse")
    theirs.store("battery staple")
    assert ours.grade() != before
    assert not ours.proved("correct horse")
    assert not ours.check("correct horse")
    assert ours.check("battery staple")


def test_nothing_is_proved_before_it_was_right(folder: Path) -> None:
    credentials = Credentials(folder)
    assert not credentials.proved("")
    credentials.store("correct horse")
    assert not credentials.proved("correct horse")
    credentials.check("wrong")
    assert not credentials.proved("wrong")


@pytest.mark.parametrize("password", ["", "x" * (PASSWORD_MIN - 1), "x" * (PASSWORD_MAX + 1)])
def test_a_password_has_a_length(folder: Path, password: str) -> None:
    with pytest.raises(UsageError, match=f"{PASSWORD_MIN} to {PASSWORD_MAX}"):
        Credentials(folder).store(password)


def test_one_that_is_far_too_long_costs_nothing(folder: Path) -> None:
    assert not Credentials(folder).check("x" * (PASSWORD_MAX + 1))


def test_a_file_that_others_can_read_is_refused(folder: Path) -> None:
    credentials = Credentials(folder)
    credentials.store("correct horse")
    (folder / PASSWORD_FILE).chmod(0o644)
    with pytest.raises(PortlineError, match="chmod 600"):
        credentials.check("correct horse")


@pytest.mark.parametrize(
    "rest", ["hunter2", "$argon2id$v=19$m=19456,t=2,p=1$hunter2", "h\xfcnter2"]
)
def test_a_file_with_something_else_is_told_of_without_what_is_in_it(
    folder: Path, rest: str
) -> None:
    (folder / PASSWORD_FILE).write_text(rest)
    (folder / PASSWORD_FILE).chmod(0o600)
    with pytest.raises(PortlineError, match="portline password --web") as caught:
        Credentials(folder).check("hunter2")
    assert "hunter2" not in str(caught.value)


def test_a_token_is_known_until_it_is_removed_and_is_not_kept(folder: Path) -> None:
    ours, theirs = Credentials(folder), Credentials(folder)
    token = ours.add_token("grafana")
    assert theirs.owner(token) == "grafana"
    assert theirs.owner(token[:-1] + "x") is None
    assert token not in (folder / TOKENS_FILE).read_text()
    assert (folder / TOKENS_FILE).stat().st_mode & 0o777 == 0o600
    other = ours.add_token("cron")
    ours.remove_token("grafana")
    assert theirs.owner(token) is None
    assert theirs.owner(other) == "cron"
    ours.remove_token("cron")
    assert theirs.owner(other) is None
    assert theirs.tokens() == {}


def test_a_token_has_a_name_of_its_own(folder: Path) -> None:
    credentials = Credentials(folder)
    credentials.add_token("a")
    with pytest.raises(UsageError, match="already"):
        credentials.add_token("a")
    for name in ("", "a b", "a\nb", "x" * 65, "ä"):
        with pytest.raises(UsageError, match="no name of a token"):
            credentials.add_token(name)
    with pytest.raises(UsageError, match="there are: a"):
        credentials.remove_token("b")


def test_tokens_are_bounded(folder: Path) -> None:
    credentials = Credentials(folder)
    for number in range(TOKENS_MAX):
        credentials.add_token(f"t{number}")
    with pytest.raises(UsageError, match="remove one first"):
        credentials.add_token("more")


@pytest.mark.parametrize("token", ["", "portline_", "x" * 52, "portline_" + "ä" * 43])
def test_what_is_no_token_is_nobody(folder: Path, token: str) -> None:
    assert Credentials(folder).owner(token) is None


def test_what_others_can_read_is_not_used_although_it_was_read_before(
    folder: Path, run: Run
) -> None:
    async def scenario() -> None:
        async with hosting(folder) as host:
            token = host.credentials.add_token("script")
            for headers, name in (
                ({"Authorization": f"Bearer {token}"}, TOKENS_FILE),
                (host.basic, PASSWORD_FILE),
            ):
                assert (await host.ask("GET", "/api/status", headers)).status == 200
                (folder / name).chmod(0o644)
                answer = await host.ask("GET", "/api/status", headers)
                assert (answer.status, "chmod 600" in answer.json["detail"]) == (409, True)
                (folder / name).chmod(0o600)
                assert (await host.ask("GET", "/api/status", headers)).status == 200

    run(scenario())
