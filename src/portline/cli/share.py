"""``portline share``: one connection from the command line.

The flags are made from the fields of the model, so that the two cannot drift apart.  Only what was
given explicitly reaches the model: defaults, and what applies where, are decided there.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Any, Final

import click
from pydantic import ValidationError

from portline.cli.app import verbose_option, verbosity
from portline.config.kinds import Switch
from portline.config.models import GatewayConfig, ServerConnection, options
from portline.config.options import Group, Option, key_of
from portline.config.refusal import faults_of
from portline.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from portline.config.rules import Fault

__all__ = ["connection_options", "described", "share"]

NOT_FLAGS: Final = ("kind", "port")
"""Fields that are no flags: there is one kind of connection to share, and the port comes first."""

WORDING: Final = {
    "(option port)": "(write its path first)",
    "(option virtual)": "(--virtual NAME)",
    "port and virtual exclude": "PORT and --virtual exclude",
    "protocol raw": "--protocol raw",
    "protocol rfc2217": "--protocol rfc2217",
    "packet-delimiter": "--packet-delimiter",
    "a connection needs a name, like [connections.meter]": "must not be empty; leave it out, or "
    "write one like --name meter",
}
"""Words of the messages on files -> what they are called on a command line."""


class GroupedOption(click.Option):
    """A flag that knows under which heading ``--help`` lists it.

    Its value stays the text that was typed, so that all mistakes are told together.
    """

    group: Group = Group.NETWORK


class GroupedCommand(click.Command):
    """A command whose ``--help`` lists the flags under the headings of the model's groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section for each group, then the rest."""
        sections: dict[str, list[tuple[str, str]]] = {group.value: [] for group in Group}
        sections["Other"] = []
        for param in self.get_params(ctx):
            if isinstance(param, click.Argument):
                continue
            title = param.group.value if isinstance(param, GroupedOption) else "Other"
            if record := param.get_help_record(ctx):
                sections[title].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records, col_max=28)


def connection_options() -> list[click.Option]:
    """Return a flag for each option of a server connection, in the order of the model."""
    return [
        _flag(field, option)
        for field, option in options(ServerConnection).items()
        if field not in NOT_FLAGS
    ]


def _flag(field: str, option: Option) -> click.Option:
    key = key_of(field)
    settings: dict[str, Any] = {"default": None, "help": _help(field, option)}
    if isinstance(option.kind, Switch):
        names = [f"--{key}/--no-{key}"]
    else:
        names = [f"--{key}"]
        settings |= {"metavar": option.kind.metavar, "multiple": option.many}
        settings["shell_complete"] = _completion(option.kind.choices)
    flag = GroupedOption([*names, field], **settings)
    flag.group = option.group
    return flag


def _completion(
    words: tuple[str, ...],
) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return what offers the shell the choices that begin like what was typed."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def _help(field: str, option: Option) -> str:
    """Return the sentence of an option with its range and default."""
    default = ServerConnection.model_fields[field].default
    notes = []
    if not option.kind.choices and field not in {"listen", "virtual"}:
        notes.append(option.kind.allowed)
    if option.many:
        notes.append("may be given several times")
    if default is not None:
        notes.append(f"default: {option.kind.show(default)}")
    return f"{option.text}. [{'; '.join(notes)}]" if notes else f"{option.text}."


def described(port: str | None, name: str | None, given: dict[str, Any]) -> GatewayConfig:
    """Return the configuration that a command line describes.

    Raises ConfigError with every mistake, named by its flag.
    """
    table = {field: value for field, value in given.items() if value not in (None, ())}
    if port is not None:
        # A relative path means something only here, on a command line.
        table["port"] = os.path.abspath(port) if "/" in port else port
    name = _default_name(table) if name is None else name
    try:
        config = GatewayConfig.model_validate({"connections": {name: table}})
    except ValidationError as error:
        raise ConfigError([_in_flags(fault) for fault in faults_of(error)]) from None
    if text := _device_fault(table.get("port")):
        raise ConfigError([text])
    return config


def _default_name(table: dict[str, Any]) -> str:
    """Return a name made of the port's: ``ttyUSB0``."""
    last = str(table.get("virtual") or table.get("port") or "").rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]", "-", last)[:64].strip(".") or "port"


def _in_flags(fault: Fault) -> str:
    """Return a mistake in the words of the command line."""
    text = fault.text
    for file, flags in WORDING.items():
        text = text.replace(file, flags)
    match fault.location:
        case ("connections", _, "port"):
            return f"PORT: {text}"
        case ("connections", _, field):
            return f"--{key_of(field)}: {text}"
        case ("connections", _) if text.startswith("needs a port"):
            return "a port is missing: write its path first, or --virtual NAME to make one"
        case _:
            return f"--name: {text}"


def _device_fault(port: str | None) -> str | None:
    """Return why a path cannot be a serial port; one that is absent may still come."""
    try:
        mode = os.stat(port).st_mode if port is not None and port.startswith("/") else None
    except OSError:
        return None
    if mode is None or stat.S_ISCHR(mode):
        return None
    return f"PORT: {port} is not a serial port (no character device); `portline ports` lists them"


@click.command(
    cls=GroupedCommand,
    params=connection_options(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.argument("port", required=False, type=click.Path(readable=False))
@click.option("--name", metavar="NAME", help="What the connection is called. [default: the port's]")
@verbose_option
@click.pass_context
def share(ctx: click.Context, /, port: str | None, name: str | None, **given: Any) -> int:
    """Share one serial port over TCP until Ctrl-C.

    PORT is a device like /dev/ttyUSB0, a stable name below /dev/serial/by-id, or a USB identity
    like usb:0403:6001:A50285BI.  With --virtual NAME Portline makes the port instead.

    \b
    portline share /dev/ttyUSB0 --baudrate 115200
    portline share /dev/ttyUSB0 --listen "*:4001" --listen rfc2217://*:4002
    portline share --virtual ttyV0 --protocol rfc2217
    """
    config = described(port, name, given)
    from portline.control.companion import companion
    from portline.service.run import run

    return run(config, verbose=verbosity(ctx), announce=True, companion=companion("share"))
