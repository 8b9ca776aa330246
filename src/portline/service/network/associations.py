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
from typing import TYPE_CHECKING, Final

from portline.auth.seal import session_of
from portline.auth.throttle import Throttle, origin
from portline.errors import LoginError
from portline.net.address import display_sockaddr
from portline.net.udp.way import anywhere, end_of
from portline.service.network.answers import Answers
from portline.service.network.call import HINTS, Call
from portline.service.process.log import NOTICE
from portline.wire.datagram_login import Word, read, written

if TYPE_CHECKING:
    import asyncio
    import logging
    from collections.abc import Callable

    from portline.auth.seal import Seal
    from portline.auth.secret import Secret
    from portline.net.udp.way import End, Sockaddr, Way
    from portline.service.network.answers import Answer

__all__ = ["HINTED", "SESSIONS", "Associations", "counted"]

SESSIONS: Final = 2048
"""Sessions that are remembered, two for each peer; the oldest gives way."""

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
        self._calls: dict[End, Call] = {}
        self._answers = Answers()
        self._sessions: OrderedDict[bytes, tuple[Seal, End]] = OrderedDict()
        self._newest: dict[End, Seal] = {}
        self._hinted: OrderedDict[str, float] = OrderedDict()
        self._told: dict[str, float] = {}

    @property
    def trouble(self) -> str:
        """Why hosts that are called are not there yet."""
        texts = [
            f"{display_sockaddr(each.address)}: {each.trouble or 'logs in'}"
            for each in self._calls.values()
            if end_of(each.address) not in self._newest
        ]
        return "; ".join(texts)

    def call(self, address: Sockaddr, way: Way) -> None:
        """Log in at an address, and again whenever it has forgotten us."""
        if (end := self._end(address)) not in self._calls:
            self._calls[end] = call = Call(self, address, way)
            call.begin()

    def forget(self, address: Sockaddr) -> None:
        """Know nothing of an address any more."""
        end = self._end(address)
        call = self._calls.pop(end, None)
        if call is not None:
            call.stop()
        self._answers.forget(end)
        self._newest.pop(end, None)
        for session in [name for name, (_, where) in self._sessions.items() if where == end]:
            del self._sessions[session]

    def close(self) -> None:
        """Log in nowhere any more; what peers are still sent is sealed as before."""
        for call in self._calls.values():
            call.stop()
        self._calls.clear()
        self._answers.clear()

    def seal(self, address: Sockaddr, data: bytes) -> bytes | None:
        """Return the datagram for an address that carries ``data``; None without a session."""
        seal = self._newest.get(self._end(address))
        return None if seal is None else seal.close(data)

    def heard(self, datagram: bytes, source: Sockaddr, way: Way) -> bytes | None:
        """Take a datagram; return the data in it if its sender is who he says."""
        session = session_of(datagram)
        if session is None:
            self._words(datagram, source, way)
            return None
        seal, end = self._sessions.get(session, (None, None))
        if seal is None or end != self._end(source):
            self.counts["no_session"] += 1
            self._hint(source, way)
            return None
        data = seal.open(datagram)
        if data is None:
            self.counts["forged_or_replayed"] += 1
        return data

    # --- the words of logins --------------------------------------------------------------------

    def _end(self, address: Sockaddr) -> End:
        """Return who is at an address: whom we call without an interface answers from any."""
        end = end_of(address)
        return anywhere(end) if anywhere(end) in self._calls else end

    def _words(self, datagram: bytes, source: Sockaddr, way: Way) -> None:
        said = read(datagram)
        if said is None:
            self.counts["no_login"] += 1
            return
        call = self._calls.get(self._end(source))
        match said:
            case (Word.LOGIN | Word.PROOF) as word, message:
                self._asked(word, message, source, way)
            case word, message if call is not None:
                call.heard(word, message)
            case _:
                self.counts["no_login"] += 1

    def _asked(self, word: Word, message: str, source: Sockaddr, way: Way) -> None:
        end, answers = self._end(source), self._answers
        proves = word is Word.PROOF
        answer = answers.proved(end, message) if proves else answers.asked(end, message)
        if proves and answer is None:
            return  # its time was over, or somebody has only guessed that there is a login
        try:
            self._check_wait(source)
            if answer is None:
                answer = answers.begin(end, message, self.secret.salted(), self._loop.time())
            said = answer.verdict(message) if proves else answer.challenge
        except LoginError as error:
            if proves:  # by its nonce of who has begun; all else anybody could say
                answers.end(end, message)
            self._failed(source, error)
            said = written(Word.REFUSED, f"{error.reason} {error.text}")
        self._send(said, source, way)
        if answer is not None and answer.seal is not None and not answer.done:
            self._let_in(answer, answer.seal, source, way)

    def _let_in(self, answer: Answer, seal: Seal, source: Sockaddr, way: Way) -> None:
        answer.done = True
        self.counts["logins"] += 1
        self._log.info("logged in peer=%s by=SCRAM-SHA-256", display_sockaddr(source))
        self.new_session(seal, source, way)

    def _check_wait(self, source: Sockaddr) -> None:
        if self.throttle.wait(source[0], self._loop.time()) > 0:
            raise LoginError("slowed", "too many failures; try again later")

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

    def say(self, data: bytes, call: Call) -> None:
        """Send the words of a call."""
        self._send(data, call.address, call.way)

    def later(self, delay: float, call: Callable[[], object]) -> asyncio.TimerHandle:
        """Call somebody later."""
        return self._loop.call_later(delay, call)

    def now(self) -> float:
        """Return the loop's time."""
        return self._loop.time()

    def warn(self, call: Call, text: str) -> None:
        """Tell why a login fails."""
        self._log.warning("%s: %s; trying again", display_sockaddr(call.address), text)

    def tell(self, call: Call) -> None:
        """Tell that a login has gone well which did not."""
        self._log.log(NOTICE, "%s: is logged in", display_sockaddr(call.address))

    def new_session(self, seal: Seal, address: Sockaddr, way: Way) -> None:
        """Use a session from now on."""
        end = self._end(address)
        self._sessions[seal.session] = (seal, end)
        mine = [name for name, (_, where) in self._sessions.items() if where == end]
        if len(mine) > 2:  # one for each end that may have begun
            del self._sessions[mine[0]]
        elif len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
        self._newest[end] = seal
        self._established(address, way)


def counted(counts: Counter[str]) -> dict[str, int]:
    """Return the counts of logins, also those that are 0."""
    names = (
        *("logins", "wrong_password", "bad_login", "no_login", "login_slowed"),
        *("no_session", "forged_or_replayed"),
    )
    return {name: counts[name] for name in names}
