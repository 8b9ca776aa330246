"""What would come of a connection that somebody is still writing; nothing is changed or refused.

The same models judge that judge a file, so what is found here is what would be refused there.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from portline.config.clashes import name_fault
from portline.config.kinds import Switch
from portline.config.models import MODELS, GatewayConfig, model_of
from portline.config.options import exclusion, key_of
from portline.config.refusal import faults_of
from portline.config.rules import combinations, contradictions, folded
from portline.config.secrets import file_faults
from portline.config.spelling import known_options, option_values, written_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portline.config.models import ConnectionConfig
    from portline.config.rules import Fault

__all__ = ["Examination", "MistakeOf", "examine", "values_of"]

_CHOOSING: Final = frozenset({"kind", "port", "virtual", "protocol", "listen", "connect"})
"""Options that decide which others apply, and are always offered."""


@dataclass(frozen=True, slots=True)
class MistakeOf:
    """A mistake in ``option``: its key, "name", or "" for the connection as a whole."""

    option: str
    text: str


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found out about a connection.

    ``not_applicable`` are the keys of options that do nothing here, with the reason and the remedy:
    at this port and with these protocols, or beside the other options that were written.
    ``options`` are the values that would be in force, as a file may have them: None where an option
    does not apply to the port or the protocols, or has no value, and its default where what was
    written cannot be used.
    """

    mistakes: list[MistakeOf]
    not_applicable: dict[str, str]
    options: dict[str, bool | int | float | str | list[str] | None]


def examine(
    config: GatewayConfig, name: str, options: Mapping[str, object], before: str = ""
) -> Examination:
    """Examine a connection ``name`` with ``options``, by key, beside those of ``config``.

    ``before`` is the connection of ``config`` that it would change: options that are not given stay
    as they are then, and None takes one out, as :func:`portline.config.editing.updated` does; ""
    for a new one.  Blocks: the files that it names are looked at.  Raises KeyError where there is
    no ``before``.
    """
    others = {each: made for each, made in config.connections.items() if each != before}
    mistakes = []
    if name in others:
        text = f"there is a connection {name!r} already; take another name"
        mistakes.append(MistakeOf("name", text))
        del others[name]
    table = _changed(config.connections[before] if before else None, options)
    try:
        # It comes last, so that it is told of what it does not share with another one.
        made = GatewayConfig.model_validate({"connections": {**others, name: table}})
    except ValidationError as error:
        faults = faults_of(error)
        effective = _as_far_as_possible(table)
    else:
        only = GatewayConfig.model_construct(connections={name: made.connections[name]})
        faults = file_faults(only)
        effective = option_values(made.connections[name])
    mistakes += [_told(fault, name) for fault in faults]
    without = _not_applicable(table)
    values = effective | dict.fromkeys(without)
    return Examination(mistakes, _useless(table) | without, values)  # type: ignore[arg-type]


def _changed(
    before: ConnectionConfig | None, options: Mapping[str, object]
) -> Mapping[object, object]:
    """Return what would be written for the connection."""
    if before is None:
        return {key: value for key, value in options.items() if value is not None}
    written = {key_of(field) for field in before.model_fields_set} - {"kind"}
    values = option_values(before)
    table: dict[object, object] = {key: values[key] for key in values if key in written}
    table["kind"] = before.kind
    for key, value in options.items():
        table.pop(key_of(key), None)
        if value is not None:
            table[key] = value
    return table


def values_of(table: Mapping[object, object]) -> dict[str, object]:
    """Return the values that a table of a connection puts in force, as ``examine`` has them.

    The same as a status has them, where the table can be used.
    """
    without: dict[str, None] = dict.fromkeys(_not_applicable(table))
    return {**_as_far_as_possible(table), **without}


def _as_far_as_possible(table: Mapping[object, object]) -> dict[str, object]:
    """Return the values in force, with the default for each that cannot be read."""
    model = model_of(table)
    fields = folded(table, model.model_fields)[0]
    found: dict[str, object] = {}
    for field, option in known_options(model).items():
        value = model.model_fields[field].default
        if field in fields:
            with suppress(ValueError):
                value = option.kind.read(fields[field])
        found[key_of(field)] = written_value(option, value)
    return found


def _written(table: Mapping[object, object]) -> tuple[type[ConnectionConfig], dict[str, object]]:
    """Return the model of a table, and what was written by field, the kind in any case."""
    model = model_of(table)
    kind = next(kind for kind, each in MODELS.items() if each is model)
    return model, {**folded(table, model.model_fields)[0], "kind": kind}


def _not_applicable(table: Mapping[object, object]) -> dict[str, str]:
    model, fields = _written(table)
    chosen = combinations(fields)
    reasons = {key_of(field): exclusion(field, chosen) for field in known_options(model)}
    return {key: str(reason) for key, reason in reasons.items() if reason is not None}


def _useless(table: Mapping[object, object]) -> dict[str, str]:
    """Return the options that were not written and would be refused beside those that were."""
    model, fields = _written(table)
    found = {}
    for field, option in known_options(model).items():
        if field in fields or field in _CHOOSING:
            continue
        default = model.model_fields[field].default
        value = True if isinstance(option.kind, Switch) else "-" if default is None else default
        for fault in contradictions({**fields, field: value}):
            if fault.location == (field,):
                found[key_of(field)] = fault.text
    return found


def _told(fault: Fault, name: str) -> MistakeOf:
    match fault.location:
        case ("connections", own, field, *_) if own == name:
            return MistakeOf(key_of(field), fault.text)
        case ("connections", own) if own == name:
            return MistakeOf("name" if fault.text == name_fault(name) else "", fault.text)
        case location:
            where = ".".join(map(key_of, location[1:]))
            return MistakeOf("", f"{where}: {fault.text}" if where else fault.text)
