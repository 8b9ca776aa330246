"""What a shell offers for a word that is half typed, and ``portline completion``.

It runs at each press of the key Tab, so nothing is imported that is not needed, and a running
Portline gets :data:`LIMIT` seconds to answer.  What goes wrong offers nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import CompletionItem

from portline.cli.app import verbose_option

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "completion",
    "connections",
    "connections_and_devices",
    "connections_devices_and_urls",
    "devices",
    "files",
]

LIMIT: Final = 1.0
"""Seconds that a running Portline gets to answer."""

URLS: Final = ("rfc2217://", "raw://", "rfc2217s://", "raws://")
"""How the URL of a remote port begins."""

SHELLS: Final = ("bash", "zsh", "fish")

VARIABLE: Final = "_PORTLINE_COMPLETE"
"""By which the script asks."""


def connections(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the names of the connections of running Portlines."""
    return [CompletionItem(name) for name in _names(ctx) if name.startswith(incomplete)]


def devices(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the ports of this machine; files where none of them begins like that."""
    found = [CompletionItem(path) for path in _devices() if path.startswith(incomplete)]
    return found or files(ctx, _param, incomplete)


def connections_and_devices(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer connections and the ports of this machine."""
    if "/" in incomplete:
        return devices(ctx, param, incomplete)
    return [
        *connections(ctx, param, incomplete),
        *(CompletionItem(path) for path in _devices() if not incomplete),
    ]


def connections_devices_and_urls(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer connections, the ports of this machine, and how a URL begins."""
    urls = (CompletionItem(url) for url in URLS if incomplete and url.startswith(incomplete))
    return [*connections_and_devices(ctx, param, incomplete), *urls]


def files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Have the shell offer files."""
    return [CompletionItem(incomplete, type="file")]


def _names(ctx: click.Context) -> list[str]:
    from portline.cli.elsewhere import way_elsewhere
    from portline.control.client import SocketWay
    from portline.control.place import Places
    from portline.errors import PortlineError

    found: set[str] = set()
    try:
        elsewhere = way_elsewhere(ctx)
    except PortlineError:
        return []
    for way in map(SocketWay, Places().sockets()) if elsewhere is None else [elsewhere]:
        try:
            result = way.ask("status", limit=LIMIT)
            found |= {str(each["name"]) for each in result["connections"]}
        except (PortlineError, LookupError, TypeError):
            continue
    return sorted(found)


def _devices() -> Iterator[str]:
    from portline.port.inventory.ports import found_ports

    for port in found_ports():
        if not (port.console or port.hidden):
            yield port.path


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@verbose_option
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete the command line of Portline.

    Commands, flags and their choices are completed, the connections of running Portlines, the
    ports of this machine, and files.

    \b
    bash, in ~/.bashrc:                        eval "$(portline completion bash)"
    zsh, in ~/.zshrc behind compinit:          eval "$(portline completion zsh)"
    fish, in ~/.config/fish/config.fish:       portline completion fish | source
    """
    from click.shell_completion import ShellComplete, get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    maker = found(ctx.find_root().command, {}, "portline", VARIABLE)
    # Bash's own method asks which version is installed here, which may be another one than reads.
    click.echo(ShellComplete.source(maker))
