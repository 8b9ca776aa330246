"""``portline run``: a program for which virtual ports behave like real ones."""

from __future__ import annotations

import os
import stat

import click

from portline.cli.advice import AdvisedCommand
from portline.cli.app import verbose_option, verbosity
from portline.errors import UsageError, clean

__all__ = ["run"]


@click.command(
    cls=AdvisedCommand,
    context_settings={"allow_interspersed_args": False},
    options_metavar="[OPTIONS] [--]",
)
@click.option(
    "--port",
    "ports",
    metavar="NAME[=HOST:PORT]",
    multiple=True,
    help="Emulate this virtual port only; with HOST:PORT make it, from a remote one, for as long "
    "as PROGRAM runs (raw:// before HOST for a server that does not speak RFC 2217, rfc2217s:// or "
    "raws:// for TLS); may be given several times. [default: all that are there]",
)
@click.option(
    "--password-file",
    metavar="FILE",
    help="The password of the servers with a HOST:PORT. [default: the environment variable "
    "PORTLINE_PASSWORD]",
)
@click.option("--tls", is_flag=True, help="Encrypt the traffic with all of those servers.")
@click.option(
    "--ca",
    metavar="FILE|system",
    help="Trust those that a CA in FILE, or one of the system, has signed.",
)
@click.option("--fingerprint", metavar="sha256:HEX", help="Trust the one with this certificate.")
@click.option("--certificate", metavar="FILE", help="Our certificate, which they are shown.")
@click.option("--key", metavar="FILE", help="Its key, if that is not in the same file.")
@click.argument("command", nargs=-1, required=True, metavar="PROGRAM [ARGUMENTS]...")
@verbose_option
@click.pass_context
def run(
    ctx: click.Context,
    /,
    ports: tuple[str, ...],
    command: tuple[str, ...],
    **security: str | bool | None,
) -> int:
    """Run a program for which Portline's virtual ports behave like real serial ports.

    It can set DTR and RTS and read CTS, DSR, DCD and RI; it can send breaks; 7E1 and the like
    read back as they were set.  It needs no privilege.  The exit code is that of PROGRAM.

    \b
    portline run -- picocom /dev/ttyV0
    portline run --port /tmp/meter=192.0.2.7:4001 -- python3 program.py /tmp/meter
    portline run --port /tmp/meter=rfc2217s://192.0.2.7:4001 -- python3 program.py /tmp/meter
    """
    from portline.cli.cables import Cables, cable, joined
    from portline.port.programs.launcher import NotStarted, launch, supervise
    from portline.port.programs.lines_client import ServedTerminals
    from portline.service.process.log import start_logging

    start_logging(verbosity(ctx))
    given = {field: value for field, value in security.items() if value}
    named = [_halves(port) for port in ports]
    remote = [cable(name, host, **given) for name, host in named if host]
    if given and not remote:
        flag = "--" + next(iter(given)).replace("_", "-")
        raise UsageError(f"{flag} is about servers; name one: --port NAME=HOST:PORT")
    paths = [_path(name) for name, host in named if not host]
    cables = Cables.lay(joined(remote), verbosity(ctx)) if remote else None
    if cables is not None:
        paths += cables.paths
    try:
        launched = launch(command)
    except NotStarted as error:
        click.echo(f"portline: error: {clean(error)}", err=True)
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
