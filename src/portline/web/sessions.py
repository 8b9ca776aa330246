"""Who is logged in: sessions by a secret of the browser, and a key that logs in once.

Pure: time is an argument, in seconds of a clock that never goes back.  Only digests of the secrets
are kept, so that whoever reads the memory of the process finds no cookie, and a look-up takes no
other time for a secret that is nearly right.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

__all__ = ["ABSOLUTE", "IDLE", "KEY_LIFE", "SESSIONS_MAX", "Session", "Sessions"]

IDLE: Final = 8 * 3600.0
"""Seconds without any request after which a session ends: a working day."""

ABSOLUTE: Final = 7 * 24 * 3600.0
"""Seconds after which a session ends in any case."""

SESSIONS_MAX: Final = 64
"""Sessions at the same time; the one that was used longest ago gives way to a new one."""

KEY_LIFE: Final = 3600.0
"""Seconds for which a key that logs in once is good."""

SECRET: Final = 32
"""Random bytes of a cookie, a CSRF token and a key: nobody guesses 256 bits."""


def digest(secret: str) -> bytes:
    """Return what is kept of a secret that is random, and therefore needs no salt."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


@dataclass(slots=True, eq=False)
class Session:
    """One browser that is logged in; ``grade`` is the state of the credentials it has proved."""

    csrf: str = field(repr=False)
    """What a request that changes something has to repeat: a foreign page cannot read it."""
    begun: float
    used: float
    grade: object
    sockets: int = 0
    """WebSockets that are open in it."""
    ended: bool = False


class Sessions:
    """All sessions of one page."""

    def __init__(self) -> None:
        self.displaced = 0
        """Sessions that gave way to newer ones, since the start."""
        self._known: OrderedDict[bytes, Session] = OrderedDict()
        self._keys: dict[bytes, tuple[object, float]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def begin(self, grade: object, now: float) -> tuple[str, Session]:
        """Return the secret of a new session, and the session."""
        self._sweep(now)
        while len(self._known) >= SESSIONS_MAX:
            _, oldest = self._known.popitem(last=False)
            oldest.ended = True
            self.displaced += 1
        secret = secrets.token_urlsafe(SECRET)
        session = Session(secrets.token_urlsafe(SECRET), now, now, grade)
        self._known[digest(secret)] = session
        return secret, session

    def find(self, secret: str, grade: object, now: float) -> Session | None:
        """Return the session of a secret; None if there is none, or it has ended.

        It ends, too, when other credentials are asked for than those that were proved.
        """
        name = digest(secret)
        session = self._known.get(name)
        if session is None:
            return None
        if not self.holds(session, grade, now):
            self._end(name)
            return None
        session.used = now
        self._known.move_to_end(name)
        return session

    def holds(self, session: Session, grade: object, now: float) -> bool:
        """Tell whether a session is still good."""
        return (
            not session.ended
            and session.grade == grade
            and now - session.used < IDLE
            and now - session.begun < ABSOLUTE
        )

    def end(self, secret: str) -> None:
        """End a session, if there is one."""
        self._end(digest(secret))

    def key(self, grade: object, now: float) -> str:
        """Return a key that logs in once, within KEY_LIFE; earlier ones are worth nothing then.

        Nor is it any more when other credentials are asked for than those of ``grade``.
        """
        key = secrets.token_urlsafe(SECRET)
        self._keys = {digest(key): (grade, now)}
        return key

    def use(self, key: str, grade: object, now: float) -> bool:
        """Tell whether a key logs in; it does not any more afterwards."""
        made, at = self._keys.pop(digest(key), (None, -KEY_LIFE))
        return made == grade and now - at < KEY_LIFE

    def _end(self, name: bytes) -> None:
        session = self._known.pop(name, None)
        if session is not None:
            session.ended = True

    def _sweep(self, now: float) -> None:
        for name, session in tuple(self._known.items()):
            if not self.holds(session, session.grade, now):
                self._end(name)


def same(one: str, other: str) -> bool:
    """Compare two secrets in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
