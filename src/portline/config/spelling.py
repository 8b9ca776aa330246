"""How the values of options are written: as a file may hold them, and JSON too."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from portline.config.connection import options
from portline.config.options import key_of

if TYPE_CHECKING:
    from portline.config.models import ConnectionConfig
    from portline.config.options import Option

__all__ = ["known_options", "option_values", "written_value"]

known_options = cache(options)
"""The options of a model by field name, as :func:`portline.config.connection.options` has them."""


def option_values(config: ConnectionConfig) -> dict[str, object]:
    """Return the options of a connection by their keys, each as a file may hold it.

    The one of ``port`` and ``virtual`` that was not chosen is None.
    """
    return {
        key_of(field): written_value(option, getattr(config, field))
        for field, option in known_options(type(config)).items()
    }


def written_value(option: Option, value: object) -> object:
    """Return the value of an option as a file may hold it; None for one that it cannot hold."""
    match value:
        case None | bool() | int() | float():
            return value
        case tuple() if option.many:
            return [option.kind.show((item,)) for item in value]
        case _:
            return option.kind.show(value)
