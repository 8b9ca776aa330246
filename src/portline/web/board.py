"""What all connections are now, encoded once for everybody who looks.

Theory of operation
-------------------
Somebody looks, or nothing is done.  Every LOOK seconds each connection is asked for the few facts
whose change people want to see at once; where they differ, and once in PERIOD in any case, its
whole status is made.  One that says the same as before, but for its age, keeps its number; each
viewer is sent what has a higher number than what it has seen.  So a viewer that takes its time
leaves states out and never makes anything grow, and however many look, a status is made once.

The loop carries data, too: after every few connections it has a turn.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic_core import to_json

from portline.control.snapshot import plain, snapshot
from portline.service.survey import survey

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from portline.control.operations.subject import Subject
    from portline.service.connection import Connection

__all__ = ["AGE_MAX", "LOOK", "PERIOD", "Board"]

LOOK: Final = 0.25
"""Seconds between two looks at what people want to see at once."""

PERIOD: Final = 1.0
"""Seconds between two looks at everything: numbers that change faster are not read."""

AGE_MAX: Final = 10.0
"""Seconds after which a connection is told again although nothing but its ages has changed."""

LOOKS: Final = 64
"""Connections that are looked at in one turn of the loop: a third of a millisecond."""

STATUSES: Final = 2
"""Connections whose status is made in one turn of the loop: a third of a millisecond."""

_log: Final = logging.getLogger("portline.web")


@dataclass(slots=True)
class _Entry:
    number: int
    facts: Hashable
    key: bytes
    text: bytes
    at: float


class Board:
    """The status of all connections for the viewers that :meth:`join`."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._loop = asyncio.get_running_loop()
        self._viewers: set[Callable[[], object]] = set()
        self._entries: dict[str, _Entry] = {}
        self._order: tuple[str, ...] | None = None
        """The names at the last look; None before the first, which is news in any case."""
        self._number = 0
        self._frames: dict[int, str] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def number(self) -> int:
        """The number of the newest change."""
        return self._number

    def join(self, changed: Callable[[], object]) -> None:
        """Have ``changed`` called when there is something new."""
        self._viewers.add(changed)
        if self._task is None:
            self._task = self._loop.create_task(self._look())
            self._task.add_done_callback(self._looked)
        elif self._number:
            changed()

    def leave(self, changed: Callable[[], object]) -> None:
        """Call it no more."""
        self._viewers.discard(changed)
        if not self._viewers and self._task is not None:
            self._task.cancel()
            self._task = None
            self._entries.clear()
            self._frames.clear()
            self._number, self._order = 0, None

    def since(self, number: int) -> str:
        """Return a message with what is newer than ``number``."""
        frame = self._frames.get(number)
        if frame is None:
            newer = [
                entry.text
                for name in self._order or ()
                if (entry := self._entries.get(name)) is not None and entry.number > number
            ]
            process = to_json(plain(self._subject.process))
            order = to_json(self._order or ())
            text = b'{"status":{"process":%b,"order":%b,"connections":[%b]}}'
            frame = (text % (process, order, b",".join(newer))).decode()
            self._frames[number] = frame
        return frame

    def _looked(self, task: asyncio.Task[None]) -> None:
        """Tell of what should not have happened; who comes next has it begun again."""
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the statuses for the page failed", exc_info=error)
            if self._task is task:
                self._task = None

    async def _look(self) -> None:
        whole = self._loop.time()
        while True:
            due = self._loop.time() >= whole
            if due:
                whole = self._loop.time() + PERIOD
            if await self._renew(everything=due):
                self._frames.clear()
                for changed in tuple(self._viewers):
                    changed()
                    await asyncio.sleep(0)  # each one's sending has a turn of its own
            await asyncio.sleep(LOOK)

    async def _renew(self, *, everything: bool) -> bool:
        """Look at every connection; tell whether anything is new."""
        next_number = self._number + 1
        news = False
        looked = made = 0
        connections = self._subject.served.gateway.connections
        order = tuple(connections)
        if order != self._order:
            self._order, news = order, True
            self._entries = {name: e for name, e in self._entries.items() if name in connections}
        for name, connection in tuple(connections.items()):
            facts = _facts(connection)
            entry = self._entries.get(name)
            if everything or entry is None or entry.facts != facts:
                news |= self._made(name, connection, facts, next_number)
                made += 1
            looked += 1
            if made >= STATUSES or looked >= LOOKS:
                looked = made = 0
                await asyncio.sleep(0)
        if news:
            self._number = next_number
        return news

    def _made(self, name: str, connection: Connection, facts: Hashable, number: int) -> bool:
        now = self._loop.time()
        status = survey(connection, now)
        found = snapshot(status, self._subject.rates.of(name, status.heard, status.spoken))
        key = to_json({**found, "peers": [_ageless(peer) for peer in found["peers"]]})  # type: ignore[attr-defined]
        entry = self._entries.get(name)
        if entry is not None and entry.key == key and now - entry.at < AGE_MAX:
            entry.facts = facts
            return False
        self._entries[name] = _Entry(number, facts, key, to_json(found), now)
        return True


def _facts(connection: Connection) -> Hashable:
    """Return what people want to see at once when it changes; costs a few microseconds."""
    network, port = connection.network, connection.port
    return (
        network.state,
        network.error,
        str(connection.keeper.error or port.trouble or ""),
        connection.keeper.open,
        len(connection.hub.peers),
        port.state,
    )


def _ageless(peer: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in peer.items() if name != "connected_for"}
