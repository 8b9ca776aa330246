"""``portline password``: the file with a password, and how people type one."""

from __future__ import annotations

import os
import secrets
import sys
from typing import Final

import click

from portline.cli.app import verbose_option
from portline.errors import PortlineError, UsageError

__all__ = ["asked", "password"]

GENERATED: Final = 18
"""Random bytes of a password that is made: 144 bits, 24 characters, which nobody guesses."""


def asked() -> str:
    """Have a person type the password at the terminal.  Raises UsageError where there is none."""
    from portline.auth.secret import VARIABLE

    if not sys.stdin.isatty():
        raise UsageError(
            f"there is no terminal to type the password at; set {VARIABLE}, or name a file "
            "(password-file)"
        )
    return str(click.prompt("Password", hide_input=True, err=True))


def _new(generate: bool) -> tuple[str, bool]:
    """Return a new password, and whether it is one that nobody has seen yet."""
    from portline.auth.secret import VARIABLE

    if generate:
        return secrets.token_urlsafe(GENERATED), True
    if VARIABLE in os.environ:
        return os.environ[VARIABLE], False
    if not sys.stdin.isatty():
        return sys.stdin.readline().removesuffix("\n"), False
    typed = click.prompt("New password", hide_input=True, confirmation_prompt=True, err=True)
    return str(typed), False


def _fault(file: str, error: OSError) -> str:
    folder = os.path.dirname(file) or "."
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return f"there is no folder {folder}; run `mkdir -p {folder}`, or name another file"
        case IsADirectoryError():
            return "it is a folder; name a file"
        case PermissionError():
            return f"this user may not write in {folder}; name another file, or run it as its owner"
        case _:
            return f"{error.strerror}; name another file"


def _set_for_page(text: str) -> None:
    from portline.web.credentials import Credentials

    Credentials().store(text)
    click.echo("the page has another password; whoever was logged in has to log in again")


@click.command()
@click.argument("file", required=False, type=click.Path(readable=False))
@click.option(
    "--plain", is_flag=True, help="Store the password itself, as who connects to a server needs it."
)
@click.option("--generate", is_flag=True, help="Make a password that nobody can guess.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.option("--web", is_flag=True, help="Set the password of the page instead.")
@verbose_option
def password(*, file: str | None, plain: bool, generate: bool, force: bool, web: bool) -> int:
    """Store a password for the option password-file, so that nobody else can read it.

    What is stored is salted: a server knows by it who has the password, and nobody can log in with
    it.  The password is typed, or comes from the environment variable PORTLINE_PASSWORD, or is the
    first line of what comes through a pipe.  Without FILE the line is written to the terminal.

    \b
    portline password /etc/portline/meter.password
    portline password --generate --plain meter.password
    portline password --web
    """
    from portline.auth.password import Password
    from portline.auth.secret import write_secret

    if web and (file is not None or plain or force):
        raise UsageError("--web has a place of its own; give it no FILE, --plain or --force")
    text, unseen = _new(generate)
    if web:
        _set_for_page(text)
        if unseen:
            click.echo(f"The password is: {text}")
        return 0
    try:
        made = Password(text)
    except ValueError as error:
        raise UsageError(f"the password {error}") from None
    line = text if plain else made.verifier().line()
    if file is None:
        click.echo(line)
    else:
        try:
            write_secret(file, line, replace=force)
        except FileExistsError:
            raise UsageError(f"{file} is there already; --force replaces it") from None
        except OSError as error:
            raise PortlineError(f"{file}: cannot be written: {_fault(file, error)}") from None
        kind = "the password" if plain else "the salted password"
        click.echo(f"{file}: holds {kind}, and only you may read it")
    if unseen and not plain:
        click.echo(f"The password is: {text}", err=file is None)
    return 0
