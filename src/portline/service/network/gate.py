"""Who may come to the door at all: addresses, and the login before any other byte.

Theory of operation
-------------------
::

    accepted --address denied--------------------------------------> closed without a word
       |
       |  (the handshake of TLS)
       |
       +--no password wanted---------------------------------------> the door
       +--its address has failed too often, or too many log in--> told why, or closed
       |
     logs in --right--------------------------------------------> the door
       +--wrong, garbage, too long, too late--------------------> told why, closed

Whoever logs in is nobody yet: it has no place among the peers, opens no port and replaces nobody.
All of that is bounded: by :data:`UNDER_WAY` in all and :data:`PER_ORIGIN` from one address, by
LOGIN_LIMIT in time, by :data:`portline.wire.login.lines.BYTES_MAX` in memory.  When all places are
taken, the oldest of those go that have the most of them from one address, so that a flood from one
place cannot keep others out.

What a login costs here is three HMACs.  Only a typed password costs the rounds of PBKDF2; they are
done in a thread, one after the other.
"""

from __future__ import annotations

from collections import Counter, deque
from functools import partial
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Final

from portline.auth.exchange import ServerExchange
from portline.auth.password import Password
from portline.auth.throttle import Throttle, origin
from portline.config.values import Protocol
from portline.errors import LoginError
from portline.net.address import host_of
from portline.net.faults import seconds
from portline.net.networks import EVERYBODY
from portline.service.process.aside import aside
from portline.wire.login.lines import Stage, refusal
from portline.wire.login.server import ServerLogin

if TYPE_CHECKING:
    import asyncio
    import logging
    from collections.abc import Callable

    from portline.auth.password import Verifier
    from portline.net.link import Link
    from portline.net.networks import Networks

__all__ = ["LOGIN_LIMIT", "PER_ORIGIN", "PROMPT_LIMIT", "UNDER_WAY", "Gate"]

UNDER_WAY: Final = 128
"""Logins under way at one connection; more than come at once when a site has its power back."""

PER_ORIGIN: Final = 32
"""Logins under way from one address (of IPv6: from one network of 64 bits)."""

LOGIN_LIMIT: Final = 10.0
"""Seconds for a login: a slow board does its rounds, and a slowloris is not waited for."""

PROMPT_LIMIT: Final = 60.0
"""Seconds where people may type the password."""

FAREWELLS: Final = 16
"""Refused ones that are still being told why; more of them are closed without a word."""

TOLD: Final = 10
TOLD_SPAN: Final = 10.0
"""Refusals within so many seconds that get a line of the log each; the others are counted in the
next line, so that a flood fills no disk."""

GUESSED: Final = "wrong-password"
"""The one reason that costs waiting.  Where nothing was guessed there is nothing to slow down: a
monitor that looks whether the port is open, or a program without the password that tries for ever,
must not keep out others from its address."""

_COUNTED: Final = {
    "wrong-password": "wrong_password",
    "other-certificate": "other_certificate",
    "no-binding": "no_binding",
    "no-login": "no_login",
    "too-late": "login_too_late",
    "closed": "login_broken_off",
    "crowded": "login_crowded",
    "slowed": "login_slowed",
}


class Gate:
    """Stands before the door of one connection.

    ``verifier`` is what is known of the password, None where none is asked for; ``prompt`` whether
    people may type it at links for which ``prompts(link)`` holds.  ``knock`` is called for each
    link that may go on to the door.
    """

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        log: logging.LoggerAdapter[logging.Logger],
        knock: Callable[[Link, str], None],
    ) -> None:
        self.verifier: Verifier | None = None
        self.networks: Networks = EVERYBODY
        self.prompts: Callable[[Link], bool] = lambda link: False
        self.throttle = Throttle()
        self._loop = loop
        self._log = log
        self._knock = knock
        self._under_way: dict[Link, _Applicant] = {}
        self._leaving: list[Link] = []
        self._counts: Counter[str] = Counter()
        self._told: deque[float] = deque(maxlen=TOLD)
        self._untold = 0
        self._typed: deque[_Applicant] = deque()
        self._judging = False

    @property
    def counts(self) -> dict[str, int]:
        """What became of those who came, and how many addresses have to wait.

        Without a password and networks nobody is stopped here, and nothing is counted.
        """
        names = ["denied"] if self.networks.limited or self._counts["denied"] else []
        if self.verifier is None and not self._counts["logins"]:
            return {name: self._counts[name] for name in names}
        names += ["logins", *_COUNTED.values(), "bad_login"]
        return {
            **{name: self._counts[name] for name in names},
            "login_under_way": len(self._under_way),
            "addresses_slowed": self.throttle.slowed(self._loop.time()),
        }

    def admits(self, link: Link) -> bool:
        """Tell whether one who was just accepted may stay, by its address; closes it if not."""
        if self.networks.admits(host_of(link.name)):
            return True
        self._counts["denied"] += 1
        link.abort()
        self._tell("denied peer=%s: its address is not let in (allow, deny)", link.name)
        return False

    def arrive(self, link: Link, protocol: str) -> None:
        """Take one that may log in, or go on where no password is asked for."""
        host = host_of(link.name)
        if self.verifier is None:
            self._knock(link, protocol)
        elif self._slowed(host):
            self._dismiss(link, _slowed())
        else:
            place = origin(host)
            if sum(each.origin == place for each in self._under_way.values()) >= PER_ORIGIN:
                self._dismiss(link, LoginError("crowded", "too many logins from this address"))
                return
            if len(self._under_way) >= UNDER_WAY:
                self._make_room()
            applicant = _Applicant(self, link, protocol, self.verifier, self.prompts(link))
            self._under_way[link] = applicant
            applicant.start(self._loop)

    def close(self) -> None:
        """Send everybody away who is not in yet."""
        for applicant in tuple(self._under_way.values()):
            applicant.stop()
            applicant.link.abort()
        self._under_way.clear()
        self._typed.clear()
        for link in self._leaving:
            link.abort()
        self._leaving.clear()

    # --- called by applicants -------------------------------------------------------------------

    def admit(self, applicant: _Applicant) -> None:
        """Let somebody go on who has logged in."""
        link = applicant.link
        self._forget(applicant)
        self._counts["logins"] += 1
        link.login = applicant.login.mechanism
        link.early = applicant.login.early
        self._log.info("logged in peer=%s by=%s", link.name, link.login)
        self._knock(link, applicant.protocol)

    def reject(self, applicant: _Applicant, error: LoginError, *, said: bytes = b"") -> None:
        """Send somebody away who has not logged in."""
        self._forget(applicant)
        self._dismiss(applicant.link, error, said)

    def judge(self, applicant: _Applicant) -> None:
        """Have a typed password judged, in its turn."""
        self._typed.append(applicant)
        self._judge_next()

    def may_try(self, applicant: _Applicant) -> bool:
        """Tell whether this address may have another guess judged now."""
        return not self._slowed(applicant.host)

    # --- the rest -------------------------------------------------------------------------------

    def _slowed(self, host: str) -> bool:
        return self.throttle.wait(host, self._loop.time()) > 0

    def _judge_next(self) -> None:
        while self._typed and not self._judging:
            applicant = self._typed.popleft()
            if applicant.login.stage is not Stage.TYPED:
                continue  # its time was over
            if not self.may_try(applicant):
                applicant.refuse(_slowed())
                continue
            self._judging = True
            typed, verifier = applicant.login.typed, applicant.verifier
            outcome = aside(partial(_matches, typed, verifier))
            outcome.add_done_callback(partial(self._judged, applicant))

    def _judged(self, applicant: _Applicant, done: asyncio.Future[bool]) -> None:
        self._judging = False
        if applicant.login.stage is Stage.TYPED and applicant.link in self._under_way:
            applicant.judged(not done.cancelled() and done.result())
        self._judge_next()

    def _make_room(self) -> None:
        crowd = Counter(each.origin for each in self._under_way.values())
        (place, _), *_ = crowd.most_common(1)
        oldest = next(each for each in self._under_way.values() if each.origin == place)
        oldest.refuse(LoginError("crowded", "too many log in at the same time; try again later"))

    def _forget(self, applicant: _Applicant) -> None:
        applicant.stop()
        self._under_way.pop(applicant.link, None)

    def _dismiss(self, link: Link, error: LoginError, said: bytes = b"") -> None:
        self._counts[_COUNTED.get(error.reason, "bad_login")] += 1
        costs = 0.0
        if error.reason == GUESSED:
            costs = self.throttle.failed(host_of(link.name), self._loop.time())
        if error.reason not in ("slowed", "closed"):
            waits = f" waits={seconds(costs)}s" if costs else ""
            text = "login refused peer=%s reason=%s%s: %s"
            self._tell(text, link.name, error.reason, waits, error.text)
        self._leaving = [each for each in self._leaving if not each.closed]
        if error.reason == "closed" or len(self._leaving) >= FAREWELLS:
            link.abort()
            return
        self._leaving.append(link)
        link.finish(said or refusal(error.reason, error.text))

    def _tell(self, text: str, *arguments: object) -> None:
        now = self._loop.time()
        if len(self._told) == TOLD and now - self._told[0] < TOLD_SPAN:
            self._untold += 1
            return
        self._told.append(now)
        if self._untold:
            text, arguments = text + " (and %d more before)", (*arguments, self._untold)
            self._untold = 0
        self._log.warning(text, *arguments)


def _slowed() -> LoginError:
    return LoginError("slowed", "logins from this address have failed too often; try again later")


_judges: Final = BoundedSemaphore(2)
"""Typed passwords that are judged at the same time in one process: what is left of the processor is
for the data."""


def _matches(typed: bytes, verifier: Verifier) -> bool:
    try:
        password = Password(typed.decode())
        with _judges:
            return password.matches(verifier)
    except ValueError:  # UnicodeDecodeError too
        return False


class _Applicant:
    """Owns the link of one who logs in."""

    def __init__(
        self, gate: Gate, link: Link, protocol: str, verifier: Verifier, prompt: bool
    ) -> None:
        self.link = link
        self.protocol = protocol
        self.host = host_of(link.name)
        self.origin = origin(self.host)
        self.verifier = verifier
        exchange = ServerExchange(verifier, link.end_point or None)
        self.login = ServerLogin(exchange, prompt=prompt, telnet=protocol == Protocol.RFC2217.value)
        self._gate = gate
        self._limit = PROMPT_LIMIT if prompt else LOGIN_LIMIT
        self._timer: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self._limit, self._expire)
        self.link.write(self.login.start())
        if not self.link.closed:
            self.link.start(self)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def judged(self, right: bool) -> None:
        said = self.login.judged(right)
        self._go_on(said)

    def refuse(self, error: LoginError) -> None:
        self._go_on(self.login.refuse(error))

    def _expire(self) -> None:
        self._timer = None
        self._go_on(self.login.expire())

    def _go_on(self, said: bytes) -> None:
        login = self.login
        match login.stage:
            case Stage.IN:
                if said:
                    self.link.write(said)
                self.link.pause()  # until it is let in, which may take a moment at the door
                self._gate.admit(self)
            case Stage.REFUSED:
                assert login.error is not None
                self._gate.reject(self, login.error, said=said)
            case Stage.TYPED:
                self.link.pause()
                self._gate.judge(self)
            case _:
                if said:
                    self.link.write(said)

    # --- the owner of a link --------------------------------------------------------------------

    def link_data(self, data: bytes) -> None:
        login = self.login
        if login.stage is Stage.IN:  # the link is paused, but had read more already
            self.link.early += data
            return
        if login.stage is Stage.TYPED:
            if said := login.feed(data):
                self._go_on(said)
            return
        if login.stage is Stage.FINAL and not self._gate.may_try(self):
            self.refuse(_slowed())
            return
        self._go_on(login.feed(data))

    def link_eof(self) -> None:
        self.link_lost("it has closed the connection")

    def link_lost(self, reason: str) -> None:
        if self.login.stage in (Stage.FIRST, Stage.FINAL):
            begun = self.login.heard
            error = LoginError("no-login" if begun else "closed", "it has left before the login")
            self.login.refuse(error)
            self._gate.reject(self, error)

    def link_ready(self) -> None:
        """Do nothing: what is said is short."""
