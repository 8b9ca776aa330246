"""``portline restart``: have a running Portline begin anew in its own process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import click

from portline.cli.app import verbose_option
from portline.cli.layout import clean
from portline.cli.processes import ask_all, each_service, failed, json_option, socket_option
from portline.errors import PortlineError

if TYPE_CHECKING:
    from portline.control.way import Way

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
def restart(as_json: bool, way: Way | None) -> int:
    """Have each running `portline serve` begin anew: another version, or everything made afresh.

    Peers are disconnected and come back; virtual ports with the backend usbip stay open for their
    applications, which notice nothing.  A configuration with mistakes changes nothing; the exit
    code is 2 then.
    """
    # An empty list of names: who is there is asked for, not what it does.
    there = ask_all("status", way, names=[])
    return each_service(there, _restart, named=way is not None, as_json=as_json)


def _restart(way: Way, process: dict[str, Any], results: list[Any] | None) -> int:
    who = f"pid {process['pid']}, {clean(process['file'] or process['command'])}"
    begun = time.monotonic()
    for answer in ask_all("restart", way):
        if answer.error is not None:
            return failed(who, answer.error, as_json=results is not None)
    while time.monotonic() - begun < BACK:
        time.sleep(LOOK)
        for answer in ask_all("status", way, names=[]):
            if answer.error is None and _is_new(answer.result["process"], begun):
                if results is None:
                    click.echo(f"{who}: restarted")
                else:
                    results.append({"process": answer.result["process"]})
                return 0
    late = PortlineError(f"{who}: does not answer again; see its log")
    return failed(who, late, as_json=results is not None)


def _is_new(process: dict[str, Any], begun: float) -> bool:
    up_for = process.get("up_for")
    return isinstance(up_for, int | float) and up_for < time.monotonic() - begun
