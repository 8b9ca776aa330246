"""Logging in at a server, as the first thing that is done with a link.

Theory of operation
-------------------
:func:`log_in` owns the link until the server has let us in, and then leaves it paused, with nobody
to own it: whoever gets it resumes it.  What the server has said behind its welcome is the first of
its data, and waits in ``link.early``.

The rounds of PBKDF2 are done in a thread, because the loop carries other connections' data.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from portline.auth.exchange import ClientExchange
from portline.errors import LoginError
from portline.net.faults import seconds
from portline.wire.login.client import ClientLogin
from portline.wire.login.lines import Stage

if TYPE_CHECKING:
    from portline.auth.password import Keys, Password
    from portline.net.link import Link

__all__ = ["LOGIN_LIMIT", "log_in"]

LOGIN_LIMIT: Final = 10.0
"""Seconds for a login, most of which are for the rounds of PBKDF2 on a slow machine."""


async def log_in(link: Link, password: Password, limit: float = LOGIN_LIMIT) -> None:
    """Log in within ``limit`` seconds; raise LoginError, with the link closed, if it fails."""
    client = _Client(link, password)
    try:
        async with asyncio.timeout(limit):
            await client.run()
    except TimeoutError:
        if client.greeted:
            raise LoginError(
                "too-late", f"it does not let us in within {seconds(limit)} s"
            ) from None
        raise LoginError(
            "not-asked",
            f"it does not ask for a password within {seconds(limit)} s, and there is one here; "
            "give the server the password, or leave it out here",
        ) from None
    finally:
        client.leave()


class _Client:
    """Owns the link during the login."""

    def __init__(self, link: Link, password: Password) -> None:
        self._link = link
        self._password = password
        self._login = ClientLogin(ClientExchange(link.end_point or None))
        self._bell = asyncio.Event()
        self._lost = False

    @property
    def greeted(self) -> bool:
        return self._login.stage is not Stage.FIRST

    async def run(self) -> None:
        login = self._login
        self._link.start(self)
        while login.stage not in (Stage.IN, Stage.REFUSED):
            if login.stage is Stage.KEYS:
                keys = await self._keys()
                if proof := login.prove(keys):
                    self._link.write(proof)
                continue
            await self._bell.wait()
            self._bell.clear()
        if login.error is not None:
            raise login.error
        if self._lost:
            raise LoginError("closed", "it closed the connection after the login")
        self._link.login = login.mechanism

    async def _keys(self) -> Keys:
        salt, rounds = self._login.salt, self._login.rounds
        keys = self._password.known(salt, rounds)
        if keys is None:
            keys = await asyncio.to_thread(self._password.keys, salt, rounds)
        return keys

    def leave(self) -> None:
        """Close the link, unless it is logged in."""
        if self._login.stage is not Stage.IN or self._lost:
            self._link.abort()

    # --- the owner of a link --------------------------------------------------------------------

    def link_data(self, data: bytes) -> None:
        if self._login.stage is Stage.IN:  # the link is paused, but had read more already
            self._link.early += data
        else:
            self._hear(data)
            self._bell.set()

    def _hear(self, data: bytes) -> None:
        if said := self._login.feed(data):
            self._link.write(said)
        if self._login.stage is Stage.IN:
            self._link.early = self._login.early
            self._link.pause()
        elif self._login.stage is Stage.REFUSED:  # it is closed once the keys are made
            self._link.pause()

    def link_eof(self) -> None:
        self.link_lost("")

    def link_lost(self, reason: str) -> None:
        self._lost = True
        self._login.ended()
        self._bell.set()

    def link_ready(self) -> None:
        """Do nothing: what is said is short."""
