from __future__ import annotations

import os
from pathlib import Path

import pytest

from portline.auth.password import Password
from portline.auth.secret import FILE_MAX, Secret, read_secret, write_secret

SECRET = "correct horse battery staple"


def made(folder: Path, content: bytes, mode: int = 0o600) -> str:
    path = folder / "meter.password"
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_password_in_a_file(tmp_path: Path, end: str) -> None:
    secret = read_secret(made(tmp_path, f"{SECRET}{end}".encode()), salted_will_do=False)
    assert secret.password == Password(SECRET)
    assert SECRET not in repr(secret)
    assert secret.salted() is secret.salted()


def test_a_salted_password_is_for_who_recognises_others(tmp_path: Path) -> None:
    verifier = Password(SECRET).verifier(4096)
    path = made(tmp_path, verifier.line().encode() + b"\n")
    assert read_secret(path, salted_will_do=True) == Secret(verifier=verifier)
    with pytest.raises(ValueError, match="a client needs the password itself"):
        read_secret(path, salted_will_do=False)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o620, 0o666])
def test_what_others_may_read_or_write_is_refused_with_the_remedy(
    tmp_path: Path, mode: int
) -> None:
    path = made(tmp_path, SECRET.encode(), mode)
    with pytest.raises(ValueError, match=f"mode {mode:04o}.*chmod 600 {path}"):
        read_secret(path, salted_will_do=True)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640])
def test_what_its_owner_and_a_group_may_read_is_taken(tmp_path: Path, mode: int) -> None:
    assert read_secret(made(tmp_path, b"x", mode), salted_will_do=True)


def test_what_belongs_to_somebody_else_is_refused_as_ssh_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(tmp_path, SECRET.encode())
    if os.geteuid() == 0:
        os.chown(path, 4711, 4711)
    owner = Path(path).stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner)
    assert read_secret(path, salted_will_do=True)
    monkeypatch.setattr(os, "geteuid", lambda: 4712)
    with pytest.raises(ValueError, match=f"belongs to .*run `chown 4712 {path}` as root") as raised:
        read_secret(path, salted_will_do=True)
    assert SECRET not in str(raised.value)


def test_what_belongs_to_root_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path, SECRET.encode())
    status = os.stat(path)
    of_root = os.stat_result((*status[:4], 0, *status[5:10]))
    monkeypatch.setattr(os, "fstat", lambda fd: of_root)
    monkeypatch.setattr(os, "geteuid", lambda: 4712)
    assert read_secret(path, salted_will_do=True)


@pytest.mark.parametrize("around", [(" ", ""), ("\t", " "), ("\ufeff", "")])
def test_spaces_around_a_salted_password_make_no_plain_one_of_it(
    tmp_path: Path, around: tuple[str, str]
) -> None:
    verifier = Password(SECRET).verifier(4096)
    path = made(tmp_path, f"{around[0]}{verifier.line()}{around[1]}\n".encode())
    assert read_secret(path, salted_will_do=True) == Secret(verifier=verifier)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"one\ntwo\n", "more than one line"),
        (b"\xff\xfe", "not UTF-8"),
        (b"x" * (FILE_MAX + 1), "more than 4096 bytes"),
        (b"x" * 300, "more than 256 characters"),
        (b"SCRAM-SHA-256$4096:" + SECRET.encode(), "not a salted password"),
        (b" scram-sha-512$4096:" + SECRET.encode(), "not a salted password"),
    ],
)
def test_what_is_no_password_is_not_repeated(tmp_path: Path, content: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault) as raised:
        read_secret(made(tmp_path, content), salted_will_do=True)
    assert SECRET not in str(raised.value)


def test_who_needs_the_password_itself_is_told_how_it_is_stored(tmp_path: Path) -> None:
    path = str(tmp_path / "no")
    with pytest.raises(ValueError, match=f"`portline password --plain {path}` makes it"):
        read_secret(path, salted_will_do=False)


def test_what_is_no_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    for path, fault in (
        (pipe, "is not a file"),
        (tmp_path, "is not a file"),
        (tmp_path / "no", "portline password"),
        (pipe / "x", "Not a directory"),
    ):
        with pytest.raises(ValueError, match=fault):
            read_secret(str(path), salted_will_do=True)


def test_a_file_is_written_for_its_owner_only_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "new"
    before = os.umask(0)
    try:
        write_secret(str(path), SECRET, replace=False)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o7777 == 0o600
    assert path.read_text() == f"{SECRET}\n"
    with pytest.raises(FileExistsError):
        write_secret(str(path), "other", replace=False)
    link = tmp_path / "link"
    link.symlink_to(path)
    write_secret(str(link), "other", replace=True)
    assert (link.is_symlink(), path.read_text()) == (True, "other\n")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link", "new"]
