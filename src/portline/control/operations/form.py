"""Operations for a form by which a person describes a connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from portline.config.examination import MistakeOf, examine
from portline.config.form import Form, forms
from portline.control.operations.operation import Operation, Parameter, Result
from portline.control.operations.parameters import OPTIONS, optional_text
from portline.errors import NameUnknown
from portline.service.process.aside import aside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portline.control.operations.subject import Subject

__all__ = ["FORM", "Checked", "Described"]


@dataclass(frozen=True, slots=True)
class Described(Result):
    """The result of ``options``: the form of each kind of connection."""

    kinds: dict[str, Form] = field(metadata={"plain": True})


@dataclass(frozen=True, slots=True)
class Checked(Result):
    """The result of ``check``; see :class:`portline.config.examination.Examination`."""

    mistakes: list[MistakeOf]
    not_applicable: dict[str, str]
    options: dict[str, bool | int | float | str | list[str] | None]


async def _options(subject: Subject) -> Described:
    """Describe every option of each kind of connection, in groups."""
    return Described(subject.process, await aside(forms))


async def _check(
    subject: Subject, *, name: str, options: Mapping[str, object], before: str
) -> Checked:
    """Say what would be wrong with a connection, and what would be in force; change nothing."""
    config = subject.served.gateway.config
    if before and before not in config.connections:
        raise NameUnknown(before, config.connections)
    # Not here: it takes milliseconds with many connections, and files are looked at.
    found = await aside(partial(examine, config, name, options, before))
    return Checked(subject.process, found.mistakes, found.not_applicable, found.options)


FORM: Final = (
    Operation("options", (), Described, _options, changes=False),
    Operation(
        "check",
        (
            Parameter(
                "name",
                "What it would be called.",
                optional_text("name"),
                {"type": "string"},
                needed=True,
            ),
            OPTIONS,
            Parameter(
                "before",
                "The connection that would be changed: what is not given stays, and null takes an "
                'option out; "" for a new one.',
                optional_text("before"),
                {"type": "string"},
                "",
            ),
        ),
        Checked,
        _check,
        changes=False,
    ),
)
"""options, check."""
