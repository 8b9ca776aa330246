"""Operations that start and stop connections, and send peers away."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from portline.control.operations.operation import Operation, Parameter, Result
from portline.control.operations.parameters import NAME
from portline.errors import UsageError
from portline.net.address import host_of
from portline.service.gateway import NOT_ENABLED
from portline.service.survey import survey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portline.control.operations.subject import Subject
    from portline.service.peer.session import Session
    from portline.service.status import State

__all__ = ["RUNNING", "Disconnected", "Switched"]


@dataclass(frozen=True, slots=True)
class Switched(Result):
    """The result of what starts or stops a connection: how it is now, a line for each change."""

    name: str
    state: State
    reason: str
    changes: list[str]


@dataclass(frozen=True, slots=True)
class Disconnected(Result):
    """The result of ``disconnect``: the connection and the peer; whether it is called again."""

    name: str
    peer: str
    again: bool


async def _start(subject: Subject, *, name: str) -> Switched:
    """Start a connection that is stopped; the configuration file stays as it is."""
    started = await subject.served.gateway.start_one(name)
    return _switched(subject, name, [f"{name}: started"] if started else [])


async def _stop(subject: Subject, *, name: str) -> Switched:
    """Stop a connection until it is started, or Portline begins anew; its port is free then."""
    stopped = await subject.served.gateway.stop_one(name)
    return _switched(subject, name, [f"{name}: stopped"] if stopped else [])


async def _enable(subject: Subject, *, name: str) -> Switched:
    """Have a connection started from now on, by the configuration file, and start it."""
    from portline.config import editing

    gateway = subject.served.gateway
    subject.connection(name)
    edit = partial(editing.updated, name=name, options={"enabled": None})
    lines = await subject.served.edit(edit)
    if await gateway.start_one(name) and not lines:
        lines = [f"{name}: started"]
    await gateway.settled()
    return _switched(subject, name, lines)


async def _disable(subject: Subject, *, name: str) -> Switched:
    """Have a connection not started any more, by the configuration file, and stop it."""
    from portline.config import editing

    gateway = subject.served.gateway
    subject.connection(name)
    edit = partial(editing.updated, name=name, options={"enabled": False})
    lines = await subject.served.edit(edit)
    if await gateway.stop_one(name, NOT_ENABLED) and not lines:
        lines = [f"{name}: stopped"]
    await gateway.settled()
    return _switched(subject, name, lines)


def _switched(subject: Subject, name: str, lines: list[str]) -> Switched:
    status = survey(subject.connection(name), asyncio.get_running_loop().time())
    return Switched(subject.process, name, status.state, status.reason, lines)


async def _disconnect(subject: Subject, *, name: str, peer: int | str) -> Disconnected:
    """Send a peer away: it gets what waits for it, and the end of its connection.

    It may come back, and a client calls the host again; what is sent is the port's data only, so
    there is no word of farewell beyond what TCP and TLS have for it.
    """
    connection = subject.connection(name)
    session = _chosen(name, connection.hub.peers, peer)
    connection.peers.disconnect(session)
    return Disconnected(subject.process, name, session.name, connection.network.calls)


def _chosen(name: str, peers: Sequence[Session], wanted: int | str) -> Session:
    """Return the peer of a number, an address, or a host that only one peer has."""
    text = str(wanted)
    for means in (
        lambda session: session.name == text,
        lambda session: str(session.number) == text,
        lambda session: host_of(session.name) == text.strip("[]"),
    ):
        found = [session for session in peers if means(session)]
        if len(found) == 1:
            return found[0]
        if found:
            there_are = ", ".join(session.name for session in found)
            raise UsageError(f"{name}: {text} is more than one peer; say which: {there_are}")
    there_are = ", ".join(f"{each.name} (number {each.number})" for each in peers) or "nobody"
    raise UsageError(f"{name}: there is no peer {text!r}; connected: {there_are}")


def _peer(value: object) -> int | str:
    match value:
        case int() if not isinstance(value, bool):
            return value
        case str() if value.strip():
            return value.strip()
    raise ValueError("peer must be the number of a peer, or its address")


RUNNING: Final = (
    Operation("start", (NAME,), Switched, _start, changes=True),
    Operation("stop", (NAME,), Switched, _stop, changes=True),
    Operation("enable", (NAME,), Switched, _enable, changes=True),
    Operation("disable", (NAME,), Switched, _disable, changes=True),
    Operation(
        "disconnect",
        (
            NAME,
            Parameter(
                "peer",
                "Its number or its address, as a status has them.",
                _peer,
                {"type": ["integer", "string"], "pattern": r"\S"},
                needed=True,
            ),
        ),
        Disconnected,
        _disconnect,
        changes=True,
    ),
)
"""start, stop, enable, disable, disconnect."""
