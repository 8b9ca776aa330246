"""Flags for the options of a connection, and what a command line describes with them.

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

from portline.auth.secret import VARIABLE
from portline.cli.advice import AdvisedCommand
from portline.cli.completion import devices, files
from portline.config.connection import options
from portline.config.kinds import Switch
from portline.config.models import MODELS, GatewayConfig
from portline.config.options import Group, Option, key_of
from portline.config.refusal import faults_of
from portline.config.secrets import TLS_FILES, file_faults
from portline.errors import ConfigError, UsageError
from portline.net.tls.contexts import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from pydantic import BaseModel

    from portline.config.rules import Fault

__all__ = [
    "EITHER_PORT",
    "GroupedCommand",
    "connection_options",
    "described",
    "every_option",
    "written",
]

TYPED: Final = {
    **dict.fromkeys(("allow", "deny"), "a network like 192.168.1.0/24 or fd00::/8, or one address"),
    "packet_delimiter": r"a character code (13, 0x0d), or text with escapes ('\r\n', '\x03')",
}
"""Fields whose values are typed in another way than they are written in a file."""

FILES: Final = frozenset({"password_file", *TLS_FILES})
"""Fields that name a file."""

WORDING: Final = {
    "(option virtual)": "(--virtual NAME)",
    "protocol raw": "--protocol raw",
    "protocol rfc2217": "--protocol rfc2217",
    "packet-delimiter": "--packet-delimiter",
    "retry-max": "--retry-max",
    "write tls = true too": "give --tls too",
    "with tls = true": "with --tls",
    "(password-file)": "(--password-file)",
    "(allow)": "(--allow)",
    "write open = true": "give --open",
    "give password-file too": "give --password-file too",
    "give certificate too": "give --certificate too",
    "give client-ca too": "give --client-ca too",
    "give ca too": "give --ca too",
    'write rs485 = "on" too': "give --rs485 on too",
    "only when-full = replace-idle asks": "only --when-full replace-idle asks",
    "a connection needs a name, like [connections.meter]": "must not be empty; leave it out, or "
    "write one like --name meter",
}
"""Words of the messages on files -> what they are called on any command line."""

EITHER_PORT: Final = {
    "(option port)": "(--port PATH)",
    "port and virtual exclude": "--port and --virtual exclude",
    'needs a port: write port = "/dev/ttyUSB0" for a real one, or virtual = "ttyV0" for one that '
    "Portline makes": "a port is missing: --virtual NAME makes one, --port PATH takes a real one",
}
"""The same for a command whose port may be a real or a virtual one, by a flag."""


class GroupedOption(click.Option):
    """A flag that knows under which heading ``--help`` lists it.

    Its value stays the text that was typed, so that all mistakes are told together.
    """

    group: Group = Group.NETWORK


class GroupedCommand(AdvisedCommand):
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


def connection_options(kind: str, arguments: Collection[str]) -> list[click.Option]:
    """Return a flag for each option of such a connection, in the order of the model.

    ``arguments`` are the fields that stand on the command line without a flag.
    """
    model = MODELS[kind]
    return [
        _flag(field, option, model)
        for field, option in options(model).items()
        if field not in {"kind", *arguments}
    ]


def every_option() -> list[click.Option]:
    """Return a flag for each option that any kind of connection has, but ``kind`` itself."""
    flags = {flag.name: flag for kind in MODELS for flag in connection_options(kind, ())}
    return list(flags.values())


def _flag(field: str, option: Option, model: type[BaseModel]) -> click.Option:
    key = key_of(field)
    settings: dict[str, Any] = {"default": None, "help": _help(field, option, model)}
    if isinstance(option.kind, Switch):
        names = [f"--{key}/--no-{key}"]
    else:
        names = [f"--{key}"]
        settings |= {"metavar": option.kind.metavar, "multiple": option.many}
        settings["shell_complete"] = _completion(field, option.kind.choices)
    flag = GroupedOption([*names, field], **settings)
    flag.group = option.group
    return flag


def _completion(
    field: str,
    words: tuple[str, ...],
) -> Callable[[click.Context, click.Parameter, str], Any]:
    """Return what offers the shell the choices that begin like what was typed, ports, or files."""
    if field in FILES:
        return files
    if field == "port":
        return devices

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def _help(field: str, option: Option, model: type[BaseModel]) -> str:
    """Return the sentence of an option with its range and default."""
    default = model.model_fields[field].default
    notes = []
    if not option.kind.choices and field not in {"interface", "listen", "port", "proxy", "virtual"}:
        notes.append(TYPED.get(field, option.kind.allowed))
    if option.many:
        notes.append("may be given several times")
    if default is not None:
        notes.append(f"default: {option.kind.show(default)}")
    return f"{option.text}. [{'; '.join(notes)}]" if notes else f"{option.text}."


def described(
    kind: str,
    given: dict[str, Any],
    *,
    name: str | None = None,
    arguments: Mapping[str, str],
    wording: Mapping[str, str],
) -> GatewayConfig:
    """Return the configuration that a command line describes.

    ``arguments`` are the fields without a flag and what they are called in messages, ``wording``
    has the words of this command line beside those of WORDING.  Raises ConfigError with every
    mistake, named by its flag.
    """
    table = {field: value for field, value in given.items() if value not in (None, ())}
    if VARIABLE in os.environ and "password_file" not in table:
        table.setdefault("password", True)
    table |= _absolute(table)
    name = _default_name(table) if name is None else name
    try:
        config = GatewayConfig.model_validate({"connections": {name: {"kind": kind, **table}}})
    except ValidationError as error:
        words = {**WORDING, **wording}
        faults = faults_of(error)
        raise ConfigError([_in_flags(fault, arguments, words) for fault in faults]) from None
    if faults := file_faults(config):
        words = {**WORDING, **wording}
        raise ConfigError([_in_flags(fault, arguments, words) for fault in faults])
    if text := _device_fault(table.get("port")):
        raise ConfigError([f"{arguments.get('port', '--port')}: {text}"])
    return config


def _absolute(table: Mapping[str, Any]) -> dict[str, str]:
    """Return the paths of a table from / on: a relative one means something only here."""
    paths = {field: table[field] for field in FILES & table.keys()}
    if paths.get("ca") == SYSTEM:
        del paths["ca"]
    if "/" in str(table.get("port", "")):
        paths["port"] = table["port"]
    return {field: os.path.abspath(path) for field, path in paths.items()}


def written(given: Mapping[str, Any], *, elsewhere: bool = False) -> dict[str, object]:
    """Return what was given as a file would have it: numbers as numbers, one value as no list.

    Raises UsageError for a path that would mean something else ``elsewhere``, on another machine.
    """
    known = {field: option for model in MODELS.values() for field, option in options(model).items()}
    table = {field: value for field, value in given.items() if value not in (None, ())}
    absolute = _absolute(table)
    for field, path in absolute.items():
        if elsewhere and str(table[field]) != path:
            raise UsageError(
                f"--{key_of(field)} {table[field]}: is a path on the other machine; write it from "
                "/ on"
            )
    table |= absolute
    return {field: _value(known[field], value) for field, value in table.items()}


def _value(option: Option, typed: Any) -> object:
    if isinstance(typed, tuple):
        values = [_value(option, each) for each in typed]
        return values[0] if len(values) == 1 else values
    if isinstance(typed, str) and re.fullmatch(r"0|[1-9][0-9]{0,17}", typed):
        try:
            if option.kind.read(int(typed)) == option.kind.read(typed):
                return int(typed)
        except ValueError:
            pass  # a number means something else there, or it is wrong, which will be told
    return typed


def _default_name(table: dict[str, Any]) -> str:
    """Return a name made of the port's: ``ttyUSB0``."""
    last = str(table.get("virtual") or table.get("port") or "").rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]", "-", last)[:64].strip(".-") or "port"


def _in_flags(fault: Fault, arguments: Mapping[str, str], words: Mapping[str, str]) -> str:
    """Return a mistake in the words of the command line."""
    text = fault.text
    for file, flags in words.items():
        text = text.replace(file, flags)
    match fault.location:
        case ("connections", _, field):
            return f"{arguments.get(field, f'--{key_of(field)}')}: {text}"
        case ("connections", _):
            return text if fault.text.startswith("needs a ") else f"--name: {text}"
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
    return f"{port} is not a serial port (no character device); `portline ports` lists them"
