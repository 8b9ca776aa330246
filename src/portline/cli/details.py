"""The options of one connection: those that are not at their defaults, or all of them by group."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from portline.cli.layout import clean, entry, together
from portline.config.connection import options
from portline.config.models import MODELS
from portline.config.options import Group, key_of
from portline.config.spelling import option_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portline.config.options import Option

__all__ = ["details", "differences"]

SHOWN: Final = frozenset({"kind", "port", "virtual", "listen", "connect", "protocol"})
"""Options that the lines above tell already."""

COLUMN: Final = 21
"""Columns of an option's key: ``packet-delimiter``, ``open-when-connected`` and a space."""


@cache
def _defaults(kind: str) -> Mapping[str, object]:
    made = option_values(MODELS[kind].model_construct())
    return made | dict.fromkeys(made.keys() & {"connect"})  # it has to be written, so has none


@cache
def _options() -> Mapping[str, Option]:
    return {
        key_of(field): option
        for model in MODELS.values()
        for field, option in options(model).items()
    }


def shown(key: str, value: object) -> str:
    """Write a value as people write it in a file, without quotes."""
    option = _options().get(key)
    if option is None or value is None:
        return "none" if value is None else clean(value)
    text = option.kind.show(option.kind.read(value) if value != [] else ())
    return clean(text)


def differences(connection: dict[str, Any], width: int) -> list[str]:
    """Return an entry with the options that are not at their defaults."""
    values = connection["options"]
    defaults = _defaults(values["kind"])
    without = connection["not_applicable"].keys()
    texts = [
        f"{clean(key)} = {shown(key, value)}"
        for key, value in values.items()
        if key not in SHOWN | without and value != defaults.get(key)
    ]
    return entry("options", together(texts), width) if texts else []


def details(connection: dict[str, Any], width: int) -> list[str]:
    """Return every option with its value, group by group."""
    values = connection["options"]
    known = _options()
    lines: list[str] = []
    for group in Group:
        keys = [key for key in values if key in known and known[key].group is group]
        lines += ["", f"  {group.value}"] if keys else []
        for key in keys:
            elsewhere = connection["not_applicable"].get(key)
            default = _defaults(values["kind"]).get(key)
            lines += _option(key, values[key], default, elsewhere, width)
    return lines


def _option(
    key: str, value: object, default: object, elsewhere: str | None, width: int
) -> list[str]:
    if elsewhere is not None:
        text = f"- (does not apply to {clean(elsewhere)})"
    elif value is None:
        text = "-"
    else:
        changed = value != default and default is not None
        text = shown(key, value) + (f" (default: {shown(key, default)})" if changed else "")
    return [f"  {line}" for line in entry(key, text, width - 2, COLUMN)]
