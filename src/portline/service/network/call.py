"""Our login over datagrams at one address, from its beginning to the next."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from portline.auth.exchange import ClientExchange
from portline.auth.seal import Seal
from portline.errors import LoginError
from portline.net.backoff import Backoff
from portline.service.process.aside import aside
from portline.wire.datagram_login import FIRST, Word, nonce_of, written

if TYPE_CHECKING:
    import asyncio

    from portline.auth.password import Keys
    from portline.net.udp.way import Sockaddr, Way
    from portline.service.network.associations import Associations

__all__ = ["HINTS", "LOGIN_LIMIT", "Call"]

LOGIN_LIMIT: Final = 10.0
"""Seconds for a login, then it begins anew."""

REPEAT: Final = 0.5
"""Seconds after which unanswered words are said again; then twice as long, and so on."""

REPEAT_MAX: Final = 4.0

HINTS: Final = 1.0
"""Seconds between two hints to one address that a session is not known here, and between two that
are heard."""


class Call:
    """Repeats its words until the next are heard, and begins anew for ever; told by ``owner``."""

    def __init__(self, owner: Associations, address: Sockaddr, way: Way) -> None:
        self.address = address
        self.way = way
        self.trouble = ""
        self._owner = owner
        self._backoff = Backoff(REPEAT, 5.0)
        self._timer: asyncio.TimerHandle | None = None
        self._exchange: ClientExchange | None = None
        self._nonce = ""
        self._said = b""
        self._until = 0.0
        self._wait = REPEAT
        self._expects: Word | None = None
        self._begun = -HINTS
        self._deriving = False

    def begin(self) -> None:
        """Begin a login."""
        self.stop()
        owner = self._owner
        self._exchange = ClientExchange()
        first = self._exchange.first()
        self._nonce = nonce_of(first)
        self._begun = owner.now()
        self._until = self._begun + LOGIN_LIMIT
        self._say(Word.LOGIN, FIRST + first, Word.CHALLENGE)

    def stop(self) -> None:
        """Log in no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._expects = self._exchange = None

    def heard(self, word: Word, message: str) -> None:
        """Take what comes from the address, which anybody may have said."""
        if word is Word.REFUSED:
            self._refused(message)
            return
        if word is not self._expects or self._exchange is None or self._deriving:
            return
        try:
            if word is Word.CHALLENGE:
                if nonce_of(message).startswith(self._nonce):
                    self._challenged(self._exchange, message)
            else:
                self._exchange.finish(message)
                self._welcomed(self._exchange)
        except LoginError as error:
            self._fail(error.text)

    def _say(self, word: Word, message: str, expects: Word) -> None:
        self._said, self._expects, self._wait = written(word, message), expects, REPEAT
        self._repeat()

    def _repeat(self) -> None:
        owner = self._owner
        if owner.now() >= self._until:
            self._fail(f"no answer to the login within {LOGIN_LIMIT:g} s")
            return
        owner.say(self._said, self)
        self._timer = owner.later(min(self._wait, self._until - owner.now()), self._repeat)
        self._wait = min(2 * self._wait, REPEAT_MAX)

    def _challenged(self, exchange: ClientExchange, message: str) -> None:
        salt, rounds = exchange.challenged(message)
        password = self._owner.secret.password
        assert password is not None  # who calls has it (config.secrets)
        if self._timer is not None:
            self._timer.cancel()
        keys = password.known(salt, rounds)
        if keys is not None:
            self._prove(exchange, keys)
            return
        self._deriving = True
        aside(partial(password.keys, salt, rounds)).add_done_callback(
            partial(self._derived, exchange)
        )

    def _derived(self, exchange: ClientExchange, done: asyncio.Future[Keys]) -> None:
        self._deriving = False
        if self._exchange is exchange and not done.cancelled():
            self._prove(exchange, done.result())

    def _prove(self, exchange: ClientExchange, keys: Keys) -> None:
        self._say(Word.PROOF, exchange.proof(keys), Word.WELCOME)

    def _welcomed(self, exchange: ClientExchange) -> None:
        self.stop()
        if self.trouble:
            self._owner.tell(self)
        self.trouble = ""
        self._backoff.reset()
        self._owner.new_session(Seal(exchange.session_key, initiator=True), self.address, self.way)

    def _refused(self, message: str) -> None:
        """Take the hint: begin anew, or know why it will not go well."""
        reason, _, text = message.partition(" ")
        shown = "".join(c if c.isprintable() else "?" for c in text)[:200]
        if reason == "no-session":
            if self._expects is None and self._owner.now() - self._begun >= HINTS:
                self.begin()
        elif self._expects is not None:
            told = (
                "the password is not the one of the peer"
                if reason == "wrong-password"
                else (f'it refuses the login: "{shown}"')
            )
            self._fail(told)

    def _fail(self, text: str) -> None:
        self.stop()
        if text != self.trouble:
            self.trouble = text
            self._owner.warn(self, text)
        self._timer = self._owner.later(self._backoff.delay(), self.begin)
