"""The login that comes before any other byte of a protocol, as lines; both ends of it.

Theory of operation
-------------------
The server speaks first, so that a client never sends a byte to a server that would take it for
data.  Lines end with CR LF (LF alone is taken, too)::

    server  portline: login 1 SCRAM-SHA-256
    client  login 1 SCRAM-SHA-256 n,,n=portline,r=NONCE
    server  portline: challenge r=NONCE,s=SALT,i=ROUNDS
    client  proof c=biws,r=NONCE,p=PROOF
    server  portline: welcome v=SIGNATURE

or, instead of any line of the server but the first, ``portline: refused REASON TEXT`` and the end.
What follows ``login 1 MECHANISM``, ``challenge``, ``proof`` and ``welcome`` are the messages of
SCRAM (RFC 5802).  docs/explanation/threat-model.md describes every byte.

The server:

==========  ========================  ============================  =========
stage       hears                     says                          goes to
==========  ========================  ============================  =========
FIRST       login 1, a mechanism      challenge                     FINAL
FIRST       anything else             (a typed password, or) no     TYPED, REFUSED
FINAL       proof, right              welcome                       IN
FINAL       proof, wrong; else        refused                       REFUSED
TYPED       nothing is read           after a verdict               IN, REFUSED
==========  ========================  ============================  =========

The client:

==========  ========================  ============================  =========
FIRST       login 1, our mechanism    login                         FINAL
FINAL       challenge                 (when the keys are there)     KEYS
KEYS        nothing (a refusal)       proof, with the keys          PROVED
PROVED      welcome, right            nothing                       IN
any         refused, anything else    nothing                       REFUSED
==========  ========================  ============================  =========

Neither end does cryptography, reads a clock or knows where a password comes from: the exchange of
SCRAM is an object that is passed in.  Whatever a peer sends, these objects end in IN or REFUSED
after at most :data:`BYTES_MAX` bytes; whoever drives them keeps the time.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol

from portline.errors import LoginError

if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "BYTES_MAX",
    "GREETING",
    "HIDE",
    "LINE_MAX",
    "PROMPT",
    "SHOW",
    "VERSION",
    "ClientLogin",
    "ServerLogin",
    "Stage",
    "is_greeting",
    "may_become_greeting",
    "refusal",
]

VERSION: Final = "1"

LINE_MAX: Final = 1024
"""Bytes of one line with its end; the longest of ours has 350."""

BYTES_MAX: Final = 2 * LINE_MAX
"""Bytes that a client may say before it is in: two lines."""

GREETING: Final = b"portline: login "
"""How a server begins that wants a login."""

PROMPT: Final = b"Password: "
"""What is said in addition to people and programs that know nothing of all this."""

HIDE: Final = b"\xff\xfb\x01"
"""IAC WILL ECHO (RFC 857): said before the prompt where Telnet is spoken, so that a terminal does
not show what is typed."""

SHOW: Final = b"\xff\xfc\x01"
"""IAC WONT ECHO: the terminal shows again what is typed."""

_PREFIX: Final = "portline: "
_GREETING: Final = re.compile(rb"portline: login ([0-9,]{1,20}) ([A-Z0-9 -]{1,100})\r?\n")
_OFFER: Final = re.compile(r"login ([0-9,]{1,20}) ([A-Z0-9 -]{1,100})")
_REFUSED: Final = re.compile(r"refused ([a-z-]{1,40})(?: (.{0,400}))?")
_TELNET: Final = re.compile(rb"\xff[\xfb-\xfe].|\xff[\xf0-\xf9]", re.DOTALL)


class Stage(Enum):
    """How far a login is."""

    FIRST = auto()
    FINAL = auto()
    TYPED = auto()
    KEYS = auto()
    PROVED = auto()
    IN = auto()
    REFUSED = auto()


class ServerSide(Protocol):
    """What the server's end of SCRAM offers."""

    mechanism: str

    def challenge(self, first: str) -> str: ...

    def verdict(self, final: str) -> str: ...


class ClientSide(Protocol):
    """What the client's end of SCRAM offers."""

    mechanism: str

    def first(self) -> str: ...

    def challenged(self, challenge: str) -> tuple[bytes, int]: ...

    def proof(self, keys: Any) -> str: ...

    def finish(self, final: str) -> None: ...


def refusal(reason: str, text: str) -> bytes:
    """Return the line that refuses a login; ``reason`` is a word, ``text`` is for people."""
    plain = "".join(c if c.isascii() and c.isprintable() else "?" for c in text)[:400]
    return f"{_PREFIX}refused {reason} {plain}\r\n".encode()


def is_greeting(data: bytes) -> bool:
    """Tell whether the first ``data`` of a server asks for a login, maybe by a prompt too."""
    match = _GREETING.match(data)
    if match is None:
        return False
    rest = data[match.end() :]
    return PROMPT.startswith(rest) or (HIDE + PROMPT).startswith(rest)


def may_become_greeting(data: bytes) -> bool:
    """Tell whether the first ``data`` of a server is the beginning of a greeting, or all of it."""
    if is_greeting(data):
        return True
    whole = data.startswith(GREETING) and len(data) <= LINE_MAX and b"\n" not in data
    return whole or GREETING.startswith(data)


class _Lines:
    """Divides what a peer says into lines, within bounds."""

    def __init__(self) -> None:
        self.rest = b""
        self._heard = 0

    def feed(self, data: bytes, limit: int) -> None:
        self.rest += data
        self._heard += len(data)
        if self._heard > limit:
            raise LoginError("too-long", f"it has said more than {limit} bytes before the login")

    def next(self) -> bytes | None:
        """Return the next line without its end, None if it is not whole yet."""
        end = self.rest.find(b"\n")
        if end >= LINE_MAX or (end < 0 and len(self.rest) > LINE_MAX):
            raise LoginError("too-long", f"a line has more than {LINE_MAX} bytes")
        if end < 0:
            return None
        line, self.rest = self.rest[:end], self.rest[end + 1 :]
        return line.removesuffix(b"\r")


class ServerLogin:
    """The server's end.  ``prompt``: a line that is no login is a password that was typed, which
    the terminal does not show where it speaks ``telnet``.

    ``error`` says why the client was refused; ``typed`` is what was typed, until it is judged;
    ``mechanism`` how it has logged in.
    """

    def __init__(self, exchange: ServerSide, *, prompt: bool = False, telnet: bool = False) -> None:
        self.stage = Stage.FIRST
        self.error: LoginError | None = None
        self.typed = b""
        self.mechanism = ""
        self._exchange = exchange
        self._prompt = prompt
        self._telnet = prompt and telnet
        self._lines = _Lines()

    def start(self) -> bytes:
        """Return what the server says first."""
        greeting = f"{_PREFIX}login {VERSION} {self._exchange.mechanism}\r\n".encode()
        hide = HIDE if self._telnet else b""
        return greeting + (hide + PROMPT if self._prompt else b"")

    @property
    def early(self) -> bytes:
        """What a client that is in has said behind its typed password: data."""
        return self._lines.rest

    @property
    def heard(self) -> bool:
        """Whether the client has begun to log in, as far as its first bytes tell."""
        return self.stage is not Stage.FIRST or bool(self._lines.rest)

    def feed(self, data: bytes) -> bytes:
        """Take what the client says; return the answer."""
        said = b""
        try:
            self._lines.feed(data, BYTES_MAX)
            while self.stage in (Stage.FIRST, Stage.FINAL):
                line = self._line()
                if line is None:
                    break
                said += self._take(line)
        except LoginError as error:
            said += self._refuse(error)
        return said

    def judged(self, right: bool) -> bytes:
        """Decide about a typed password; return the answer."""
        assert self.stage is Stage.TYPED
        self.typed = b""
        if right:
            self.stage, self.mechanism = Stage.IN, "prompt"
            return SHOW if self._telnet else b""
        return self._refuse(LoginError("wrong-password", "the password is wrong"))

    def expire(self) -> bytes:
        """Refuse because the time is over; return the answer."""
        return self._refuse(LoginError("too-late", "nobody has logged in within the time for it"))

    def refuse(self, error: LoginError) -> bytes:
        """Refuse for a reason from outside; return the answer."""
        return self._refuse(error)

    def _line(self) -> bytes | None:
        if self._prompt and self.stage is Stage.FIRST:
            # A terminal ends a line as Telnet does (CR NUL), too.
            rest = self._lines.rest = _TELNET.sub(b"", self._lines.rest)
            end = rest.find(b"\r\0")
            if end >= 0 and b"\n" not in rest[:end]:
                self._lines.rest = rest[end + 2 :]
                return rest[:end]
        return self._lines.next()

    def _take(self, line: bytes) -> bytes:
        text = line.decode("utf-8", "replace")
        word, _, rest = text.partition(" ")
        if self.stage is Stage.FIRST:
            version, _, rest = rest.partition(" ")
            mechanism, _, message = rest.partition(" ")
            if word == "login" and mechanism.startswith("SCRAM-"):
                return self._begin(version, mechanism, message)
            if self._prompt:
                self.stage, self.typed = Stage.TYPED, line
                return b""
            raise LoginError("no-login", "a password is needed here, and it does not log in")
        if word != "proof":
            raise LoginError("malformed", 'there should be a line "proof"')
        final = self._exchange.verdict(rest)
        if self._lines.rest:
            raise LoginError("malformed", "it has sent data before it was let in")
        self.stage, self.mechanism = Stage.IN, self._exchange.mechanism
        return f"{_PREFIX}welcome {final}\r\n".encode()

    def _begin(self, version: str, mechanism: str, message: str) -> bytes:
        if version != VERSION:
            raise LoginError("other-version", f"this is version {VERSION} of the login")
        if mechanism != self._exchange.mechanism:
            raise LoginError("no-binding", f"only {self._exchange.mechanism} will do here")
        challenge = self._exchange.challenge(message)
        self.stage = Stage.FINAL
        return f"{_PREFIX}challenge {challenge}\r\n".encode()

    def _refuse(self, error: LoginError) -> bytes:
        if self.stage is Stage.REFUSED:
            return b""
        show = SHOW if self._telnet and self.stage is Stage.TYPED else b""
        self.stage, self.error, self.typed = Stage.REFUSED, error, b""
        return show + refusal(error.reason, error.text)


class ClientLogin:
    """The client's end.

    After FINAL it waits in KEYS until :meth:`prove` is called with the keys for ``salt`` and
    ``rounds``.  ``error`` says why it does not trust the server, or is not let in.
    """

    def __init__(self, exchange: ClientSide) -> None:
        self.stage = Stage.FIRST
        self.error: LoginError | None = None
        self.salt = b""
        self.rounds = 0
        self._exchange = exchange
        self._lines = _Lines()

    @property
    def mechanism(self) -> str:
        """How it logs in."""
        return self._exchange.mechanism

    @property
    def early(self) -> bytes:
        """What the server has said behind its welcome."""
        return self._lines.rest

    def feed(self, data: bytes) -> bytes:
        """Take what the server says; return the answer."""
        if self.stage is Stage.REFUSED:
            return b""
        said = b""
        try:
            if self.stage is Stage.FIRST and not _may_be_ours(self._lines.rest + data):
                raise _not_asked(self._lines.rest + data)
            # What comes behind the welcome is data, and may be as long as one read.
            self._lines.rest += data
            while self.stage is not Stage.IN:
                line = self._lines.next()
                if line is None:
                    break
                if self.stage is Stage.FINAL:  # it may have asked people, too
                    line = line.removeprefix(HIDE).removeprefix(PROMPT)
                said += self._take(line.decode("utf-8", "replace"))
        except LoginError as error:
            self.stage, self.error = Stage.REFUSED, error
        return said

    def prove(self, keys: object) -> bytes:
        """Return the proof, made with the keys for ``salt`` and ``rounds``.

        b"" if the server has refused us, or left, while they were made.
        """
        if self.stage is Stage.REFUSED:
            return b""
        assert self.stage is Stage.KEYS
        self.stage = Stage.PROVED
        return f"proof {self._exchange.proof(keys)}\r\n".encode()

    def ended(self) -> None:
        """Note that the server has closed the connection."""
        if self.stage not in (Stage.IN, Stage.REFUSED):
            why = {
                Stage.FIRST: "it closed the connection without asking for the password",
                Stage.PROVED: "it closed the connection without proving that it knows the password",
            }.get(self.stage, "it closed the connection during the login")
            self.stage, self.error = Stage.REFUSED, LoginError("closed", why)

    def _take(self, text: str) -> bytes:
        if not text.startswith(_PREFIX):
            raise LoginError("malformed", "it breaks off the login")
        text = text.removeprefix(_PREFIX)
        if match := _REFUSED.fullmatch(text):
            raise LoginError(match[1], _told(match[1], match[2] or ""), by_peer=True)
        word, _, rest = text.partition(" ")
        match self.stage, word:
            case Stage.FIRST, "login":
                return self._begin(text)
            case Stage.FINAL, "challenge":
                self.salt, self.rounds = self._exchange.challenged(rest)
                self.stage = Stage.KEYS
                return b""
            case Stage.PROVED, "welcome":
                self._exchange.finish(rest)
                self.stage = Stage.IN
                return b""
            case Stage.FIRST, _:
                raise _not_asked(f"{_PREFIX}{text}".encode())
            case _:
                raise LoginError("malformed", "it breaks off the login")

    def _begin(self, text: str) -> bytes:
        offer = _OFFER.fullmatch(text)
        if offer is None:
            raise LoginError("malformed", "it asks for a password in an unknown way")
        if VERSION not in offer[1].split(","):
            raise LoginError("other-version", f"it speaks version {offer[1]} of the login")
        mechanism = self._exchange.mechanism
        if mechanism not in offer[2].split():
            raise LoginError(
                "no-binding",
                f"it offers {offer[2]} and not {mechanism}: somebody stands between us and takes "
                "the binding to TLS away, or a program before the server ends TLS",
            )
        self.stage = Stage.FINAL
        first = self._exchange.first()
        return f"login {VERSION} {mechanism} {first}\r\n".encode()


def _may_be_ours(data: bytes) -> bool:
    """Tell whether a server begins with words of ours."""
    words = _PREFIX.encode()
    return data.startswith(words[: len(data)])


def _not_asked(data: bytes) -> LoginError:
    shown = "".join(c if c.isprintable() else "?" for c in data[:60].decode("utf-8", "replace"))
    if shown.startswith(_PREFIX):
        return LoginError("not-asked", f'it does not let us log in: "{shown.strip("?")}"')
    if data.startswith(PROMPT[:9]):
        return LoginError(
            "not-asked", "it asks for the password in plain text, which is never given away"
        )
    return LoginError(
        "not-asked",
        f'it does not ask for a password, and there is one here: it says "{shown}"; give the '
        "server the password, or leave it out here",
    )


def _told(reason: str, text: str) -> str:
    """Return what a server's refusal means, for people here."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    meaning = {
        "wrong-password": "the password is not the one of the server",
        "other-certificate": "somebody stands between us and the server: it has another "
        "certificate than the one that was shown here (man in the middle)",
    }.get(reason)
    return meaning or f'it refuses the login: "{text or reason}"'
