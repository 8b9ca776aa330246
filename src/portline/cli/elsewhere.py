"""A Portline on another machine, as the command line says where it is: ``portline --url URL ...``.

These options stand before the command, because behind it ``--ca`` and ``--fingerprint`` are options
of a connection.  The token is in a file, since a command line can be seen by everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.core import ParameterSource

from portline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from portline.control.http import Client

__all__ = [
    "ASKING",
    "asked_on_command_line",
    "check_command",
    "elsewhere_options",
    "is_elsewhere",
    "way_elsewhere",
]

ASKING: Final = (
    *("status", "monitor", "record", "add", "edit", "remove", "reload", "restart"),
    *("start", "stop", "enable", "disable", "disconnect", "lines", "break", "set", "pulse", "term"),
)
"""The commands that ask a running Portline, which may be on another machine."""

_Command = TypeVar("_Command", bound="Callable[..., Any]")

_OPTIONS: Final = (
    click.option(
        "--url",
        envvar="PORTLINE_URL",
        metavar="URL",
        help="Ask the Portline whose page is there, like https://gateway.example:8217, instead of "
        "those of this machine. [PORTLINE_URL]",
    ),
    click.option(
        "--token-file",
        envvar="PORTLINE_TOKEN_FILE",
        metavar="FILE",
        type=click.Path(),
        help="The token for it, as `portline token NAME` has made it there. [PORTLINE_TOKEN_FILE]",
    ),
    click.option(
        "--ca",
        envvar="PORTLINE_CA",
        metavar="FILE",
        type=click.Path(),
        help="Believe certificates of this CA (PEM). [PORTLINE_CA; default: those of the system]",
    ),
    click.option(
        "--fingerprint",
        envvar="PORTLINE_FINGERPRINT",
        metavar="sha256:HEX",
        help="Believe this certificate only, as `portline serve` shows it. [PORTLINE_FINGERPRINT]",
    ),
    click.option(
        "--trusted",
        is_flag=True,
        help="Send the token over http:// beyond this machine: the network is trusted.",
    ),
)


def elsewhere_options(command: _Command) -> _Command:
    """Give the group the options that say which Portline is asked."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def is_elsewhere(ctx: click.Context | None) -> bool:
    """Tell whether a Portline on another machine is to be asked."""
    return ctx is not None and bool(ctx.find_root().params.get("url"))


def asked_on_command_line(ctx: click.Context | None) -> bool:
    """Tell whether ``--url`` was given, and not only PORTLINE_URL."""
    return (
        ctx is not None
        and ctx.find_root().get_parameter_source("url") is ParameterSource.COMMANDLINE
    )


def check_command(ctx: click.Context, name: str) -> None:
    """Raise UsageError for what says where a Portline is to a command that asks none."""
    root = ctx.find_root()
    given = [
        f"--{each.replace('_', '-')}"
        for each in ("url", "token_file", "ca", "fingerprint", "trusted")
        if root.get_parameter_source(each) is ParameterSource.COMMANDLINE
    ]
    if given and name not in ASKING:
        raise UsageError(
            f"{given[0]} before the command says which running Portline is asked, and `portline "
            f"{name}` works on this machine; these ask one: {', '.join(ASKING)}"
        )
    if given and not root.params.get("url"):
        raise UsageError(f"{given[0]} is for a Portline elsewhere; say where with --url")


def way_elsewhere(ctx: click.Context | None) -> Client | None:
    """Return the Portline on another machine that is to be asked, None for those of this one.

    Raises UsageError where it cannot be asked as it is said.
    """
    if ctx is None or not is_elsewhere(ctx):
        return None
    given = ctx.find_root().params
    url = given["url"]
    from portline.auth.secret import read_private
    from portline.control.http import Client

    path = given["token_file"]
    if not path:
        raise UsageError(
            f"{url}: needs a token: `portline token NAME` there makes one; name the file that has "
            "it with --token-file or PORTLINE_TOKEN_FILE"
        )
    try:
        token = read_private(path, makes="`portline token NAME` on that machine makes what goes in")
    except ValueError as error:
        raise UsageError(f"--token-file: {error}") from None
    return Client(
        url,
        token.strip(),
        ca=given["ca"],
        fingerprint=given["fingerprint"],
        trusted=given["trusted"],
    )
