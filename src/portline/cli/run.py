"""``portline run``: a program for which virtual ports behave like real ones."""

from __future__ import annotations

import os
import stat

import click

from portline.cli.app import verbose_option, verbosity

__all__ = ["run"]


@click.command(
    context_settings={
        "help_option_names": ["-h", "--help"],
        "allow_interspersed_args": False,
    },
    options_metavar="[OPTIONS] [--]",
)
@click.option(
    "--port",
    "ports",
    metavar="NAME[=HOST:PORT]",
    multiple=True,
    help="Emulate this virtual port only; with HOST:PORT make it, from a remote one, for as long "
    "as PROGRAM runs (raw:// before HOST for a server that does not speak RFC 2217); may be given "
    "several times. [default: all that are there]",
)
@click.option(
    "--password-file",
    metavar="FILE",
    help="The password of the servers with a HOST:PORT. [default: the environment variable "
    "PORTLINE_PASSWORD]",
)
@click.argument("command", nargs=-1, required=True, metavar="PROGRAM [ARGUMENTS]...")
@verbose_option
@click.pass_context
def run(
    ctx: click.Context,
    /,
    ports: tuple[str, ...],
    password_file: str | None,
    command: tuple[str, ...],
) -> int:
    """Run a program for which Portline's virtual ports behave like real serial ports.

    It can set DTR and RTS and read CTS, DSR, DCD and RI; it can send breaks; 7E1 and the like
    read back as they were set.  It needs no privilege.  The exit code is that of PROGRAM.

    \b
    portline run -- picocom /dev/ttyV0
    portline run --port /tmp/meter=192.0.2.7:4001 -- python3 program.py /tmp/meter
    """
    from portline.cli.cables import Cables, cable, joined
    from portline.port.programs.launcher import NotStarted, launch, supervise
    from portline.port.programs.lines_client import ServedTerminals
    from portline.service.log import start_logging

    start_logging(verbosity(ctx))
    remote = [cable(*_halves(port), password_file) for port in ports if _halves(port)[1]]
    paths = [_path(name) for name, host in map(_halves, ports) if not host]
    cables = Cables.lay(joined(remote), verbosity(ctx)) if remote else None
    if cables is not None:
        paths += cables.paths
    try:
        launched = launch(command)
    except NotStarted as error:
        click.echo(f"portline: error: {error}", err=True)
        return error.exit_code
    else:
        return supervise(launched, lambda: ServedTerminals(paths))
    finally:
        if cables is not None:
            cables.end()


def _halves(port: str) -> tuple[str, str]:
    """Return the name of a port and the host that it is to come from, "" for one that is there."""
    name, _, host = port.partition("=")
    return (port, "") if os.path.exists(port) else (name, host)


def _path(name: str) -> str:
    """Return where a virtual port is; refuses one that is not there."""
    from portline.port.names.place import folder_for

    path = os.path.abspath(name) if "/" in name else str(folder_for(name) / name)
    try:
        found = os.stat(path)
    except OSError as error:
        raise click.BadParameter(f"{path}: {error.strerror}", param_hint="--port") from error
    if not stat.S_ISCHR(found.st_mode):
        raise click.BadParameter(f"{path} is not a serial port", param_hint="--port")
    return path
