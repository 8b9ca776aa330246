"""The page beside what is served: where it listens, with which certificate, and what it is told.

Theory of operation
-------------------
::

    off --config--> preparing --ready--> listening --another config--> preparing
                       ^  |                  |
                       +--+ RETRY            +--no config--> off

*Preparing* happens in a thread, because importing takes tenths of a second and the data does not
wait: what serves HTTP is imported the first time, the certificate is read, and a password is made
where there is none.  Where that fails, or an address is taken, a warning says so once, it is tried
again, and the data flows all the same.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import os
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from portline.control.operations.subject import PageStatus
from portline.errors import PortlineError
from portline.net.listen import Listener
from portline.net.tls.certificate import fingerprint
from portline.net.tls.contexts import ServerSecurity
from portline.service.process.aside import aside
from portline.web.credentials import Credentials
from portline.web.names import Names

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import Callable

    from portline.config.models import GatewayConfig
    from portline.config.values import Address
    from portline.config.web import WebConfig
    from portline.control.operations.subject import Subject
    from portline.net.stream import StreamLink
    from portline.web.application import Application
    from portline.web.engine import Engine

__all__ = ["RETRY", "Page"]

RETRY: Final = 5.0
"""Seconds between attempts to prepare."""

_log: Final = logging.getLogger("portline.web")


REMEDY: Final = "; `--web=PORT`, or listen in [web], puts the page elsewhere"
"""What is said where the page cannot be at its address."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """What preparing has brought."""

    context: ssl.SSLContext | None
    certificate: str
    password: str
    """One that was made just now; "" mostly."""
    warning: str = ""


class Page:
    """The page of one process within ``with``.

    ``told`` gets lines for who started it: the address, and what logs in, once.  ``key`` tells
    whether an address that logs in once is wanted in any case.
    """

    def __init__(
        self,
        subject: Subject,
        config: WebConfig | None,
        loop: asyncio.AbstractEventLoop,
        *,
        credentials: Credentials | None = None,
        told: Callable[[list[str]], object] = lambda lines: None,
        key: bool = False,
    ) -> None:
        self.error = ""
        """Why there is no page although there should be one."""
        self._subject = subject
        self._config = config
        self._loop = loop
        self._credentials = Credentials() if credentials is None else credentials
        self._told = told
        self._wants_key = key
        self._announced = False
        self._preparing: asyncio.Future[_Ready] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ready: _Ready | None = None
        self._listeners: dict[Address, Listener] = {}
        self._faults: dict[Address, str] = {}
        self._application: Application | None = None
        self._engine: Engine | None = None

    def __enter__(self) -> Page:
        self._prepare()
        return self

    def __exit__(self, *error: object) -> None:
        self._leave()

    @property
    def addresses(self) -> list[str]:
        """Where it can be reached now."""
        if self._config is None:
            return []
        scheme = self._config.scheme
        return [
            f"{scheme}://{_shown(each)}/" for each in self._listeners.values() if each.listening
        ]

    def status(self) -> PageStatus | None:
        """Return what is told of it; None where there is to be none."""
        if self._config is None:
            return None
        faults = [self.error, *self._faults.values()]
        return PageStatus(self.addresses, "; ".join(filter(None, faults)), self.counts)

    @property
    def counts(self) -> dict[str, int]:
        """How many there are, and what went wrong since it is there."""
        if self._engine is None or self._application is None:
            return {}
        visitors = self._application.visitors
        return {
            "connections": len(self._engine),
            "sessions": len(visitors.sessions),
            "sessions_displaced": visitors.sessions.displaced,
            **self._engine.counts,
            **visitors.counts,
        }

    def adopt(self, config: GatewayConfig) -> list[str]:
        """Go on with another configuration; returns a line where the page is different.

        Who is connected stays while nothing but the addresses has changed.
        """
        before, self._config = self._config, config.web
        if config.web is None:
            self._leave()
            self._engine = self._application = self._ready = None
            return ["web: the page is gone"] if before is not None else []
        if before == config.web and self._ready is not None and config.web.certificate is None:
            return []
        if before is None or _guarded(before) != _guarded(config.web):
            if self._engine is not None:
                self._engine.close()
            self._ready = None
        self._announced = self._announced and before == config.web
        self._prepare()
        if before == config.web:
            return ["web: reads its certificate again"]
        return ["web: the page is changed" if before is not None else "web: there is a page now"]

    # --- preparing ------------------------------------------------------------------------------

    def _prepare(self) -> None:
        self._forget()
        if self._config is None:
            return
        config = self._config
        self._preparing = aside(lambda: _prepared(config, self._credentials))
        self._preparing.add_done_callback(self._is_prepared)

    def _forget(self) -> None:
        if self._preparing is not None:
            self._preparing.cancel()
            self._preparing = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _leave(self) -> None:
        """Listen nowhere, and end whoever is connected."""
        self._forget()
        self._listen(())
        if self._engine is not None:
            self._engine.close()

    def _is_prepared(self, future: asyncio.Future[_Ready]) -> None:
        if future is not self._preparing or future.cancelled() or self._config is None:
            return
        self._preparing = None
        try:
            self._ready = future.result()
        except (PortlineError, ImportError) as error:
            text = str(error)
            if isinstance(error, ImportError):
                text = f"{error}; install Portline with all it needs: pip install portline"
            if text != self.error:
                self.error = text
                _log.warning("there is no page: %s; trying again", text)
            self._timer = self._loop.call_later(RETRY, self._prepare)
            return
        self.error = ""
        if self._ready.warning:
            _log.warning("the page: %s", self._ready.warning)
        self._serve(self._config)

    def _serve(self, config: WebConfig) -> None:
        from portline.web.application import Application
        from portline.web.engine import Engine
        from portline.web.visitors import Visitors

        names = Names(
            (
                *(config.hosts or ()),
                *(address.host for address in config.listen),
                *_machine_names(),
            )
        )
        if self._application is None or self._engine is None:
            # The same after a restart, and another one of a Portline beside this one.
            file = os.fsencode(self._subject.file or self._subject.command)
            visitors = Visitors(self._credentials, hashlib.sha256(file).hexdigest()[:8])
            self._application = Application(self._subject, visitors, names)
            self._engine = Engine(self._application, self._loop)
            # As service.process.run does: what is there now stays, and is not looked at again.
            gc.freeze()
        self._application.names = names
        self._listen(config.listen)

    # --- listening ------------------------------------------------------------------------------

    def _listen(self, addresses: tuple[Address, ...]) -> None:
        for address in tuple(self._listeners):
            if address not in addresses:
                self._listeners.pop(address).close()
                self._faults.pop(address, None)
        for address in addresses:
            if address not in self._listeners:
                self._listeners[address] = Listener(
                    self._loop,
                    address.host,
                    address.port,
                    accepted=self._accepted,
                    changed=partial(self._changed, address),
                )
                # In the next turn, when whoever had the address has left it.
                self._loop.call_soon(self._open, address, self._listeners[address])
        self._announce()

    def _open(self, address: Address, listener: Listener) -> None:
        if self._listeners.get(address) is listener:
            listener.open()

    def _accepted(self, link: StreamLink) -> None:
        # A link that was never started holds nothing but its socket.
        if self._engine is None or self._ready is None:
            link.socket.close()
        else:
            self._engine.welcome(link.socket, self._ready.context)

    def _changed(self, address: Address, listener: Listener) -> None:
        fault = "" if listener.error is None else f"{listener.error}{REMEDY}"
        if fault and fault != self._faults.get(address):
            _log.warning("the page: %s; trying again", fault)
        self._faults[address] = fault
        self._announce()

    def _announce(self) -> None:
        """Say where the page is, once, when it is there."""
        if self._announced or self._application is None or self._ready is None:
            return
        addresses = self.addresses
        if not addresses or self._config is None:
            return
        self._announced = True
        lines = [f"Home: {address}" for address in addresses]
        if self._ready.password or self._wants_key:
            key = self._application.visitors.key()
            lines[0] = f"Home: {addresses[0]}enter?key={key} (logs in once, within an hour)"
        if self._ready.password:
            once = " (it is not told again; `portline password --web` sets another)"
            lines.append(f"Its password: {self._ready.password}{'' if self._wants_key else once}")
        if self._config.tls:
            lines.append(f"Home: certificate {self._ready.certificate}")
        for address in addresses:
            _log.info("the page is at %s", address)
        self._told(lines)


def _prepared(config: WebConfig, credentials: Credentials) -> _Ready:
    """Do what takes long.  Raises PortlineError, and ImportError where something is missing."""
    import portline.web.application
    import portline.web.engine  # noqa: F401

    context, certificate, warning = None, "", ""
    if config.tls:
        security = ServerSecurity(certificate=config.certificate or "", key=config.key or "")
        made = security.load()
        context, certificate = made.context, fingerprint(made.certificate)
        warning = made.warning
    password = ""
    if not credentials.grade().there:
        if _into_journal():
            warning = "nobody can log in: no password is set; `portline password --web` sets one"
        else:
            password = credentials.generate()
    return _Ready(context, certificate, password, warning)


def _guarded(config: WebConfig) -> tuple[object, ...]:
    """Return what decides who gets in, and how."""
    return config.tls, config.certificate, config.key, config.hosts, config.open


def _machine_names() -> list[str]:
    name = socket.gethostname().lower()
    short = name.partition(".")[0]
    return [name, short, f"{short}.local"] if short else []


def _shown(listener: Listener) -> str:
    """Return the address of a listener as a browser takes it."""
    _, _, port = listener.address.rpartition(":")
    if listener.host in ("*", "0.0.0.0", "::"):
        return f"{socket.gethostname() or 'localhost'}:{port}"
    return listener.address


def _into_journal() -> bool:
    """Tell whether what is printed is kept by systemd, where a password must not be.

    ``JOURNAL_STREAM`` has the device and the inode of such a stream (systemd.exec(5)).
    """
    stream = os.environ.get("JOURNAL_STREAM", "")
    with suppress(OSError, ValueError):
        found = os.fstat(sys.stdout.fileno())
        return stream == f"{found.st_dev}:{found.st_ino}"
    return False
