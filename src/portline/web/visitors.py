"""Who asks: a browser that has logged in, or a program with a token or the password.

Theory of operation
-------------------
===================  ===========================================  ==================================
proof                where                                        what else it needs
===================  ===========================================  ==================================
session              cookie, set by ``/login`` or ``/enter``      a right Origin and the CSRF token
                                                                  for what changes something, a
                                                                  right Origin for a WebSocket
token                ``Authorization: Bearer``                    no foreign Origin
password             ``Authorization: Basic``, any name           no foreign Origin
===================  ===========================================  ==================================

A wrong password slows its address down, and then the right one has to wait there, too; nobody
guesses what is random, so programs with a token and browsers that are logged in never wait.
Passwords are judged in a thread, one after the other, and only QUEUE of them wait.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from portline.auth.throttle import Throttle
from portline.errors import PortlineError
from portline.service.process.aside import aside
from portline.web.names import is_same_origin
from portline.web.problem import Problem
from portline.web.sessions import ABSOLUTE, Session, Sessions, same

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.responses import Response

    from portline.web.credentials import Credentials

__all__ = ["CSRF_HEADER", "QUEUE", "Visitor", "Visitors"]

CSRF_HEADER: Final = "x-csrf-token"

QUEUE: Final = 16
"""Passwords that are judged or wait for it; each takes some hundredths of a second."""

_NO_LOGIN: Final = "nobody is logged in; POST /login, or send Authorization: Bearer TOKEN"

_log: Final = logging.getLogger("portline.web")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks: in a ``session``, or as a program that is called ``name``.

    ``proof`` is what a program has shown: the digest of its token, or which password it was.
    """

    name: str
    session: Session | None = None
    proof: object = field(default=None, repr=False)


class Visitors:
    """Everybody who may ask, by what they prove."""

    def __init__(self, credentials: Credentials, name: str = "") -> None:
        self.cookie = f"portline-{name}" if name else "portline"
        """What the cookie is called: browsers do not tell ports apart, and there may be several
        Portlines on one machine."""
        self.sessions = Sessions()
        self.counts: Counter[str] = Counter(
            {"logins_failed": 0, "logins_slowed": 0, "sockets_refused": 0, "streams_refused": 0}
        )
        self._credentials = credentials
        self._throttle = Throttle()
        self._judging = asyncio.Lock()
        self._waiting = 0

    # --- logging in -----------------------------------------------------------------------------

    async def login(self, asked: HTTPConnection, password: str) -> str:
        """Return the secret of a new session.  Raises Problem."""
        self.demand_origin(asked)
        grade = self._credentials.grade()
        if not grade.there:
            raise Problem(
                401,
                "no password has been set yet; `portline password --web` on that machine sets one",
                headers=_challenge(),
            )
        if not await self._judge(host_of(asked), password):
            raise Problem(401, "the password is wrong", headers=_challenge())
        _log.info("somebody logged in to the page from %s", host_of(asked))
        return self.sessions.begin(grade, time.monotonic())[0]

    def enter(self, asked: HTTPConnection, key: str) -> str:
        """Return the secret of a new session for a key that logs in once.  Raises Problem."""
        now = time.monotonic()
        grade = self._credentials.grade()
        if not self.sessions.use(key, grade, now):
            self.counts["logins_failed"] += 1
            raise Problem(403, "the address was used before, or is too old; log in instead")
        _log.info(
            "somebody came to the page by the address that works once, from %s", host_of(asked)
        )
        return self.sessions.begin(grade, now)[0]

    def key(self) -> str:
        """Return a key with which somebody may enter, once, until another password is set."""
        return self.sessions.key(self._credentials.grade(), time.monotonic())

    def logout(self, asked: HTTPConnection) -> None:
        """End the session of the cookie, if there is one.  Raises Problem for a foreign page."""
        secret = _cookie(asked, self.cookie_of(asked)) or ""
        session = self._of_cookie(asked)
        if session is not None:
            self._demand_csrf(asked, session)
            self.sessions.end(secret)

    def set_cookie(self, asked: HTTPConnection, response: Response, secret: str) -> None:
        """Give a browser the secret of its session; "" takes it away."""
        by_proxy = asked.headers.get("origin", "").startswith("https://")
        response.set_cookie(
            self.cookie_of(asked),
            secret,
            max_age=int(ABSOLUTE) if secret else 0,
            path="/",
            secure=is_encrypted(asked) or by_proxy,
            httponly=True,
            samesite="strict",
        )

    def cookie_of(self, asked: HTTPConnection) -> str:
        """Return what the cookie is called on this connection."""
        # A page without TLS can neither set nor replace a cookie with this prefix (RFC 6265bis).
        return f"__Host-{self.cookie}" if is_encrypted(asked) else self.cookie

    # --- whoever asks ---------------------------------------------------------------------------

    async def identify(self, asked: HTTPConnection, *, changes: bool) -> Visitor:
        """Return who asks.  Raises Problem: 401, 403 where a foreign page asks, 429."""
        self.demand_origin(asked)
        authorization = asked.headers.get("authorization")
        if authorization is not None:
            return await self._by_header(asked, authorization)
        session = self._of_cookie(asked)
        if session is None:
            raise Problem(401, _NO_LOGIN, headers=_challenge())
        if asked.scope["type"] == "websocket" and "origin" not in asked.headers:
            raise Problem(403, "a WebSocket with a cookie needs an Origin, which browsers send")
        if changes:
            self._demand_csrf(asked, session)
        return Visitor("page", session)

    def good(self, visitor: Visitor) -> bool:
        """Tell whether who has come could come again: what goes on for long ends with that."""
        if visitor.session is not None:
            return self.sessions.holds(visitor.session, self._credentials.grade(), time.monotonic())
        if isinstance(visitor.proof, bytes):
            try:
                return self._credentials.tokens().get(visitor.name) == visitor.proof
            except PortlineError:  # the file cannot be used any more, so nobody could come
                return False
        return visitor.proof == self._credentials.grade()

    def demand_origin(self, asked: HTTPConnection) -> None:
        """Refuse what a foreign page has had a browser ask, whatever it knows."""
        origin = asked.headers.get("origin")
        if origin is None:
            if asked.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
                raise Problem(403, "a foreign page may not ask this")
            return
        host = asked.headers.get("host", "")
        if not is_same_origin(origin, host, encrypted=is_encrypted(asked)):
            raise Problem(
                403,
                f"a page of {origin} may not ask what is at {host}; behind a proxy, have it pass "
                "on the Host of the browser",
            )

    async def _by_header(self, asked: HTTPConnection, authorization: str) -> Visitor:
        host = host_of(asked)
        kind, _, proof = authorization.strip().partition(" ")
        proof = proof.strip()
        if kind.lower() == "bearer":
            name = self._credentials.owner(proof)
            if name is not None:
                return Visitor(name, proof=self._credentials.tokens()[name])
            self.counts["logins_failed"] += 1
            raise Problem(
                401,
                "there is no such token; `portline token NAME` makes one",
                headers=_challenge("invalid_token"),
            )
        if kind.lower() == "basic":
            grade = self._credentials.grade()
            password = _password_of(proof)
            if password is not None and (
                self._credentials.proved(password) or await self._judge(host, password)
            ):
                return Visitor("password", proof=grade)
            raise Problem(401, "the password is wrong", headers=_challenge())
        raise Problem(401, "only Bearer and Basic are known here", headers=_challenge())

    def _of_cookie(self, asked: HTTPConnection) -> Session | None:
        secret = _cookie(asked, self.cookie_of(asked))
        if secret is None:
            return None
        return self.sessions.find(secret, self._credentials.grade(), time.monotonic())

    def _demand_csrf(self, asked: HTTPConnection, session: Session) -> None:
        if "origin" not in asked.headers:
            raise Problem(403, "what changes something needs an Origin, which browsers send")
        if not same(asked.headers.get(CSRF_HEADER, ""), session.csrf):
            raise Problem(
                403, "X-CSRF-Token is not what GET /session has told; load the page again"
            )

    # --- guessing -------------------------------------------------------------------------------

    async def _judge(self, host: str, password: str) -> bool:
        """Tell whether a password is right.  Raises Problem where nobody may try now."""
        self._demand_patience(host, time.monotonic())
        if self._waiting >= QUEUE:
            self.counts["logins_slowed"] += 1
            raise Problem(429, "too many log in at the same time", headers={"Retry-After": "2"})
        self._waiting += 1
        try:
            async with self._judging:
                # Somebody who sends many guesses at once has failed with the first ones meanwhile.
                self._demand_patience(host, time.monotonic())
                right = await aside(lambda: self._credentials.check(password))
        finally:
            self._waiting -= 1
        if not right:
            self._failed(host)
        return right

    def _demand_patience(self, host: str, now: float) -> None:
        wait = self._throttle.wait(host, now)
        if wait > 0:
            self.counts["logins_slowed"] += 1
            seconds = str(int(wait) + 1)
            raise Problem(
                429,
                f"logins from there have failed too often; wait {seconds} s",
                headers={"Retry-After": seconds},
            )

    def _failed(self, host: str) -> None:
        self.counts["logins_failed"] += 1
        if self._throttle.failed(host, time.monotonic()):
            _log.warning("logins to the page from %s fail", host)


def _cookie(asked: HTTPConnection, name: str) -> str | None:
    """Return the value of a cookie as it stands there; None if there is none.

    Ours are never quoted.  Taking quotes off, as ``asked.cookies`` does with every cookie that
    there is, takes a second for 16 KiB of backslashes in some releases of Python (CVE-2024-7592),
    and a stranger may send that.
    """
    found = None
    for header in asked.headers.getlist("cookie"):
        for pair in header.split(";"):
            called, equals, value = pair.partition("=")
            if equals and called.strip() == name:
                found = value.strip()
    return found


def host_of(asked: HTTPConnection) -> str:
    """Return the address of who asks; behind a proxy on this machine it is the proxy's."""
    return asked.client.host if asked.client is not None else ""


def is_encrypted(asked: HTTPConnection) -> bool:
    """Tell whether this end speaks TLS; a proxy before it may in any case."""
    return asked.scope["scheme"] in ("https", "wss")


def _challenge(error: str = "") -> dict[str, str]:
    """Return the header that belongs to 401; not Basic, for which a browser would ask itself."""
    more = f', error="{error}"' if error else ""
    return {"WWW-Authenticate": f'Bearer realm="Portline"{more}'}


def _password_of(proof: str) -> str | None:
    try:
        text = base64.b64decode(proof, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    name, colon, password = text.partition(":")
    return password if colon else name
