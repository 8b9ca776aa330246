"""``portline token``: what programs log in with at the API of a page."""

from __future__ import annotations

import json
from typing import Any

import click

from portline.cli.app import verbose_option
from portline.errors import UsageError

__all__ = ["token"]


@click.command()
@click.argument("name", required=False)
@click.option("--remove", is_flag=True, help="Make the token of that name worthless.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, for programs.")
@verbose_option
def token(*, name: str | None, remove: bool, as_json: bool) -> int:
    """Make a token with which a program may do everything that the page can, and print it once.

    NAME is for telling one from another; without it the names are listed.  A program sends the
    token as `Authorization: Bearer TOKEN`.  What is kept of it, in the state folder of this user,
    cannot be used to log in.  A running Portline of the same user notices at once.

    \b
    portline token grafana
    portline token --remove grafana
    """
    from portline.web.credentials import Credentials

    credentials = Credentials()
    if name is None:
        if remove:
            raise UsageError("--remove needs the name of a token; `portline token` lists them")
        known = list(credentials.tokens())
        told: dict[str, Any] = {"tokens": known}
        lines = known
    elif remove:
        credentials.remove_token(name)
        told, lines = {"removed": [name]}, [f"{name}: is worthless now"]
    else:
        made = credentials.add_token(name)
        told, lines = {"name": name, "token": made}, [made]
    for line in [json.dumps(told)] if as_json else lines:
        click.echo(line)
    return 0
