"""The form by which a person describes a connection: every option of each kind, in groups.

It is made from the models, as the flags and the reference page are, so that the three cannot drift
apart.  What does not apply, and what is wrong, :mod:`portline.config.examination` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from portline.config.delimiters import Delimiters
from portline.config.files import CaFile, FilePath, Fingerprint, HostName
from portline.config.kinds import Choice, Decimal, Number, Switch
from portline.config.measures import Duration, Size
from portline.config.models import MODELS
from portline.config.networks import NetworkList
from portline.config.options import Group, key_of
from portline.config.places import (
    Device,
    HostAddresses,
    Interface,
    ListenAddresses,
    ProxyAddress,
    VirtualName,
)
from portline.config.spelling import known_options, written_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portline.config.models import ConnectionConfig
    from portline.config.options import Option

__all__ = ["Entry", "Form", "Section", "form", "forms"]

WORDS: Final[Mapping[type, str]] = {
    Switch: "flag",
    Choice: "choice",
    Number: "integer",
    Decimal: "number",
    Duration: "duration",
    Size: "size",
    Device: "device",
    VirtualName: "virtual",
    ListenAddresses: "listen",
    HostAddresses: "host",
    ProxyAddress: "proxy",
    Interface: "interface",
    NetworkList: "network",
    Delimiters: "delimiter",
    FilePath: "file",
    CaFile: "file",
    Fingerprint: "fingerprint",
    HostName: "name",
}
"""Each kind of value -> what a form calls it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One option.

    ``value`` is a word of :data:`WORDS`, ``allowed`` says in a phrase what may be written and
    ``placeholder`` in a word; ``choices`` are all that may be, where they can be listed.
    ``low``, ``high`` and ``unit`` are those of a number.  ``default`` is as a file would have it,
    None for an option without one; ``why`` tells why it is what it is.  ``many``: a list may be
    written.
    """

    key: str
    text: str
    why: str
    value: str
    allowed: str
    placeholder: str
    choices: tuple[str, ...]
    default: bool | int | float | str | list[str] | None
    many: bool
    low: float | None = None
    high: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A group of options under its name."""

    name: str
    options: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Form:
    """All options of one kind of connection but ``kind`` itself."""

    groups: tuple[Section, ...]


@cache
def forms() -> dict[str, Form]:
    """Return the form of each kind of connection; made once, and nobody changes it."""
    return {kind: form(model) for kind, model in MODELS.items()}


def form(model: type[ConnectionConfig]) -> Form:
    """Return the form of a kind of connection."""
    sections: dict[Group, list[Entry]] = {}
    for field, option in known_options(model).items():
        if field != "kind":
            entry = _entry(field, option, model.model_fields[field].default)
            sections.setdefault(option.group, []).append(entry)
    return Form(tuple(Section(group.value, tuple(found)) for group, found in sections.items()))


def _entry(field: str, option: Option, default: object) -> Entry:
    kind = option.kind
    ranged = kind if isinstance(kind, Number | Decimal) else None
    return Entry(
        key=key_of(field),
        text=option.text,
        why=option.why,
        value=WORDS[type(kind)],
        allowed=kind.allowed,
        placeholder=kind.metavar,
        choices=kind.choices,
        default=None if default == () else written_value(option, default),  # type: ignore[arg-type]
        many=option.many,
        low=None if ranged is None else ranged.low,
        high=None if ranged is None else ranged.high,
        unit=ranged.unit if ranged else "",
    )
