"""The network side of a client: hosts are dialed, and dialed again when they have gone.

Theory of operation
-------------------
With ``connect-to = "first"`` one call is for all hosts, in their order; with ``"all"`` each host
has a call of its own::

    idle --open--> dialing --a host answers--> connected
                     ^                              |
                     +---- growing delay <--left----+

Where hosts are only connected to while an application has the virtual port open, the calls end a
moment after it has closed the port, see :class:`Demand`.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from portline.config.client import ClientConnection
from portline.net.backoff import Backoff
from portline.net.dial import Dialer
from portline.service.network.demand import NOBODY_ASKS, Demand
from portline.service.network.security import client_security, secured_by
from portline.service.status import SecurityStatus, State

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence

    from portline.auth.password import Password
    from portline.auth.secret import Secret
    from portline.config.models import ConnectionConfig
    from portline.config.values import Place
    from portline.net.link import Link
    from portline.net.tls.mistrust import Failure, TlsFault
    from portline.service.peer.session import Session

__all__ = ["Calling"]


class Calling:
    """The calls of one connection.

    ``enter`` makes a peer of a link and returns it; ``changed`` is called on news of a dialer.
    """

    lingers = False
    calls = True
    turned_away = 0
    replaced = 0
    error = ""

    def __init__(
        self,
        config: ClientConnection,
        *,
        loop: asyncio.AbstractEventLoop,
        enter: Callable[[Link, str], Session],
        changed: Callable[[Dialer], None],
    ) -> None:
        self._config = config
        self._loop = loop
        self._enter = enter
        self._changed = changed
        self._password: Password | None = None
        self._security = client_security(config)
        self._failures: Counter[Failure] = Counter()
        self._demand = Demand(loop, self._hang_up)
        self._calls = self._made()

    @property
    def retains(self) -> bool:
        """Tell whether the next peer stands for the last one: unless all hosts are peers."""
        return not self._config.connects_to_all

    @property
    def attempting(self) -> bool:
        """Tell whether a host is tried for the first time since nobody was called."""
        return any(call.dialer.dialing and call.dialer.attempt == 1 for call in self._calls)

    @property
    def counts(self) -> Mapping[str, int]:
        """Handshakes that have failed, by the reason."""
        return {failure.value: count for failure, count in self._failures.items()}

    @property
    def security(self) -> SecurityStatus | None:
        """How servers are to be encrypted."""
        security = self._security
        return None if security is None else SecurityStatus(security.minimum)

    def renew(self) -> bool:
        """Do nothing: certificates are read before each handshake."""
        return False

    @property
    def places(self) -> tuple[str, ...]:
        """The hosts, in the order of the configuration."""
        tls = "" if self._security is None else ", TLS"
        places = self._config.places()
        return tuple(f"{_shown(place)} ({place.protocol.value}{tls})" for place in places)

    @property
    def state(self) -> tuple[State, str]:
        """Connected, connecting, or waiting for an application."""
        open_calls = [call for call in self._calls if call.session is None]
        if not self._demand.there and len(open_calls) == len(self._calls):
            if self._config.connect_when_open:
                return State.WAITING, NOBODY_ASKS
            return State.STOPPED, ""
        reason = "; ".join(filter(None, (self._trouble(call) for call in open_calls)))
        if len(open_calls) < len(self._calls):
            return State.CONNECTED, reason
        return State.CONNECTING, reason

    def open(self, wanted: bool) -> None:
        """Dial from now on; or no longer, and hang up a moment later."""
        self._demand.want(wanted)
        if wanted:
            for call in self._calls:
                if call.session is None:
                    call.dialer.open()

    def accept(self) -> None:
        """Do nothing: nobody connects to a client."""

    def close(self) -> None:
        """Dial no longer."""
        self._demand.end()
        for call in self._calls:
            call.dialer.close()

    def keeps(self, session: Session) -> str:
        """Keep nobody; who is sent away is called again."""
        return ""

    def left(self, session: Session) -> None:
        """Dial again, if this peer was called from here and is still wanted."""
        for call in self._calls:
            if call.session is session:
                call.session = None
                call.refusal = session.refusal
                if self._demand.there:
                    call.dialer.open()  # one that has taken over a peer has not dialed yet
                    call.dialer.again(refused=bool(call.refusal))

    def trust(self, secret: Secret | None) -> None:
        """Log in at the hosts with this password; who is connected stays."""
        self._password = None if secret is None else secret.password
        for call in self._calls:
            call.dialer.password = self._password

    def adopt(self, name: str, config: ConnectionConfig, *, wanted: bool) -> None:
        """Connect to other hosts, or in another way; a peer that is still among them stays."""
        assert isinstance(config, ClientConnection)  # another kind is another connection
        before, self._config = self._config, config
        security, self._security = self._security, client_security(config)
        if security != self._security:
            for call in self._calls:
                if call.session is not None:
                    call.session.close("its encryption is to be another")
        if _way(before) != _way(config) or security != self._security:
            self._replace_calls()
        self.open(wanted)

    # --- the calls ------------------------------------------------------------------------------

    def _made(self) -> list[_Call]:
        hosts = self._config.places()
        groups = [(host,) for host in hosts] if self._config.connects_to_all else [hosts]
        return [self._call(group) for group in groups]

    def _call(self, hosts: Sequence[Place]) -> _Call:
        call = _Call(hosts)
        call.dialer = Dialer(
            self._loop,
            [(host.host, host.port) for host in hosts],
            proxy=self._config.proxy,
            secure=secured_by(self._security, self._loop, self._failed),
            timeout=self._config.connect_timeout,
            backoff=Backoff(self._config.retry, self._config.retry_max),
            password=self._password,
            connected=partial(self._connected, call),
            changed=self._changed,
        )
        return call

    def _failed(self, fault: TlsFault) -> None:
        self._failures[fault.failure] += 1

    def _connected(self, call: _Call, link: Link, index: int) -> None:
        call.host = call.hosts[index]
        call.session = session = self._enter(link, call.host.protocol.value)
        if session.closed:  # it has gone before it was known here
            self.left(session)

    def _replace_calls(self) -> None:
        """Make the calls anew; each takes over the session of a host that it is for, too."""
        before, self._calls = self._calls, self._made()
        for old in before:
            old.dialer.close()
            if old.session is None:
                continue
            heir = next((new for new in self._calls if new.takes(old)), None)
            if heir is None:
                old.session.close("it is not to be connected to any more")
            else:
                heir.session, heir.host = old.session, old.host

    def _hang_up(self) -> None:
        self.close()
        for call in self._calls:
            if call.session is not None:
                call.session.close(NOBODY_ASKS)

    def _trouble(self, call: _Call) -> str:
        """Say how far a call is."""
        dialer = call.dialer
        parts = [f"attempt {dialer.attempt}"] if dialer.attempt else []
        if dialer.next_at is not None:
            wait = max(0.0, dialer.next_at - self._loop.time())
            parts.append(f"next in {wait:.1f} s")
        if trouble := call.refusal if dialer.error is None else str(dialer.error):
            return f"{', '.join(parts)}: {trouble}"
        return ", ".join(parts)


class _Call:
    """One dialer and the peer that it has found, if it has."""

    dialer: Dialer

    def __init__(self, hosts: Sequence[Place]) -> None:
        self.hosts = hosts
        self.host: Place | None = None
        self.session: Session | None = None
        self.refusal = ""
        """What the last peer said instead of serving."""

    def takes(self, other: _Call) -> bool:
        """Tell whether the peer of another call can be the peer of this one."""
        return self.session is None and other.host in self.hosts


def _way(config: ClientConnection) -> tuple[object, ...]:
    """Return everything that decides how the calls are made."""
    return (
        config.places(),
        config.connect_to,
        config.proxy,
        config.connect_timeout,
        config.retry,
        config.retry_max,
    )


def _shown(place: Place) -> str:
    return str(place).partition("://")[2]
