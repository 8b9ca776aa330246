from __future__ import annotations

import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from portline import __version__
from portline.cli import app
from portline.cli.app import COMMANDS, main, verbose_option, verbosity
from portline.errors import ConfigError, NetworkError, PortlineError, UsageError


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException | None]:
    """A command ``fail`` that raises what the list holds, else returns how often -v came."""
    error: list[BaseException | None] = [None]

    @click.command()
    @verbose_option
    @click.pass_context
    def fail(ctx: click.Context) -> int:
        if error[0] is not None:
            raise error[0]
        return verbosity(ctx)

    monkeypatch.setattr(app, "fail_for_test", fail, raising=False)
    monkeypatch.setitem(app.COMMANDS, "fail", ("portline.cli.app:fail_for_test", "Fail."))
    return error


def test_help_lists_the_commands_without_importing_them() -> None:
    script = (
        "import sys\n"
        "from portline.cli.app import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "loaded = {'pydantic', 'asyncio', 'portline.cli.share'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout


def test_help_says_what_each_command_is_for() -> None:
    result = CliRunner().invoke(main, ["-h"])
    assert result.exit_code == 0
    assert re.search(r"demo +Share a simulated instrument, to try Portline out\.", result.output)


def test_the_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"portline {__version__}\n"


def test_a_command_that_does_not_exist_names_those_that_do() -> None:
    result = CliRunner().invoke(main, ["shar"])
    assert result.exit_code == 2
    assert result.stderr == (
        f"portline: error: there is no command 'shar'; there are {', '.join(COMMANDS)}\n"
        "Try 'portline --help'.\n"
    )


def test_an_option_that_does_not_exist_names_the_nearest() -> None:
    result = CliRunner().invoke(main, ["share", "--baudrat", "3"])
    assert result.exit_code == 2
    assert "--baudrate" in result.stderr
    assert result.stderr.splitlines()[-1] == "Try 'portline share --help'."


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (ConfigError(["one", "two"]), 2, ["portline: error: one", "portline: error: two"]),
        (UsageError("wrong"), 2, ["portline: error: wrong"]),
        (PortlineError("no"), 1, ["portline: error: no"]),
        (NetworkError("127.0.0.1:1", "in use"), 1, ["portline: error: 127.0.0.1:1: in use"]),
        (click.ClickException("bad"), 1, ["portline: error: bad"]),
        (click.ClickException("bad:\n\tworse"), 1, ["portline: error: bad: worse"]),
        (PortlineError("held by \x1b[2J\x9bm"), 1, [r"portline: error: held by \x1b[2J\x9bm"]),
        (KeyboardInterrupt(), 130, [""]),
        (
            RuntimeError("what\nnow"),
            1,
            [
                "portline: error: RuntimeError: what now",
                "This should not have happened; run it with -vv to see where it did.",
            ],
        ),
        (
            RuntimeError(),
            1,
            [
                "portline: error: RuntimeError",
                "This should not have happened; run it with -vv to see where it did.",
            ],
        ),
    ],
)
def test_whatever_goes_wrong_is_lines_and_an_exit_code(
    failing: list[BaseException | None], error: BaseException, code: int, lines: list[str]
) -> None:
    failing[0] = error
    result = CliRunner().invoke(main, ["fail"])
    assert (result.exit_code, result.stderr.splitlines()) == (code, lines)


def test_very_verbose_shows_where_the_unforeseen_happened(
    failing: list[BaseException | None],
) -> None:
    failing[0] = RuntimeError("what")
    result = CliRunner().invoke(main, ["fail", "-vv"])
    assert result.exit_code == 1
    assert "Traceback" in result.stderr


@pytest.mark.usefixtures("failing")
def test_verbosity_counts_before_and_after_the_command() -> None:
    assert CliRunner().invoke(main, ["-v", "fail", "-vv"]).exit_code == 3
    assert CliRunner().invoke(main, ["fail"]).exit_code == 0


def test_the_shell_is_offered_nothing_after_an_unknown_command() -> None:
    words = {"COMP_WORDS": "portline shar --", "COMP_CWORD": "2"}
    result = CliRunner().invoke(main, env={"_PORTLINE_COMPLETE": "bash_complete", **words})
    assert result.exit_code == 0
    assert "error" not in result.output


def test_a_program_that_embeds_the_command_gets_the_error(
    failing: list[BaseException | None],
) -> None:
    assert main(["fail", "-v"], standalone_mode=False) == 1
    for error in (PortlineError("no"), RuntimeError("what")):
        failing[0] = error
        with pytest.raises(type(error)):
            main(["fail"], standalone_mode=False)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_told_to_say_more(name: str) -> None:
    """As the words about what was not foreseen advise."""
    assert CliRunner().invoke(main, [name, "-vv", "--help"]).exit_code == 0
