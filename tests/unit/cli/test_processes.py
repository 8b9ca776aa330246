from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from portline.cli import processes as module
from portline.cli.processes import Answer, ask_all, holder_of, nobody
from portline.control.client import NobodyThere, SocketWay
from portline.errors import NameUnknown, PortlineError, UsageError
from tests.unit.cli.answers import connection, process

Replies = dict[int, object]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with TemporaryDirectory(prefix="ctl-") as name:
        monkeypatch.setenv("RUNTIME_DIRECTORY", name)
        yield Path(name)


@pytest.fixture
def replies(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Replies:
    """What the process with each number answers, or the error that comes of asking it."""
    made: Replies = {}

    def ask(way: SocketWay, operation: str, parameters: dict[str, object]) -> object:
        reply = made.get(int(way.path.stem), NobodyThere("nobody"))
        if isinstance(reply, Exception):
            raise reply
        return reply

    monkeypatch.setattr(module.SocketWay, "ask", ask)
    return made


def bound(path: Path) -> Path:
    """Leave a socket behind on which nobody listens."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    return path


def test_all_processes_are_asked_and_the_dead_forgotten(folder: Path, replies: Replies) -> None:
    for number in (1, 2, 4194304):
        bound(folder / f"{number}.sock")
    trouble = PortlineError("no answer")
    replies |= {1: process(), 2: trouble}
    first, second = ask_all("status", None)
    assert (str(first.way), first.result, first.error) == (f"{folder}/1.sock", process(), None)
    assert (str(second.way), second.result, second.error) == (f"{folder}/2.sock", None, trouble)
    assert sorted(path.name for path in folder.iterdir()) == ["1.sock", "2.sock"]


def test_a_socket_that_is_named_is_told_when_nobody_is_there(
    folder: Path, replies: Replies
) -> None:
    (answer,) = ask_all("status", SocketWay(folder / "9.sock"))
    assert isinstance(answer.error, NobodyThere)


@pytest.mark.parametrize(
    "reply",
    [
        {},
        [],
        {"process": {"pid": "x"}},
        {"process": process()["process"], "connections": 1},
        {"process": process()["process"], "connections": [1]},
        {"process": process()["process"], "connections": [{"name": 1}]},
    ],
)
def test_an_answer_has_the_shape_of_one(folder: Path, replies: Replies, reply: object) -> None:
    replies[5] = reply
    (answer,) = ask_all("status", SocketWay(folder / "5.sock"))
    assert str(answer.error).endswith("5.sock: is answered by a program that is no Portline")


def test_nobody_may_be_somebody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    for others, hint in ((False, ""), (True, "; that of another user does, which root may ask")):
        monkeypatch.setattr(module.Places, "others", lambda self, found=others: found)
        assert str(nobody("Portline")) == f"no Portline of this user is running{hint}"


def test_whose_connection_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    def ask_all(operation: str, way: SocketWay | None) -> Iterator[Answer]:
        yield from made

    monkeypatch.setattr(module, "ask_all", ask_all)
    with pytest.raises(PortlineError, match="no Portline of this user"):
        holder_of("meter", None)
    silent = Answer(SocketWay(Path("/x/3.sock")), error=PortlineError("no answer"))
    made.append(silent)
    with pytest.raises(PortlineError, match="no answer"):
        holder_of("meter", None)
    made += [
        Answer(SocketWay(Path("/x/1.sock")), process(connection("meter"))),
        Answer(SocketWay(Path("/x/2.sock")), process(connection("scale"))),
    ]
    assert holder_of("meter", None) == SocketWay(Path("/x/1.sock"))
    with pytest.raises(NameUnknown, match="there are: meter, scale"):
        holder_of("x", None)
    with pytest.raises(PortlineError, match="no answer"):
        holder_of("x", SocketWay(Path("/x/3.sock")))
    made.append(Answer(SocketWay(Path("/x/4.sock")), process(connection("meter"))))
    with pytest.raises(UsageError, match="several processes"):
        holder_of("meter", None)
