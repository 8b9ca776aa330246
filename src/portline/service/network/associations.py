"""The logins of a udp connection, and the seals that come of them.

Theory of operation
-------------------
Whom we send to we call: a login is begun, and its words are repeated until the next is heard, or
the time for it is over; then it begins anew, for ever, with a growing delay.  Who calls us is
answered.  Both ends may call each other at the same time, and have two sessions then; each sends in
its newest, and takes what comes in either.

A peer that has begun anew knows nothing of its sessions.  It says so (``refused no-session``),
which anybody could say; so that is only a reason to log in again, and the old session stays until
that has gone well.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Final

from portline.auth.exchange import ClientExchange, ServerExchange
from portline.auth.seal import Seal, session_of
from portline.auth.throttle import Throttle, origin
from portline.errors import LoginError
from portline.net.address import display_sockaddr
from portline.net.backoff import Backoff
from portline.service.process.aside import aside
from portline.wire.datagram_login import FIRST, Word, nonce_of, read, written

if TYPE_CHECKING:
    import asyncio
    import logging
    from collections.abc import Callable

    from portline.auth.password import Keys
    from portline.auth.secret import Secret
    from portline.net.udp.way import Sockaddr, Way

__all__ = ["LOGIN_LIMIT", "PER_ORIGIN", "SESSIONS", "UNDER_WAY", "Associations"]

LOGIN_LIMIT: Final = 10.0
"""Seconds for a login, then it begins anew."""

REPEAT: Final = 0.5
"""Seconds after which unanswered words are said again; then twice as long, and so on."""

REPEAT_MAX: Final = 4.0

UNDER_WAY: Final = 128
"""Logins of others under way; the oldest gives way."""

PER_ORIGIN: Final = 32
"""Logins of others under way from one address."""

SESSIONS: Final = 2048
"""Sessions that are remembered, two for each peer; the oldest gives way."""

HINTS: Final = 1.0
"""Seconds between two hints to one address that a session is not known here, and between two that
are heard."""

HINTED: Final = 256
"""Addresses that are given a hint within HINTS seconds: so a stranger does not take it away from
others, and nobody sends a flood of them to an address that he has forged."""


class Associations:
    """All sessions of one connection.

    ``send(data, address, way)`` sends a datagram, ``established(address, way)`` is called when
    there is a new session with an address.
    """

    def __init__(
        self,
        secret: Secret,
        *,
        loop: asyncio.AbstractEventLoop,
        log: logging.LoggerAdapter[logging.Logger],
        send: Callable[[bytes, Sockaddr, Way], object],
        established: Callable[[Sockaddr, Way], object],
    ) -> None:
        self.secret = secret
        self.counts: Counter[str] = Counter()
        self.throttle = Throttle()
        self._loop = loop
        self._log = log
        self._send = send
        self._established = established
        self._calls: dict[tuple[str, int], _Call] = {}
        self._answers: OrderedDict[tuple[str, int], _Answer] = OrderedDict()
        self._sessions: OrderedDict[bytes, tuple[Seal, tuple[str, int]]] = OrderedDict()
        self._newest: dict[tuple[str, int], Seal] = {}
        self._hinted: OrderedDict[str, float] = OrderedDict()
        self._told: dict[str, float] = {}

    @property
    def trouble(self) -> str:
        """Why hosts that are called are not there yet."""
        texts = [
            f"{display_sockaddr(each.address)}: {each.trouble or 'logs in'}"
            for each in self._calls.values()
            if each.address[:2] not in self._newest
        ]
        return "; ".join(texts)

    def call(self, address: Sockaddr, way: Way) -> None:
        """Log in at an address, and again whenever it has forgotten us."""
        if address[:2] not in self._calls:
            self._calls[address[:2]] = call = _Call(self, address, way)
            call.begin()

    def forget(self, address: Sockaddr) -> None:
        """Know nothing of an address any more."""
        place = address[:2]
        call = self._calls.pop(place, None)
        if call is not None:
            call.stop()
        self._answers.pop(place, None)
        self._newest.pop(place, None)
        for session in [name for name, (_, where) in self._sessions.items() if where == place]:
            del self._sessions[session]

    def close(self) -> None:
        """Log in nowhere any more; what peers are still sent is sealed as before."""
        for call in self._calls.values():
            call.stop()
        self._calls.clear()
        self._answers.clear()

    def seal(self, address: Sockaddr, data: bytes) -> bytes | None:
        """Return the datagram for an address that carries ``data``; None without a session."""
        seal = self._newest.get(address[:2])
        return None if seal is None else seal.close(data)

    def heard(self, datagram: bytes, source: Sockaddr, way: Way) -> bytes | None:
        """Take a datagram; return the data in it if its sender is who he says."""
        session = session_of(datagram)
        if session is None:
            self._words(datagram, source, way)
            return None
        seal, place = self._sessions.get(session, (None, None))
        if seal is None or place != source[:2]:
            self.counts["no_session"] += 1
            self._hint(source, way)
            return None
        data = seal.open(datagram)
        if data is None:
            self.counts["forged_or_replayed"] += 1
        return data

    # --- the words of logins --------------------------------------------------------------------

    def _words(self, datagram: bytes, source: Sockaddr, way: Way) -> None:
        said = read(datagram)
        if said is None:
            self.counts["no_login"] += 1
            return
        call = self._calls.get(source[:2])
        match said:
            case (Word.LOGIN | Word.PROOF) as word, message:
                self._asked(word, message, source, way)
            case word, message if call is not None:
                call.heard(word, message)
            case _:
                self.counts["no_login"] += 1

    def _asked(self, word: Word, message: str, source: Sockaddr, way: Way) -> None:
        answer = self._answers.get(source[:2])
        try:
            if word is Word.PROOF and (answer is None or nonce_of(message) != answer.nonce):
                return  # its time was over, or somebody has only guessed that there is a login
            self._check_wait(source)
            if word is Word.PROOF and answer is not None:
                said = answer.verdict(message)
            elif answer is not None and answer.asked == message:
                said = answer.challenge
            else:
                said = self._begin(message, source).challenge
        except LoginError as error:
            if word is Word.PROOF:  # by its nonce of who has begun; all else anybody could say
                self._answers.pop(source[:2], None)
            self._failed(source, error)
            said = written(Word.REFUSED, f"{error.reason} {error.text}")
        self._send(said, source, way)
        if answer is not None and answer.seal is not None and not answer.done:
            answer.done = True
            self.counts["logins"] += 1
            self.throttle.succeeded(source[0])
            self._log.info("logged in peer=%s by=SCRAM-SHA-256", display_sockaddr(source))
            self.new_session(answer.seal, source, way)

    def _check_wait(self, source: Sockaddr) -> None:
        if self.throttle.wait(source[0], self._loop.time()) > 0:
            raise LoginError("slowed", "too many failures; try again later")

    def _begin(self, message: str, source: Sockaddr) -> _Answer:
        now = self._loop.time()
        for place, old in tuple(self._answers.items()):
            if now - old.begun > LOGIN_LIMIT:
                del self._answers[place]
        crowd = [place for place in self._answers if origin(place[0]) == origin(source[0])]
        if len(crowd) >= PER_ORIGIN:
            del self._answers[crowd[0]]
        elif len(self._answers) >= UNDER_WAY:
            self._answers.popitem(last=False)
        made = _Answer(ServerExchange(self.secret.salted()), message, now)
        self._answers.pop(source[:2], None)
        self._answers[source[:2]] = made
        return made

    def _failed(self, source: Sockaddr, error: LoginError) -> None:
        now = self._loop.time()
        known = {"wrong-password": "wrong_password", "slowed": "login_slowed"}
        self.counts[known.get(error.reason, "bad_login")] += 1
        if error.reason == "wrong-password":
            self.throttle.failed(source[0], now)
        if now - self._told.get(error.reason, -10.0) >= 10.0:
            self._told[error.reason] = now
            peer = display_sockaddr(source)
            self._log.warning("login refused peer=%s reason=%s: %s", peer, error.reason, error.text)

    def _hint(self, source: Sockaddr, way: Way) -> None:
        now, hinted = self._loop.time(), self._hinted
        while hinted and now - next(iter(hinted.values())) >= HINTS:
            hinted.popitem(last=False)
        place = origin(source[0])
        if place not in hinted and len(hinted) < HINTED:
            hinted[place] = now
            self._send(written(Word.REFUSED, "no-session log in again"), source, way)

    # --- called by calls ------------------------------------------------------------------------

    def say(self, data: bytes, call: _Call) -> None:
        """Send the words of a call."""
        self._send(data, call.address, call.way)

    def later(self, delay: float, call: Callable[[], object]) -> asyncio.TimerHandle:
        """Call somebody later."""
        return self._loop.call_later(delay, call)

    def now(self) -> float:
        """Return the loop's time."""
        return self._loop.time()

    def warn(self, call: _Call, text: str) -> None:
        """Tell why a login fails."""
        self._log.warning("%s: %s; trying again", display_sockaddr(call.address), text)

    def tell(self, call: _Call) -> None:
        """Tell that a login has gone well which did not."""
        self._log.warning("%s: is logged in", display_sockaddr(call.address))

    def new_session(self, seal: Seal, address: Sockaddr, way: Way) -> None:
        """Use a session from now on."""
        place = address[:2]
        self._sessions[seal.session] = (seal, place)
        mine = [name for name, (_, where) in self._sessions.items() if where == place]
        if len(mine) > 2:  # one for each end that may have begun
            del self._sessions[mine[0]]
        elif len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
        self._newest[place] = seal
        self._established(address, way)


class _Answer:
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
        if not self._welcome:
            final = self._exchange.verdict(message)
            self._proof, self._welcome = message, written(Word.WELCOME, final)
            self.seal = Seal(self._exchange.session_key, initiator=False)
        elif message != self._proof:
            raise LoginError("malformed", "it has said something else before")
        return self._welcome


class _Call:
    """Our login at one address, from its beginning to the next."""

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
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._expects = self._exchange = None

    def heard(self, word: Word, message: str) -> None:
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


def counted(counts: Counter[str]) -> dict[str, int]:
    """Return the counts of logins, also those that are 0."""
    names = (
        *("logins", "wrong_password", "bad_login", "no_login", "login_slowed"),
        *("no_session", "forged_or_replayed"),
    )
    return {name: counts[name] for name in names}
