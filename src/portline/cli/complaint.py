"""What is said about an error: lines for people, or one JSON object for programs (``--json``).

::

    {"errors": ["meter.toml: ..."], "mistakes": [{"option": "baudrate", "text": "..."}]}

``errors`` are the lines that people read; ``mistakes`` are those about options of a configuration,
as an operation tells them over HTTP, too.  It is on standard error, in a line, with the same exit
code, so that what is on standard output is always what was asked for, or nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from portline.errors import ConfigError, PortlineError, clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["complain", "lines_of", "wants_json"]


def wants_json(arguments: Sequence[str]) -> bool:
    """Tell whether a command line asks for JSON, as far as it was understood."""
    words = list(arguments)
    return "--json" in words[: words.index("--") if "--" in words else len(words)]


def lines_of(error: BaseException) -> list[str]:
    """Return the lines of an error, in the words for people."""
    match error:
        case ConfigError():
            return [clean(line) for line in error.mistakes]
        case click.ClickException():
            return [clean(" ".join(map(str.strip, error.format_message().splitlines())))]
        case PortlineError():
            return [clean(line) for line in str(error).splitlines()]
        case _:
            text = " ".join(str(error).split())
            kind = type(error).__name__
            return [clean(f"{kind}: {text}" if text else kind)]


def complain(error: BaseException, further: Iterable[str] = (), *, as_json: bool) -> None:
    """Say what is wrong; ``further`` are lines beside those of the error."""
    lines = [*lines_of(error), *further]
    if not as_json:
        for line in lines:
            click.echo(f"portline: error: {line}", err=True)
        return
    import json

    faults = error.faults if isinstance(error, ConfigError) else []
    mistakes = [{"option": option, "text": clean(text)} for option, text in faults]
    click.echo(json.dumps({"errors": lines, "mistakes": mistakes}), err=True)
