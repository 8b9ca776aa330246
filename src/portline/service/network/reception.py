"""The network side of a server: who listens, and who is let in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portline.config.server import ServerConnection
from portline.config.trust import Prompt
from portline.service.network.demand import NOBODY_ASKS
from portline.service.network.door import Door
from portline.service.network.encryption import Encryption
from portline.service.network.entrance import Entrance
from portline.service.network.gate import Gate
from portline.service.network.security import server_security
from portline.service.status import State

if TYPE_CHECKING:
    import asyncio
    import logging
    from collections.abc import Callable, Mapping, Sequence

    from portline.auth.secret import Secret
    from portline.config.models import ConnectionConfig
    from portline.net.link import Link
    from portline.net.listen import Listener
    from portline.net.stream import StreamLink
    from portline.service.peer.session import Session
    from portline.service.status import SecurityStatus

__all__ = ["Reception"]


class Reception:
    """The listeners and the door of one connection, with the encryption and the gate between them.

    ``peers`` returns those who are in, ``moved`` how many bytes the device has taken; ``enter`` is
    called for who comes in, ``changed`` on news of a listener.
    """

    lingers = True
    calls = False
    retains = False

    def __init__(
        self,
        name: str,
        config: ServerConnection,
        *,
        loop: asyncio.AbstractEventLoop,
        peers: Callable[[], Sequence[Session]],
        moved: Callable[[], int],
        log: logging.LoggerAdapter[logging.Logger],
        enter: Callable[[Link, str], object],
        changed: Callable[[Listener], None],
    ) -> None:
        self._peers = peers
        self._only_when_open = config.listen_when_open
        self.door = Door(
            name,
            config.max_connections,
            when_full=config.when_full,
            idle_after=config.idle_after,
            loop=loop,
            peers=peers,
            moved=moved,
            log=log,
            enter=enter,
        )
        self.gate = Gate(loop=loop, log=log, knock=self.door.knock)
        self.encryption = Encryption(
            server_security(config),
            loop=loop,
            log=log,
            through=self.gate.arrive,
            ready=self._listen,
        )
        self._guard(config)
        self.entrance = Entrance(config.places(), loop=loop, knock=self._accepted, changed=changed)
        self._wanted = False

    @property
    def attempting(self) -> bool:
        """Tell whether certificates are being read, before which nothing is listened on."""
        return self.encryption.reading and not self.encryption.ready

    @property
    def counts(self) -> Mapping[str, int]:
        """Handshakes and logins that have failed, by the reason."""
        return {**self.encryption.counts, **self.gate.counts}

    @property
    def security(self) -> SecurityStatus | None:
        """How peers are encrypted."""
        return self.encryption.status

    @property
    def turned_away(self) -> int:
        """Connections that were not let in, since the start."""
        return self.door.turned_away

    @property
    def replaced(self) -> int:
        """Peers that gave way to a newcomer, since the start."""
        return self.door.replaced

    @property
    def places(self) -> tuple[str, ...]:
        """The addresses, with the real port of each that listens."""
        doors = zip(self.entrance.listeners, self.entrance.protocols, strict=True)
        tls = "" if self.encryption.security is None else ", TLS"
        return tuple(f"{listener.address} ({protocol}{tls})" for listener, protocol in doors)

    @property
    def error(self) -> str:
        """Why some addresses are not listened on although they should be."""
        errors = [str(each.error) for each in self.entrance.listeners if each.error is not None]
        return "; ".join(filter(None, (self.encryption.error, *errors)))

    @property
    def state(self) -> tuple[State, str]:
        """Full, connected, listening, or not listening at all."""
        if self._peers():
            full = all(self.door.full(protocol) for protocol in self.entrance.protocols)
            return State.FULL if full else State.CONNECTED, ""
        if any(listener.listening for listener in self.entrance.listeners):
            return State.LISTENING, ""
        if self._only_when_open and not self._wanted:
            return State.WAITING, NOBODY_ASKS
        return State.STOPPED, "reads its certificate" if self.attempting else ""

    def open(self, wanted: bool) -> None:
        """Listen, or no longer."""
        self._wanted = wanted
        if wanted:
            self.encryption.open()
        self._listen()

    def _listen(self) -> None:
        self.entrance.listen(self._wanted and self.encryption.admits)

    def renew(self) -> bool:
        """Read certificates again, if there are any."""
        if self._wanted:
            self.encryption.renew()
        return self._wanted and self.encryption.security is not None

    def accept(self) -> None:
        """Let in who has connected already, without waiting for the loop to tell."""
        self.entrance.accept()

    def close(self) -> None:
        """Listen no longer, and send away who waits."""
        self._wanted = False
        self.entrance.listen(False)
        self.encryption.close()
        self.gate.close()
        self.door.close()

    def keeps(self, session: Session) -> str:
        """Keep nobody."""
        return ""

    def left(self, session: Session) -> None:
        """Let somebody in who waits."""
        self.door.somebody_left()

    def trust(self, secret: Secret | None) -> None:
        """Ask newcomers for this password; who is in stays."""
        self.gate.verifier = None if secret is None else secret.salted()

    def _guard(self, config: ServerConnection) -> None:
        self.gate.networks = config.networks
        prompt = config.password_prompt
        self.gate.prompts = lambda link: (
            prompt is Prompt.FORCED or (prompt is Prompt.TLS and link.security is not None)
        )

    def _accepted(self, stream: StreamLink, protocol: str) -> None:
        """Take one who has connected: where it comes from is known before anything is said."""
        if self.gate.admits(stream):
            self.encryption.welcome(stream, protocol)

    def adopt(self, name: str, config: ConnectionConfig, *, wanted: bool) -> None:
        """Move to other addresses; newcomers find the new rules."""
        assert isinstance(config, ServerConnection)  # another kind is another connection
        door = self.door
        door.name, door.limit = name, config.max_connections
        door.when_full, door.idle_after = config.when_full, config.idle_after
        self._only_when_open = config.listen_when_open
        self._guard(config)
        self._wanted = wanted
        self.encryption.adopt(server_security(config))
        if wanted:
            self.encryption.open()
        self.entrance.move(config.places(), wanted=wanted and self.encryption.admits)
        for session in self._peers():
            if session.protocol not in self.entrance.protocols:
                session.close(f"{session.protocol} is not offered any more")
            elif (session.link.security is None) is config.tls:
                offered = "plain text" if config.tls else "TLS"
                session.close(f"{offered} is not offered any more")
