"""Operations that change the configuration file, and put it in force."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from portline.control.operations.operation import Operation, Parameter
from portline.control.operations.parameters import (
    NAME,
    OPTIONS,
    TABLE,
    TEXT,
    optional_text,
    table,
)
from portline.control.operations.process import Changed
from portline.errors import ChangedMeanwhile, ConfigError, NameTaken
from portline.service.status import State
from portline.service.survey import survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from portline.control.operations.subject import Subject

__all__ = ["ANSWER", "CONFIGURATION", "Updated"]

ANSWER: Final = 1.0
"""Seconds that a device gets to take other settings before an edit is answered: what it does later
is told in the status and the log, as a slow device has much to send first."""


@dataclass(frozen=True, slots=True)
class Updated(Changed):
    """The result of ``add`` and ``update``.

    ``note`` says what is wrong with the connection now: its trouble with the reason, or what the
    device does not do of its settings; "" where all is well or the device has not answered yet.
    """

    note: str


async def _add(subject: Subject, *, name: str, options: Mapping[str, object]) -> Updated:
    """Add a connection to the configuration file, and begin with it."""
    from portline.config import editing  # its parser is needed by few who run

    changed = await _edited(subject, partial(editing.added, name=name, options=options), name)
    return Updated(changed.process, changed.changes, await _note(subject, name))


async def _update(
    subject: Subject,
    *,
    name: str,
    options: Mapping[str, object],
    rename: str,
    was: Mapping[str, object],
) -> Updated:
    """Change options of a connection in the configuration file, and put them in force."""
    from portline.config import editing
    from portline.config.meanwhile import demand_unchanged

    def edit(text: str) -> str:
        demand_unchanged(text, name, options, was)
        return editing.updated(text, name, options, rename)

    changed = await _edited(subject, edit, rename or name)
    return Updated(changed.process, changed.changes, await _note(subject, rename or name))


async def _remove(subject: Subject, *, name: str) -> Changed:
    """Take a connection out of the configuration file, and end it."""
    from portline.config import editing

    return await _edited(subject, partial(editing.removed, name=name), name)


async def _note(subject: Subject, name: str) -> str:
    """Return what is wrong with a connection, once its port has answered."""
    connection = subject.served.gateway.connections.get(name)
    if connection is None:
        return ""
    if connection.keeper.open:
        with suppress(TimeoutError):
            await asyncio.wait_for(connection.configured.wait(), ANSWER)
    now = survey(connection, asyncio.get_running_loop().time())
    if now.state in (State.ERROR, State.PORT_ABSENT):
        return f"{now.state.value} - {now.reason}"
    return connection.unlike


async def _edited(subject: Subject, edit: Callable[[str], str], name: str) -> Changed:
    with _about(name):
        changes = await subject.served.edit(edit)
    # Who has the answer may use the connection: it has begun, and those before it have gone.
    await subject.served.gateway.settled()
    return Changed(subject.process, changes)


@contextmanager
def _about(name: str) -> Iterator[None]:
    """Let the faults of an error be those of one connection: its options, or the whole of it."""
    from portline.config.clashes import name_fault
    from portline.config.document import keys_of_connection

    try:
        yield
    except NameTaken as error:
        raise ConfigError([str(error)], [("name", str(error))]) from None
    except ChangedMeanwhile:
        raise
    except ConfigError as error:
        own = keys_of_connection(name)
        faults = []
        # A line belongs to each fault, and says where in the file it stands.
        for (path, text), line in zip(error.faults, error.mistakes, strict=False):
            if path == own:
                faults.append(("name" if text == name_fault(name) else "", text))
            elif path.startswith(f"{own}."):
                faults.append((path.removeprefix(f"{own}."), text))
            else:
                faults.append(("", line))
        raise ConfigError(error.mistakes, faults) from None


CONFIGURATION: Final = (
    Operation(
        "add",
        (Parameter("name", "What it is called.", NAME.read, TEXT, needed=True), OPTIONS),
        Updated,
        _add,
        changes=True,
    ),
    Operation(
        "update",
        (
            NAME,
            Parameter(
                "options",
                "What changes; null takes an option out.",
                table,
                TABLE,
                MappingProxyType({}),
            ),
            Parameter(
                "rename",
                "What it is called from now on.",
                optional_text("rename"),
                {"type": "string"},
                "",
            ),
            Parameter(
                "was",
                "What its options were when the change was thought of, as a status has them: where "
                "one that changes is something else by now, nothing is changed, and both are told.",
                partial(table, name="was"),
                TABLE,
                MappingProxyType({}),
            ),
        ),
        Updated,
        _update,
        changes=True,
    ),
    Operation("remove", (NAME,), Changed, _remove, changes=True),
)
"""add, update, remove."""
