"""Our ends of the logins over datagrams that others have begun.

Anybody may begin one in the name of any address, so several from one address stand side by side,
and each is known by its nonce: what is forged takes nothing away from who is there.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from portline.auth.exchange import ServerExchange
from portline.auth.seal import Seal
from portline.auth.throttle import origin
from portline.errors import LoginError
from portline.wire.datagram_login import FIRST, Word, nonce_of, written

if TYPE_CHECKING:
    from portline.auth.password import Verifier
    from portline.net.udp.way import End

__all__ = ["ANSWER_LIMIT", "PER_ORIGIN", "UNDER_WAY", "Answer", "Answers"]

ANSWER_LIMIT: Final = 10.0
"""Seconds for which a login is remembered."""

UNDER_WAY: Final = 128
"""Logins of others under way; the oldest gives way."""

PER_ORIGIN: Final = 32
"""Logins of others under way from one address; the oldest of them gives way."""


class Answers:
    """Those under way, by who has begun and by the nonce.  ``now`` is a monotonic time, seconds."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[End, str], Answer] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def asked(self, end: End, message: str) -> Answer | None:
        """Return the login that was begun by these very words."""
        mine = (each for (place, _), each in self._known.items() if place == end)
        return next((each for each in mine if each.asked == message), None)

    def proved(self, end: End, message: str) -> Answer | None:
        """Return the login that a proof belongs to."""
        return self._known.get((end, nonce_of(message)))

    def begin(self, end: End, message: str, verifier: Verifier, now: float) -> Answer:
        """Return a new login; raises LoginError if it is none of SCRAM."""
        made = Answer(ServerExchange(verifier), message, now)
        for key, old in tuple(self._known.items()):
            if now - old.begun > ANSWER_LIMIT:
                del self._known[key]
        place = origin(end[0])
        crowd = [key for key in self._known if origin(key[0][0]) == place]
        if len(crowd) >= PER_ORIGIN:
            del self._known[crowd[0]]
        elif len(self._known) >= UNDER_WAY:
            self._known.popitem(last=False)
        self._known[end, made.nonce] = made
        return made

    def end(self, end: End, message: str) -> None:
        """Forget the login that a proof belongs to."""
        self._known.pop((end, nonce_of(message)), None)

    def forget(self, end: End) -> None:
        """Forget all logins from there."""
        for key in [key for key in self._known if key[0] == end]:
            del self._known[key]

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()


class Answer:
    """Our end of a login that somebody else has begun."""

    def __init__(self, exchange: ServerExchange, message: str, now: float) -> None:
        if not message.startswith(FIRST):
            raise LoginError("other-version", "this is version 1, with SCRAM-SHA-256")
        self.begun = now
        self.asked = message
        challenge = exchange.challenge(message.removeprefix(FIRST))
        self.nonce = nonce_of(challenge)
        self.challenge = written(Word.CHALLENGE, challenge)
        self.seal: Seal | None = None
        self.done = False
        self._exchange = exchange
        self._proof = ""
        self._welcome = b""

    def verdict(self, message: str) -> bytes:
        """Return what a proof is answered; raises LoginError for a wrong one."""
        if not self._welcome:
            final = self._exchange.verdict(message)
            self._proof, self._welcome = message, written(Word.WELCOME, final)
            self.seal = Seal(self._exchange.session_key, initiator=False)
        elif message != self._proof:
            raise LoginError("malformed", "it has said something else before")
        return self._welcome
