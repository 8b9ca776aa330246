"""What is said about words for which a command has no use, where it is known what was meant.

Who has typed a password after ``--password`` is told so, and it is not repeated: error messages end
up in logs and in questions to others.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import click

from portline.config.connection import options
from portline.config.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from portline.config.kinds import Kind

__all__ = ["NO_ARGUMENT", "superfluous", "typed_password"]

NO_ARGUMENT: Final = (
    "--password takes no value: everybody on this machine can read the arguments of a command. "
    "Leave the value out to be asked for it, give --password-file FILE (`portline password FILE` "
    "makes it), or set PORTLINE_PASSWORD; and take another password if that was a real one"
)
"""What is said to who has typed a password."""


def typed_password(words: Sequence[str], arguments: Iterable[str]) -> str | None:
    """Return NO_ARGUMENT if what follows ``--password`` in ``words`` can only be a password.

    ``arguments`` are the fields that stand on the command line without a flag: what one of them
    may be is none.
    """
    end = words.index("--") if "--" in words else len(words)
    line = words[:end]
    if any(word.startswith("--password=") for word in line):
        return NO_ARGUMENT
    kinds = [_kind(field) for field in arguments]
    for word, value in pairwise(line):
        follows = word == "--password" and not value.startswith("-")
        if follows and not any(kind is None or _reads(kind, value) for kind in kinds):
            return NO_ARGUMENT
    return None


def _kind(field: str) -> Kind | None:
    """Return what the field of an argument reads; None for one that takes any word."""
    found = (options(model).get(field) for model in MODELS.values())
    return next((option.kind for option in found if option is not None), None)


def _reads(kind: Kind, value: str) -> bool:
    try:
        kind.read(value)
    except ValueError:
        return False
    return True


def superfluous(error: click.UsageError, words: Sequence[str]) -> click.UsageError:
    """Return an error that does not repeat what may be a password."""
    if "--password" in words and "unexpected extra argument" in error.message:
        return click.UsageError(NO_ARGUMENT, error.ctx)
    return error
