"""What a new configuration changes in one that is in use.

Theory of operation
-------------------
A connection is its local port: one that is about the same port as before is the same connection,
and goes on under the name that it has now, even if another one has got the old name.  What is left
is compared by name.  For the rest it depends on the options that differ:

===============================  ==================================================================
what differs                     what becomes of the connection
===============================  ==================================================================
nothing                          it notices nothing
whether it is enabled            it begins, or ends
the local port itself (REMAKES)  it ends and begins anew, its peers are sent away
anything else                    it is adapted while it runs, its peers stay
===============================  ==================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portline.config.options import key_of
from portline.config.spelling import known_options

if TYPE_CHECKING:
    from portline.config.models import ConnectionConfig, GatewayConfig

__all__ = ["REMAKES", "Change", "Changes", "changes"]

REMAKES: Final = frozenset(
    {
        *("kind", "port", "virtual", "backend", "adapter", "overlap"),
        *("exclusive", "strict_baudrate"),
        *("rs485", "rs485_rts_on_send", "rs485_delay_before", "rs485_delay_after"),
        *("rs485_rx_during_tx", "low_latency"),
    },
)
"""Options that say what the local port is; with another one it is another port."""


@dataclass(frozen=True, slots=True)
class Change:
    """A connection that was ``before`` and is called ``name`` now, with other ``fields``.

    ``fields`` is empty for one that has only got another name.  ``enabled`` is the option's value
    where that has changed.
    """

    before: str
    name: str
    fields: tuple[str, ...] = ()
    enabled: bool | None = None

    @property
    def remakes(self) -> bool:
        """Tell whether the local port is another one."""
        return not REMAKES.isdisjoint(self.fields)

    def __str__(self) -> str:
        """Write what a person wants to know: ``meter: baudrate, listen changed``."""
        renamed = f"{self.before}: is called {self.name} now" if self.before != self.name else ""
        if not self.fields:
            return renamed
        others = [key_of(field) for field in self.fields if field != "enabled"]
        parts = [f"{', '.join(others)} changed"] if others else []
        if self.enabled is not None:
            parts.append("enabled" if self.enabled else "disabled")
        how = "; begins anew" if self.remakes and self.enabled is None else ""
        start = f"{renamed}, with" if renamed and others else f"{renamed}," if renamed else ""
        return f"{start or f'{self.name}:'} {', '.join(parts)}{how}"


@dataclass(frozen=True, slots=True)
class Changes:
    """What is different: the names of connections that are gone and new, and what changed."""

    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    changed: tuple[Change, ...] = ()

    def lines(self) -> list[str]:
        """Return one line for each connection that is not what it was."""
        return [
            *(f"{name}: removed" for name in self.removed),
            *map(str, self.changed),
            *(f"{name}: added" for name in self.added),
        ]


def changes(old: GatewayConfig, new: GatewayConfig) -> Changes:
    """Return what leads from one configuration to the other."""
    before = _earlier_names(old, new)
    changed = []
    for name, earlier in before.items():
        fields = _different(old.connections[earlier], new.connections[name])
        if fields or earlier != name:
            enabled = new.connections[name].enabled if "enabled" in fields else None
            changed.append(Change(earlier, name, fields, enabled))
    gone = set(before.values())
    return Changes(
        removed=tuple(name for name in old.connections if name not in gone),
        added=tuple(name for name in new.connections if name not in before),
        changed=tuple(changed),
    )


def _earlier_names(old: GatewayConfig, new: GatewayConfig) -> dict[str, str]:
    """Return what each connection that was there before was called then."""
    ports = {_port(each): name for name, each in old.connections.items()}
    same = {
        name: ports[_port(each)] for name, each in new.connections.items() if _port(each) in ports
    }
    left = old.connections.keys() - set(same.values())
    return {name: same.get(name, name) for name in new.connections if name in same or name in left}


def _port(connection: ConnectionConfig) -> tuple[bool, str]:
    """Return which local port a connection is about; no two have the same."""
    return connection.virtual is not None, connection.port_name


def _different(old: ConnectionConfig, new: ConnectionConfig) -> tuple[str, ...]:
    if type(old) is not type(new):
        return ("kind",) if old.enabled is new.enabled else ("kind", "enabled")
    if old == new:  # most of them, and this is many times as quick
        return ()
    fields = known_options(type(new))
    return tuple(name for name in fields if getattr(old, name) != getattr(new, name))
