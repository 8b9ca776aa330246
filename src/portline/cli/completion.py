"""What a shell offers for a word that is half typed: connections, ports, files.

It runs at each press of a key, so nothing is imported that it does not need, and a running Portline
gets :data:`LIMIT` seconds to answer.  What goes wrong offers nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

__all__ = ["connections", "connections_and_devices", "connections_devices_and_urls"]

LIMIT: Final = 1.0
"""Seconds that a running Portline gets to answer."""


def connections(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the names of the connections of running Portlines."""
    return [CompletionItem(name) for name in _names() if name.startswith(incomplete)]


def connections_and_devices(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer connections, and the ports of this machine."""
    devices = [CompletionItem(path) for path in _devices() if path.startswith(incomplete)]
    if "/" in incomplete and not devices:
        return [CompletionItem(incomplete, type="file")]
    return [*connections(ctx, param, incomplete), *devices]


def connections_devices_and_urls(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer connections, the ports of this machine, and how a URL begins."""
    from portline.remote.place import PROTOCOLS

    urls = [f"{scheme}://" for scheme in PROTOCOLS if incomplete]
    return [
        *connections_and_devices(ctx, param, incomplete),
        *(CompletionItem(url) for url in urls if url.startswith(incomplete)),
    ]


def _names() -> Iterator[str]:
    from portline.control.client import ask
    from portline.control.place import Places
    from portline.errors import PortlineError

    found = set()
    for path in Places().sockets():
        try:
            result = ask(path, "status", limit=LIMIT)
            found |= {str(each["name"]) for each in result["connections"]}
        except (PortlineError, LookupError, TypeError):
            continue
    yield from sorted(found)


def _devices() -> Iterator[str]:
    from portline.port.inventory.ports import found_ports

    for port in found_ports():
        if not (port.console or port.hidden):
            yield port.path
