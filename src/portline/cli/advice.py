"""What is said about words for which a command has no use, where it is known what was meant.

An option that only another kind of connection has is said to belong there, with what does the same
here.  Who has typed a password after ``--password`` is told so, and it is not repeated: error
messages end up in logs and in questions to others.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import click
from click.exceptions import NoSuchOption

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from portline.config.kinds import Kind

__all__ = ["NO_ARGUMENT", "AdvisedCommand"]

NO_ARGUMENT: Final = (
    "--password takes no value: everybody on this machine can read the arguments of a command. "
    "Leave the value out to be asked for it, give --password-file FILE (`portline password FILE` "
    "makes it), or set PORTLINE_PASSWORD; and take another password if that was a real one"
)
"""What is said to who has typed a password."""

_COMMANDS: Final = {"server": "portline share", "client": "portline attach", "udp": "portline udp"}
_KINDS: Final = {"share": "server", "attach": "client", "udp": "udp"}

_TRUSTS: Final = (
    "belongs to the end that connects (`portline attach`), where it says which server is trusted; "
    "who is let in here by certificate says --client-ca"
)
_LETS_IN: Final = (
    "belongs to the end that is connected to (`portline share`), where it says who is let in; "
    "nobody connects to this end, so leave it out here"
)
_HAS_CERTIFICATE: Final = (
    "belongs to the end that is connected to (`portline share`), where it says whose certificates "
    "are let in; which server is trusted here says --ca, and who we are --certificate"
)
_NO_DTLS: Final = (
    "does not apply to datagrams, because they would need DTLS, which Python's ssl does not have; "
    "send them through a VPN (WireGuard), or give --password-file, so that nobody can forge one"
)

_KIND_IS: Final = (
    "`portline share` makes a server, `portline attach` a client and `portline udp` a udp, "
    "so leave it out"
)

_BELONGS: Final = {
    **dict.fromkeys((("share", "ca"), ("share", "fingerprint"), ("share", "tls_name")), _TRUSTS),
    **dict.fromkeys((("attach", "client_ca"), ("attach", "client_crl")), _HAS_CERTIFICATE),
    **dict.fromkeys(
        (("attach", field) for field in ("allow", "deny", "open", "password_prompt")), _LETS_IN
    ),
    ("attach", "listen"): "belongs to the end that is connected to (`portline share`); this end "
    "connects to HOST:PORT",
    ("share", "connect"): "belongs to the end that connects (`portline attach`); this end listens "
    "(--listen)",
    (
        "edit",
        "kind",
    ): "cannot be changed: a server stays one; remove it, and add another with --kind",
    ("run", "password"): "would ask at the terminal, which is the program's; give --password-file "
    "FILE, or set PORTLINE_PASSWORD",
}
"""Command and field -> what is said of the option."""


class AdvisedCommand(click.Command):
    """A command that knows what its users mean by options which it does not have."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; a mistake in it is told with what can be done instead."""
        words = list(args)
        fields = [each.name or "" for each in self.params if isinstance(each, click.Argument)]
        if not ctx.resilient_parsing and self.allow_interspersed_args:
            typed = _typed_password(words, fields)
            if typed:
                raise click.UsageError(NO_ARGUMENT, ctx)
        try:
            return super().parse_args(ctx, args)
        except NoSuchOption as error:
            text = _belongs(self.name or "", error.option_name)
            raise (click.UsageError(text, error.ctx) if text else error) from None
        except click.UsageError as error:
            if "--password" in words and "unexpected extra argument" in error.message:
                raise click.UsageError(NO_ARGUMENT, error.ctx) from None
            raise


def _belongs(command: str, flag: str) -> str | None:
    """Return what is said of a flag that another command has; None if none has it."""
    from portline.config.models import MODELS, options
    from portline.config.rules import TLS_OPTIONS

    field = flag.lstrip("-").removeprefix("no-").replace("-", "_")
    kinds = [kind for kind, model in MODELS.items() if field in options(model)]
    if text := _BELONGS.get((command, field)):
        return f"{flag} {text}"
    if field == "kind":
        return f"{flag} is an option of `portline add`; {_KIND_IS}"
    if command == "udp" and field in ("tls", *TLS_OPTIONS):
        return f"{flag} {_NO_DTLS}"
    if not kinds:
        return None
    others = " and ".join(f"`{_COMMANDS[kind]}`" for kind in kinds)
    if command == "run":
        made = "make the port with that first, and name it here: --port NAME"
        return f"{flag} is an option of {others}; {made}"
    this = _COMMANDS.get(_KINDS.get(command, ""), f"portline {command}")
    return f"{flag} is an option of {others}, and means nothing to `{this}`; leave it out"


def _typed_password(words: Sequence[str], fields: Iterable[str]) -> bool:
    """Tell whether what follows ``--password`` in ``words`` can only be a password.

    ``fields`` stand on the command line without a flag: what one of them may be is none.
    """
    line = words[: words.index("--")] if "--" in words else words
    if any(word.startswith("--password=") for word in line):
        return True
    values = [after for word, after in pairwise(line) if word == "--password"]
    values = [value for value in values if not value.startswith("-")]
    if not values:
        return False
    kinds = [_kind(field) for field in fields]
    return not all(any(kind is None or _reads(kind, value) for kind in kinds) for value in values)


def _kind(field: str) -> Kind | None:
    """Return what the field of an argument reads; None for one that takes any word."""
    from portline.config.models import MODELS, options

    found = (options(model).get(field) for model in MODELS.values())
    return next((option.kind for option in found if option is not None), None)


def _reads(kind: Kind, value: str) -> bool:
    try:
        kind.read(value)
    except ValueError:
        return False
    return True
