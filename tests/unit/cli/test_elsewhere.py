"""Which Portline is asked, by what stands before the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from portline.cli import completion
from portline.cli.app import COMMANDS, main
from portline.cli.elsewhere import ASKING
from portline.control.http import Client
from portline.control.place import Places
from portline.errors import PortlineError
from tests.unit.cli.answers import connection, process
from tests.unit.cli.test_completion import offered
from tests.unit.control.test_http import OK, answering, problem, silent

URL = "http://127.0.0.1:8217"


class Gateway:
    """The page at URL; ``asked`` is what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, object]] = []
        self.clients: list[Client] = []

    def ask(
        self, client: Client, operation: str, parameters: Any = None, *, limit: float | None = None
    ) -> Any:
        self.clients.append(client)
        if operation == "status":
            return process(connection("meter"))
        self.asked.append((operation, parameters))
        return process() | {"name": "meter", "changes": ["x"], "state": "listening", "reason": ""}


@pytest.fixture(autouse=True)
def nobody_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    made = Gateway()
    monkeypatch.setattr(
        Client, "ask", lambda client, *given, **more: made.ask(client, *given, **more)
    )
    return made


@pytest.fixture
def token(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text("portline_x\n")
    path.chmod(0o600)
    return str(path)


def portline(*words: str, code: int = 0, **variables: str) -> Result:
    result = CliRunner().invoke(main, words, env=variables)
    assert result.exit_code == code, result.output
    return result


def test_every_command_that_asks_is_known() -> None:
    asking = {
        name
        for name in COMMANDS
        for each in main.get_command(None, name).params  # type: ignore[arg-type, union-attr]
        if each.name == "way"
    }
    assert {*ASKING} == asking | {"add", "edit", "remove", "enable", "disable"}


def test_a_portline_elsewhere_is_asked(gateway: Gateway, token: str) -> None:
    there = ("--url", URL, "--token-file", token)
    assert "meter: listening" in portline(*there, "status").stdout
    assert json.loads(portline(*there, "status", "--json").stdout)[0]["process"]["pid"] == 7
    assert portline(*there, "start", "meter").stdout == "meter: started; listening\n"
    portline(*there, "edit", "meter", "--baudrate", "9600", "--ca", "/etc/ca.pem")
    assert gateway.asked == [
        ("start", {"name": "meter"}),
        (
            "update",
            {
                "name": "meter",
                "options": {"baudrate": 9600, "ca": "/etc/ca.pem"},
                "rename": "meter",
            },
        ),
    ]
    assert {str(each) for each in gateway.clients} == {URL}


def test_variables_say_it_too(gateway: Gateway, token: str) -> None:
    variables = {"PORTLINE_URL": URL, "PORTLINE_TOKEN_FILE": token}
    portline("stop", "meter", **variables)
    assert gateway.asked == [("stop", {"name": "meter"})]
    other = portline("--url", "http://localhost:1", "reload", **variables)
    assert "reloaded" in other.stdout
    assert str(gateway.clients[-1]) == "http://localhost:1"


def test_what_is_on_this_machine_alone_is_not_looked_for_elsewhere(
    gateway: Gateway, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Places, "sockets", lambda _self: [])
    variables = {"PORTLINE_URL": URL, "PORTLINE_TOKEN_FILE": token}
    assert "/nowhere" in portline("pulse", "/nowhere", "esp32", code=1, **variables).stderr
    there = ("--url", URL, "--token-file", token)
    said = portline(*there, "pulse", "/nowhere", "esp32", code=2).stderr
    assert f"/nowhere: means nothing at {URL}" in said
    said = portline(*there, "term", "/nowhere", code=2).stderr
    assert f"/nowhere: means nothing at {URL}" in said
    assert gateway.asked == []


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("--url", URL, "share", "/x"), "`portline share` works on this machine"),
        (("--ca", "x", "status"), "--ca is for a Portline elsewhere; say where with --url"),
        (("--url", URL, "status"), "needs a token: `portline token NAME` there makes one"),
        (("--url", URL, "--token-file", "none", "status"), "there is no file none; `portline to"),
        (("--url", URL, "--token-file", "open", "status"), "run `chmod 600 open`"),
        (("--url", URL, "--token-file", "lines", "status"), "more than one line"),
        (("--url", "http://192.0.2.1", "--token-file", "token", "status"), "(--trusted)"),
        (("--url", "x", "--token-file", "token", "status"), "no address of a page"),
        (("--url", URL, "--token-file", "token", "status", "--socket", "/x"), "leave one of them"),
        (("--url", URL, "--token-file", "token", "remove", "-c", "x", "y"), "leave one of them"),
        (("--url", URL, "--token-file", "token", "lines", "x"), "no connection 'x'; there are: m"),
        (("--url", URL, "--token-file", "token", "pulse", "x", "esp32"), "no connection 'x'"),
        (("--url", URL, "--token-file", "token", "add", "x", "--ca", "y"), "on the other machine"),
        (("--url", URL, "--token-file", "token", "edit", "x", "--port", "./y"), "from / on"),
    ],
)
def test_what_cannot_be_meant(
    gateway: Gateway, token: str, tmp_path: Path, words: tuple[str, ...], fault: str
) -> None:
    for name, text, mode in (("open", "a\n", 0o644), ("lines", "a\nb\n", 0o600)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    said = portline(*words, code=2).stderr
    assert fault in said
    assert len(said.splitlines()) == 1
    assert gateway.asked == []


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "what answers there is no Portline"),
        (OK + b"{}", "is answered by a program that is no Portline"),
        (problem(401, "there is no such token"), "the token is refused"),
        (silent, "no answer within 0.5 s"),
    ],
)
@pytest.mark.parametrize(
    "words", [("status",), ("stop", "meter"), ("monitor", "meter"), ("reload",)]
)
def test_who_answers_wrongly_is_told_in_a_line(
    token: str,
    monkeypatch: pytest.MonkeyPatch,
    answer: bytes,
    fault: str,
    words: tuple[str, ...],
) -> None:
    if answer is silent:
        monkeypatch.setitem(Client.__init__.__kwdefaults__, "limit", 0.5)
    with answering(answer) as url:
        said = portline("--url", url, "--token-file", token, *words, code=1).stderr
    assert said.startswith(f"portline: error: {url}: ")
    assert fault in said
    assert len(said.splitlines()) == 1


def test_errors_are_json_where_that_is_wanted(token: str) -> None:
    there = ("--url", "http://127.0.0.1:1", "--token-file", token)
    for words in ((*there, "status", "--json"), ("--url=http://127.0.0.1:1", *there[2:], "ports")):
        asks = "--json" in words
        told = portline(*words, code=1 if asks else 2).stderr
        assert told.startswith("{") == asks
    mistake = json.loads(portline(*there, "status", "--nix", "--json", code=2).stderr)
    assert "No such option" in mistake["errors"][0]


def test_what_a_shell_is_offered(
    gateway: Gateway, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert offered("--to") == ["--token-file"]
    assert offered("--token-file", "x") == ["file:x"]
    assert offered("--url", URL, "sta") == ["status", "start"]
    assert offered("--url", URL, "--token-file", token, "stop", "") == ["meter"]
    monkeypatch.setenv("PORTLINE_URL", URL)
    assert offered("stop", "") == []  # there is no token
    monkeypatch.setenv("PORTLINE_TOKEN_FILE", token)
    assert offered("stop", "m") == ["meter"]

    def refuses(*_: object, **__: object) -> None:
        raise PortlineError("refused")

    monkeypatch.setattr(Client, "ask", refuses)
    assert offered("stop", "") == []
    assert completion.LIMIT < 5
