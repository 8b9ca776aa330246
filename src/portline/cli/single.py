"""What the commands have in common that run one connection, described on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from portline.cli.app import verbose_option, verbosity
from portline.cli.flags import GroupedCommand, connection_options
from portline.cli.password import asked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from portline.config.models import GatewayConfig

__all__ = ["run_single", "single_command"]


def single_command(
    kind: str, arguments: Collection[str]
) -> Callable[[Callable[..., int]], click.Command]:
    """Make a command of a function that takes the context, ``name``, and what was given.

    It has a flag for each option of such a connection but ``enabled``, because nobody runs what is
    not to start; ``arguments`` are the fields without one, too.
    """

    def made(function: Callable[..., Any]) -> click.Command:
        text = "What the connection is called. [default: the port's]"
        named = click.option("--name", metavar="NAME", help=text)
        command = click.command(
            cls=GroupedCommand,
            params=connection_options(kind, {*arguments, "enabled"}),
        )
        return command(named(verbose_option(click.pass_context(function))))

    return made


def run_single(ctx: click.Context, config: GatewayConfig) -> int:
    """Run what the command line describes until Ctrl-C; returns the exit code."""
    from portline.control.companion import companion
    from portline.service.process.run import run

    beside = companion(ctx.command.name or "")
    return run(config, verbose=verbosity(ctx), announce=True, companion=beside, ask=asked)
