"""The gateway: all connections of one process, started, watched and stopped together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from portline.config.changes import changes
from portline.config.secrets import secrets
from portline.errors import NameUnknown
from portline.service.adoption import adopt
from portline.service.connection import Connection
from portline.service.monitor.tap import Tap
from portline.service.retirement import POLL, Retirement
from portline.service.survey import survey

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping

    from portline.auth.secret import Secret
    from portline.config.changes import Changes
    from portline.config.models import GatewayConfig
    from portline.service.monitor.watcher import Watcher
    from portline.service.process.store import Store
    from portline.service.status import ConnectionStatus

__all__ = ["NOT_ENABLED", "STOPPED_BY_HAND", "Gateway"]

NOT_ENABLED: Final = "not enabled (enabled = false)"
"""Why a connection rests from the beginning, for people."""

STOPPED_BY_HAND: Final = "stopped by hand"
"""Why one rests that did not at first, for people."""

STOPS: Final = "Portline stops"
REMOVED: Final = "the connection was removed"
STOPPED: Final = "the connection was stopped"
BEGINS_ANEW: Final = "the connection begins anew with other options"
"""Why a connection ends, as it is told of those who were there."""


class Gateway:
    """All connections of a configuration; ``store`` is what outlives the process.

    Make it and use it in one running event loop (RuntimeError where none runs): ``start()``, then
    ``await stop()``, each once.  A connection that is not enabled, or stopped by hand, is made and
    not started; it takes the place of the one that is stopped.  ``known`` are the secrets of the
    connections, which are otherwise read here (ConfigError if they cannot be).  A connection with a
    problem does not disturb the others and raises nothing; look at ``status()``.
    """

    def __init__(
        self,
        config: GatewayConfig,
        store: Store | None = None,
        known: Mapping[str, Secret | None] | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.config = config
        self._known = secrets(config) if known is None else known
        self._taps = {name: Tap() for name in config.connections}
        self._loop = loop
        self._store = store
        self.connections: Mapping[str, Connection] = {
            name: self._made(name, "" if connection.enabled else NOT_ENABLED)
            for name, connection in config.connections.items()
        }
        self._retiring: set[Retirement] = set()
        self._waiting: set[Connection] = set()
        self._stopped = False

    def start(self) -> None:
        """Open the ports and listen, each now or as soon as it is possible.  Never fails."""
        for connection in self.connections.values():
            if not connection.rests:
                connection.start()
        if self._store is not None:
            self._store.drop_untaken()

    def leave_ports(self, *, named: bool) -> None:
        """Leave the virtual ports that can be left to the process after this one; then ``stop``."""
        for connection in self.connections.values():
            if not connection.rests:
                connection.leave_port(named=named)

    async def stop(self) -> None:
        """Say goodbye to the peers, let the ports send what they have, and close everything.

        Takes at most two times GOODBYE_LIMIT (0.5 s); when cancelled, everything is closed at once.
        """
        self._stopped = True
        self._retire(dict.fromkeys(self.connections.values(), STOPS))
        try:
            await _while(lambda: bool(self._retiring))
        finally:
            for each in tuple(self._retiring):
                each.finish()
            for tap in self._taps.values():
                tap.end(STOPS)

    def apply(
        self, config: GatewayConfig, known: Mapping[str, Secret | None] | None = None
    ) -> Changes:
        """Go on with another configuration; connections that it does not touch notice nothing.

        Returns at once with what is different.  Connections that are removed have said goodbye
        GOODBYE_LIMIT seconds later, and those that begin begin then.  Passwords are those of
        ``known``, for newcomers; ConfigError if one cannot be read, with nothing changed.
        """
        asked = secrets(config) if known is None else known
        found = changes(self.config, config)
        resting = self._resting_with(config, found)
        self._known = asked
        before, self.config = self.connections, config
        renamed = {change.before: change.name for change in found.changed if not change.remakes}
        kept = {
            renamed.get(name, name): connection
            for name, connection in before.items()
            if connection not in self._waiting
            and not connection.rests
            and renamed.get(name, name) not in resting
            and (name in renamed or config.connections.get(name) == connection.config)
        }
        staying = set(kept.values())
        if gone := {name: each for name, each in before.items() if each not in staying}:
            later = {change.before: change.name for change in found.changed}
            self._retire(
                {
                    each: REMOVED
                    if name in found.removed
                    else STOPPED
                    if later.get(name, name) in resting
                    else BEGINS_ANEW
                    for name, each in gone.items()
                }
            )
        self._pass_taps(found)
        begun = [name for name in config.connections if name not in kept]
        for name, connection in kept.items():
            connection.network.trust(asked.get(name))
        kept |= {name: self._made(name, resting.get(name, "")) for name in begun}
        self.connections = {name: kept[name] for name in config.connections}
        for change in found.changed:
            if change.name not in begun:
                connection = self.connections[change.name]
                adopt(connection, change.name, config.connections[change.name], change.fields)
        self._waiting = {self.connections[name] for name in begun if name not in resting}
        self._begin()
        return found

    def _resting_with(self, config: GatewayConfig, found: Changes) -> dict[str, str]:
        """Return which connections of a new configuration rest, and why.

        What was done by hand holds, under any name, until ``enabled`` says something else.
        """
        earlier = {name: name for name in config.connections if name not in found.added}
        earlier |= {change.name: change.before for change in found.changed}
        resting = {}
        for name, connection in config.connections.items():
            was = earlier.get(name)
            if was is None or self.config.connections[was].enabled is not connection.enabled:
                why = "" if connection.enabled else NOT_ENABLED
            else:
                why = self.connections[was].rests
            if why:
                resting[name] = why
        return resting

    def _made(self, name: str, rests: str) -> Connection:
        config = self.config.connections[name]
        secret = self._known.get(name)
        return Connection(
            name, config, self._loop, self._store, secret, self._taps[name], rests=rests
        )

    async def start_one(self, name: str) -> bool:
        """Start a connection that rests; returns, soon, when it has begun.

        False for one that does not rest.  Raises NameUnknown.
        """
        connection = self._named(name)
        if not connection.rests:
            return False
        connection.rests = ""
        self._waiting.add(connection)
        self._begin()
        await _while(lambda: connection in self._waiting and not self._stopped)
        return True

    async def settled(self) -> None:
        """Wait until all that was stopped or removed has ended, and what waits has begun."""
        await _while(lambda: bool(self._retiring or self._waiting) and not self._stopped)

    async def stop_one(self, name: str, why: str = STOPPED_BY_HAND) -> bool:
        """Stop a connection as a removal does, but leave it here to be started again.

        Returns when its port and addresses are free, at most two times GOODBYE_LIMIT (0.5 s) later;
        False for one that rests already.  Raises NameUnknown.
        """
        connection = self._named(name)
        if connection.rests:
            return False
        self._waiting.discard(connection)
        ending = self._retire({connection: STOPPED})
        stopped = self._made(name, why)
        self.connections = {
            each: stopped if made is connection else made for each, made in self.connections.items()
        }
        await _while(lambda: ending in self._retiring)
        return True

    def _named(self, name: str) -> Connection:
        if name not in self.connections:
            raise NameUnknown(name, self.connections)
        return self.connections[name]

    def _pass_taps(self, found: Changes) -> None:
        """Let those who watch go on under the names of now; those of what is gone are told."""
        before = self._taps
        earlier = {change.name: change.before for change in found.changed}
        self._taps = {
            name: Tap() if name in found.added else before[earlier.get(name, name)]
            for name in self.config.connections
        }
        for name in found.removed:
            before[name].end(REMOVED)

    def watch(self, name: str, ready: Callable[[], None]) -> Watcher:
        """Begin to watch a connection: everything that passes and happens there, from now on.

        ``ready()`` is called when there is something to take; see
        :class:`portline.service.monitor.watcher.Watcher`.  The watch goes with the connection to
        another name, and goes on when it begins anew; when it is removed, a record tells so and is
        the last.  Raises NameUnknown, and UsageError where too many watch it.
        """
        self._named(name)
        return self._taps[name].watch(ready)

    def renew(self) -> list[str]:
        """Have certificates read again; who is connected notices nothing.

        Returns a line for each connection that has any.
        """
        found = [
            connection for connection in self.connections.values() if connection.network.renew()
        ]
        return [f"{connection.name}: reads its certificates again" for connection in found]

    def _retire(self, connections: dict[Connection, str]) -> Retirement:
        """Begin to end connections, which nobody can reach any more, each for its reason."""
        ending = Retirement(connections, self._loop, self._retiring.discard)
        self._retiring.add(ending)
        return ending

    def _begin(self) -> None:
        """Start what waits, but not before those are gone that may have its ports."""
        if self._stopped or not self._waiting:
            return
        if self._retiring:
            self._loop.call_later(POLL, self._begin)
            return
        for connection in self.connections.values():
            if connection in self._waiting:
                connection.start()
        self._waiting.clear()

    def status(self) -> list[ConnectionStatus]:
        """Return what every connection tells about itself, in the order of the configuration."""
        return list(self.each_status())

    def each_status(self, names: Container[str] | None = None) -> Iterator[ConnectionStatus]:
        """Yield what :meth:`status` returns, each made in its turn; all may change between two.

        ``names`` are those that are wanted, as far as they are there; None for all.
        """
        for name, connection in tuple(self.connections.items()):
            if names is None or name in names:
                yield survey(connection, self._loop.time())


async def _while(lasts: Callable[[], bool]) -> None:
    """Wait until something is over; looking is simpler than being told, and happens seldom."""
    while lasts():  # noqa: ASYNC110
        await asyncio.sleep(POLL)
