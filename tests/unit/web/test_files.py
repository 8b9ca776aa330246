from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from starlette.requests import Request

from portline.web import files as module
from portline.web.files import FOLDER, Files
from portline.web.problem import Problem

if TYPE_CHECKING:
    from pathlib import Path


def asking(**headers: str) -> Request:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": pairs})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "static"
    (made / "script").mkdir(parents=True)
    (made / "index.html").write_text("<p>")
    (made / "script" / "main.mjs").write_text("one")
    (made / ".hidden").write_text("x")
    (made / "_draft.js").write_text("x")
    (tmp_path / "secret").write_text("x")
    return made


@pytest.mark.parametrize(
    ("name", "kind"), [("index.html", "text/html"), ("script/main.mjs", "text/javascript")]
)
def test_the_type_is_that_of_the_name_whatever_the_machine_believes(
    folder: Path, name: str, kind: str
) -> None:
    response = Files(folder).answer(name, asking())
    assert (response.status_code, response.media_type) == (200, kind)
    assert response.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "script",
        "nothing.js",
        ".hidden",
        "_draft.js",
        "../secret",
        "script/../index.html",
        "/index.html",
        "script//main.mjs",
        "INDEX.HTML",
    ],
)
def test_only_what_was_there_under_its_very_name(folder: Path, name: str) -> None:
    with pytest.raises(Problem) as caught:
        Files(folder).answer(name, asking())
    assert caught.value.status == 404


def test_what_came_later_is_not_given_out_and_what_has_gone_is_gone(folder: Path) -> None:
    files = Files(folder)
    (folder / "late.js").write_text("x")
    (folder / "index.html").unlink()
    for name in ("late.js", "index.html"):
        with pytest.raises(Problem):
            files.answer(name, asking())


def test_who_has_it_already_is_not_sent_it_again(folder: Path) -> None:
    files = Files(folder)
    tag = files.answer("index.html", asking()).headers["etag"]
    for wanted in (tag, f"W/{tag}", f'"other", {tag}'):
        assert files.answer("index.html", asking(if_none_match=wanted)).status_code == 304
    assert files.answer("index.html", asking(if_none_match='"other"')).status_code == 200
    assert tag != files.answer("script/main.mjs", asking()).headers["etag"]


def test_a_file_is_read_again_once_it_is_another(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Files(folder)
    path = folder / "index.html"
    before = files.answer("index.html", asking())
    monkeypatch.setattr(module.hashlib, "sha256", lambda content: pytest.fail("read again"))
    assert files.answer("index.html", asking()).body == before.body
    monkeypatch.undo()
    path.write_text("<i>")  # as long as before
    os.utime(path, ns=(1, 1))
    after = files.answer("index.html", asking())
    assert after.body == b"<i>"
    assert after.headers["etag"] != before.headers["etag"]


def test_the_page_is_there() -> None:
    files = Files()
    assert FOLDER.name == "static"
    assert files.answer("index.html", asking()).status_code == 200
