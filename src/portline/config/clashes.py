"""What has to hold for the names of connections, and between connections.

As in :mod:`portline.config.rules`, tables are looked at as they were written, and a value that is
wrong by itself (its own mistake tells) is passed over.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from portline.config.kinds import Switch
from portline.config.places import Device, HostAddresses, ListenAddresses, VirtualName
from portline.config.rules import Fault, read
from portline.config.values import DEFAULT_LISTEN, Address
from portline.config.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from portline.config.kinds import Kind

__all__ = ["clashes", "name_fault"]

CONNECTION_NAME_LIMIT: Final = 64
"""Characters in the name of a connection: it stands in every line of the log."""

_TRANSPORTS: Final = {"server": "TCP", "udp": "UDP"}


def name_fault(name: str) -> str | None:
    """Return what is wrong with the name of a connection, None if nothing is."""
    if not name.strip():
        return "a connection needs a name, like [connections.meter]"
    if len(name) > CONNECTION_NAME_LIMIT:
        return f"a name has at most {CONNECTION_NAME_LIMIT} characters"
    if name != name.strip() or not name.isprintable() or set(name) & set("/\\"):
        return (
            f"{quoted(name)} is no usable name: write it without slashes, control characters, "
            "and spaces at its ends"
        )
    if name in {".", ".."}:
        return f"{quoted(name)} is no usable name: it would mean a folder"
    return None


def clashes(connections: Mapping[str, Mapping[str, object]]) -> list[Fault]:
    """Return what two connections want at the same time: a port, a virtual name, an address."""
    return [
        *_shared(connections, "port", Device()),
        *_shared(connections, "virtual", VirtualName()),
        *_hidden(connections),
        *_same_addresses(connections, "server", DEFAULT_LISTEN),
        *_same_addresses(connections, "udp", None),
    ]


def _shares(table: Mapping[str, object]) -> bool:
    """Tell whether an address is one that others may listen on too: that of a group."""
    if table.get("kind") != "udp":
        return False
    found = (
        read(HostAddresses(), table.get("connect")),
        read(ListenAddresses(), table.get("listen")),
    )
    return any(each.is_group for some in found if isinstance(some, tuple) for each in some)


def _shared(
    connections: Mapping[str, Mapping[str, object]], field: str, kind: Kind
) -> Iterable[Fault]:
    owners: dict[object, str] = {}
    for name, table in connections.items():
        value = read(kind, table.get(field))
        if value is None:
            continue
        if value in owners:
            what = "virtual port" if field == "virtual" else field
            text = f"{value} is already the {what} of connections.{owners[value]}; give it to one"
            yield Fault((name, field), text)
        else:
            owners[value] = name


def _hidden(connections: Mapping[str, Mapping[str, object]]) -> Iterable[Fault]:
    """Return the virtual ports that lie over the device of another connection."""
    devices = {
        os.path.realpath(device): name
        for name, table in connections.items()
        if isinstance(device := read(Device(), table.get("port")), str) and device[0] == "/"
    }
    for name, table in connections.items():
        virtual = read(VirtualName(), table.get("virtual"))
        if read(Switch(), table.get("overlap")) is not True or not isinstance(virtual, str):
            continue
        if (owner := devices.get(os.path.realpath(virtual))) is not None:
            text = (
                f"{virtual} is the port of connections.{owner}, which could not reach it any more; "
                "let the virtual port lie over another device, or give it a name of its own"
            )
            yield Fault((name, "overlap"), text)


def _same_addresses(
    connections: Mapping[str, Mapping[str, object]], kind: str, default_listen: Address | None
) -> Iterable[Fault]:
    """Return the addresses that two connections of a kind listen on."""
    taken: list[tuple[Address, str]] = []
    for name, table in connections.items():
        if table.get("kind", "server") != kind or _shares(table):
            continue
        mine = read(ListenAddresses(), table.get("listen", default_listen))
        if not isinstance(mine, tuple):
            continue
        default = "" if "listen" in table else " (the default)"
        for address in mine:
            for other, owner in taken:
                if address.overlaps(other):
                    wider = "" if str(other) == str(address) else f", as {other}"
                    text = (
                        f"{address}{default} is already listened on by connections.{owner}"
                        f"{wider}; choose another {_TRANSPORTS[kind]} port"
                    )
                    yield Fault((name, "listen"), text)
                    break
        taken += [(address, name) for address in mine]
