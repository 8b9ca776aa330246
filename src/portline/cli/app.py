"""The ``portline`` command: its sub-commands, loaded when they are used, and how it ends.

Exit codes: 0 done, 1 something could not be done, 2 the command line or the configuration is
wrong, 130 interrupted.  Whatever happens, the user reads lines that begin with ``portline: error:``
and never a traceback; ``-vv`` shows one for what Portline did not foresee.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.exceptions import NoArgsIsHelpError

from portline import __version__
from portline.cli.complaint import complain, wants_json
from portline.cli.elsewhere import check_command, elsewhere_options
from portline.errors import ConfigError, PortlineError, UsageError
from portline.service.process.early import hold

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["LazyGroup", "main", "verbose_option", "verbosity"]

PROGRAM: Final = "portline"
"""What the program calls itself, also when it runs as ``python -m portline``."""

FAILED: Final = 1
MISUSED: Final = 2
INTERRUPTED: Final = 130
"""What a shell expects after SIGINT: 128 + 2."""

COMMANDS: Final = {
    "share": ("portline.cli.share:share", "Share one serial port, described on the command line."),
    "attach": ("portline.cli.attach:attach", "Bring a remote serial port here."),
    "udp": ("portline.cli.udp:udp", "Exchange a port's data with other machines as datagrams."),
    "serve": ("portline.cli.serve:serve", "Share the serial ports of a configuration file."),
    "status": ("portline.cli.status:status", "Show what the running connections do."),
    "monitor": ("portline.cli.monitor:monitor", "Show what passes at a connection, live."),
    "record": ("portline.cli.record:record", "Record what passes at a connection, into a file."),
    "replay": ("portline.cli.replay:replay", "Play a recording to a device or a remote port."),
    "add": ("portline.cli.add:add", "Add a connection to a configuration file."),
    "edit": ("portline.cli.edit:edit", "Change a connection in a configuration file."),
    "remove": ("portline.cli.remove:remove", "Take a connection out of a configuration file."),
    "reload": ("portline.cli.reload:reload", "Have `portline serve` read its file again."),
    "restart": (
        "portline.cli.restart:restart",
        "Begin a running Portline anew; USB/IP ports stay open.",
    ),
    "check": ("portline.cli.check:check", "Say everything that is wrong in a configuration file."),
    "start": ("portline.cli.running:start", "Start a connection that is stopped."),
    "stop": ("portline.cli.running:stop", "Stop a connection until it is started again."),
    "enable": (
        "portline.cli.running:enable",
        "Have a connection started from now on.",
    ),
    "disable": (
        "portline.cli.running:disable",
        "Have a connection not started any more.",
    ),
    "disconnect": ("portline.cli.running:disconnect", "Send a peer of a connection away."),
    "lines": ("portline.cli.panel:lines", "Show or drive the signal lines of a connection's port."),
    "break": ("portline.cli.panel:send_break", "Send a break at a connection's port."),
    "set": ("portline.cli.panel:set_settings", "Put settings of a real port in force, for now."),
    "term": ("portline.cli.term:term", "Open a terminal at a serial port, here or elsewhere."),
    "pulse": ("portline.cli.pulse:pulse", "Reset a board by a sequence of DTR and RTS."),
    "ports": ("portline.cli.ports:ports", "List the serial ports of this machine."),
    "doctor": (
        "portline.cli.doctor:doctor",
        "Say what is wrong on this machine, and what mends it.",
    ),
    "run": ("portline.cli.run:run", "Run a program for which virtual ports behave like real ones."),
    "demo": ("portline.cli.demo:demo", "Share a simulated instrument, to try Portline out."),
    "password": ("portline.cli.password:password", "Store a password, or set that of the page."),
    "token": ("portline.cli.token:token", "Make what programs log in with at the API."),
    "repair": ("portline.cli.repair:repair", "Clean up what a killed Portline has left."),
    "completion": (
        "portline.cli.completion:completion",
        "Make bash, zsh or fish complete this command line.",
    ),
}
"""Command -> where it is, and its line in ``--help``, which must not cost an import."""

SERVICE: Final = "serve"
"""The command that goes on after a SIGHUP."""

_VERBOSE: Final = "portline.verbose"

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _more_verbose(ctx: click.Context, _param: click.Parameter, count: int) -> None:
    ctx.meta[_VERBOSE] = ctx.meta.get(_VERBOSE, 0) + count


def verbose_option(command: _Command) -> _Command:
    """Give a command ``-v``; it counts together with those before the command's name."""
    option = click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=_more_verbose,
        help="Say more; twice: everything.",
    )
    return option(command)


def verbosity(ctx: click.Context) -> int:
    """Return how often ``-v`` was given."""
    count = ctx.meta.get(_VERBOSE, 0)
    return count if isinstance(count, int) else 0


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used, and whose errors are lines."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order in which a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that ``args`` name; say which ones there are if it is none of them."""
        # The shell's completion parses what is half typed, and wants silence (resilient).
        if args and args[0] not in COMMANDS and not ctx.resilient_parsing:
            known = ", ".join(COMMANDS)
            ctx.fail(f"there is no command {args[0]!r}; there are {known}")
        if args and args[0] == SERVICE and not ctx.resilient_parsing:
            hold()  # its import takes most of its start
        return super().resolve_command(ctx, args)

    def _tells_json(self, arguments: Sequence[str]) -> bool:
        """Tell whether a command line asks a command for JSON that has it."""
        if not wants_json(arguments):
            return False
        command = self.get_command(click.Context(self), self._command_in(arguments))
        return command is not None and any(each.name == "as_json" for each in command.params)

    def _command_in(self, arguments: Sequence[str]) -> str:
        """Return the name of the command in a command line, "" for none."""
        flags = {flag for each in self.params for flag in each.opts if _has_value(each)}
        words = iter(arguments)
        for word in words:
            if not word.startswith("-"):
                return word
            if word in flags:
                next(words, "")
        return ""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the commands without importing them, and the flags."""
        from click.shell_completion import CompletionItem

        return [
            *(
                CompletionItem(name, help=text)
                for name, (_, text) in COMMANDS.items()
                if name.startswith(incomplete)
            ),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line, and turn whatever goes wrong into lines and an exit code."""
        arguments = sys.argv[1:] if args is None else args
        try:
            result = super().main(
                args, prog_name or PROGRAM, complete_var, standalone_mode=False, **extra
            )
        except (click.ClickException, click.Abort, KeyboardInterrupt, PortlineError) as error:
            if not standalone_mode:
                raise
            sys.exit(_told(error, as_json=self._tells_json(arguments)))
        except Exception as error:
            if not standalone_mode:
                raise
            sys.exit(_confessed(error, arguments, as_json=self._tells_json(arguments)))
        code = result if isinstance(result, int) else 0
        if standalone_mode:
            sys.exit(code)
        return code


def _has_value(param: click.Parameter) -> bool:
    return isinstance(param, click.Option) and not (param.is_flag or param.count)


def _told(error: BaseException, *, as_json: bool) -> int:
    """Say what a foreseen error means, and return the exit code."""
    match error:
        case NoArgsIsHelpError():
            click.echo(error.format_message())
            return error.exit_code
        case click.ClickException():
            complain(error, as_json=as_json)
            if isinstance(error, click.UsageError) and error.ctx is not None and not as_json:
                click.echo(f"Try '{error.ctx.command_path} --help'.", err=True)
            return error.exit_code
        case PortlineError():
            complain(error, as_json=as_json)
            return MISUSED if isinstance(error, ConfigError | UsageError) else FAILED
        case _:
            return INTERRUPTED


def _confessed(error: Exception, arguments: Sequence[str], *, as_json: bool) -> int:
    """Say that something happened which Portline did not foresee."""
    complain(error, as_json=as_json)
    if "-vv" in arguments:
        click.echo("".join(traceback.format_exception(error)), err=True)
    elif not as_json:
        click.echo("This should not have happened; run it with -vv to see where it did.", err=True)
    return FAILED


@click.group(
    "portline",
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="portline", message="%(prog)s %(version)s")
@elsewhere_options
@verbose_option
@click.pass_context
def main(ctx: click.Context, /, **_elsewhere: object) -> None:
    """Share serial ports over a network, raw or with RFC 2217.

    \b
    portline demo                                   try it without hardware
    portline share /dev/ttyUSB0 --baudrate 115200   share a device on 127.0.0.1:4001
    portline attach 192.0.2.7:4001 --virtual ttyV0  bring a remote port here
    portline serve --config portline.toml           share what a file describes
    """
    check_command(ctx, ctx.invoked_subcommand or "")
