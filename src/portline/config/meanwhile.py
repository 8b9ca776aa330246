"""Whether somebody else has changed a connection since somebody looked at it.

Who edits a connection says what he saw.  Options that he leaves alone stay as they are by now,
whoever has changed them; one that he changes must still be as he saw it, or be what he wants it to
be.  Options are compared by what they mean, so that the spelling of a file does not matter.

Pure: text in, an error or nothing out.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Final

from pydantic_core import to_json

from portline.config.examination import values_of
from portline.config.options import key_of
from portline.errors import ChangedMeanwhile

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["demand_unchanged"]

_SHOWN_MAX: Final = 200
"""Characters of a value in a message: a list of addresses may be long."""


def demand_unchanged(
    text: str, name: str, options: Mapping[str, object], was: Mapping[str, object]
) -> None:
    """Raise ChangedMeanwhile, with both values, where a change would go over another one.

    ``text`` is the configuration now, ``options`` what is to change (None takes one out), and
    ``was`` the values that somebody saw, by their keys, as a status has them; what is not in it is
    not compared.  A text that is no configuration, or has no such connection, is for others to
    refuse.
    """
    table = _table(text, name)
    if table is None:
        return
    wanted = {key_of(key): value for key, value in options.items()}
    kept: dict[object, object] = {
        str(key): value for key, value in table.items() if key_of(str(key)) not in wanted
    }
    now = values_of(table)
    then = values_of(kept | {key: each for key, each in wanted.items() if each is not None})
    seen = {key_of(key): value for key, value in was.items()}
    faults = [
        (
            key,
            f"somebody has changed this to {_shown(now[key])} meanwhile; it was "
            f"{_shown(seen[key])} when you began; save again if yours is to hold",
        )
        for key in wanted
        if key in seen and key in now and now[key] not in (seen[key], then.get(key))
    ]
    if faults:
        raise ChangedMeanwhile([f"{name}: {key}: {each}" for key, each in faults], faults)


def _table(text: str, name: str) -> Mapping[object, object] | None:
    try:
        found: object = tomllib.loads(text)
    except (ValueError, RecursionError):
        return None
    for key in ("connections", name):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _shown(value: object) -> str:
    text = "nothing" if value is None else to_json(value).decode()
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."
