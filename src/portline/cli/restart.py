"""``portline restart``: have a running Portline begin anew in its own process."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

import click

from portline.cli.app import verbose_option
from portline.cli.complaint import complain
from portline.cli.layout import clean
from portline.cli.processes import ask_all, json_option, nobody, socket_option
from portline.errors import ConfigError, PortlineError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["restart"]

BACK: Final = 60.0
"""Seconds within which one that restarts has to answer again: some twenty times what a slow machine
takes."""

LOOK: Final = 0.1
"""Seconds between two questions whether it does."""


@click.command()
@json_option
@socket_option
@verbose_option
def restart(as_json: bool, socket: Path | None) -> int:
    """Have each running `portline serve` begin anew: another version, or everything made afresh.

    Peers are disconnected and come back; virtual ports with the backend usbip stay open for their
    applications, which notice nothing.  A configuration with mistakes changes nothing; the exit
    code is 2 then.
    """
    codes: list[int] = []
    results: list[Any] = []
    # An empty list of names: who is there is asked for, not what it does.
    for answer in ask_all("status", socket, names=[]):
        if answer.error is not None:
            codes.append(_failed("", answer.error, as_json=as_json))
        elif answer.result["process"]["file"] is not None or socket is not None:
            process = answer.result["process"]
            codes.append(_restart(answer.path, process, results if as_json else None))
    if not codes:
        raise nobody("`portline serve`")
    if as_json:
        click.echo(json.dumps(results, indent=2))
    return max(codes)


def _restart(path: Path, process: dict[str, Any], results: list[Any] | None) -> int:
    who = f"pid {process['pid']}, {clean(process['file'] or process['command'])}"
    begun = time.monotonic()
    for answer in ask_all("restart", path):
        if answer.error is not None:
            return _failed(who, answer.error, as_json=results is not None)
    while time.monotonic() - begun < BACK:
        time.sleep(LOOK)
        for answer in ask_all("status", path, names=[]):
            if answer.error is None and _is_new(answer.result["process"], begun):
                if results is None:
                    click.echo(f"{who}: restarted")
                else:
                    results.append({"process": answer.result["process"]})
                return 0
    late = PortlineError(f"{who}: does not answer again; see its log")
    return _failed(who, late, as_json=results is not None)


def _is_new(process: dict[str, Any], begun: float) -> bool:
    up_for = process.get("up_for")
    return isinstance(up_for, int | float) and up_for < time.monotonic() - begun


def _failed(who: str, error: PortlineError, *, as_json: bool) -> int:
    """Say what is wrong; return the exit code."""
    is_config = isinstance(error, ConfigError)
    further = [f"{who}: nothing was changed"] if is_config else []
    complain(error, further, as_json=as_json)
    return 2 if is_config else 1
