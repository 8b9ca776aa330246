"""The client's end of a login; see :mod:`portline.wire.login`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from portline.errors import LoginError
from portline.wire.login.lines import HIDE, PREFIX, PROMPT, VERSION, Lines, Stage

if TYPE_CHECKING:
    from typing import Any

__all__ = ["ClientLogin"]

_OFFER: Final = re.compile(r"login ([0-9,]{1,20}) ([A-Z0-9 -]{1,100})")
_REFUSED: Final = re.compile(r"refused ([a-z-]{1,40})(?: (.{0,400}))?")


class ClientSide(Protocol):
    """What the client's end of SCRAM offers."""

    mechanism: str

    def first(self) -> str: ...

    def challenged(self, challenge: str) -> tuple[bytes, int]: ...

    def proof(self, keys: Any) -> str: ...

    def finish(self, final: str) -> None: ...


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
        self._lines = Lines()

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
                Stage.FIRST: "it closed the connection without asking for the password; it may "
                "want TLS, or let nobody in from here",
                Stage.PROVED: "it closed the connection without proving that it knows the password",
            }.get(self.stage, "it closed the connection during the login")
            self.stage, self.error = Stage.REFUSED, LoginError("closed", why)

    def _take(self, text: str) -> bytes:
        if not text.startswith(PREFIX):
            raise LoginError("malformed", "it breaks off the login")
        text = text.removeprefix(PREFIX)
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
                raise _not_asked(f"{PREFIX}{text}".encode())
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
    words = PREFIX.encode()
    return data.startswith(words[: len(data)])


def _not_asked(data: bytes) -> LoginError:
    shown = "".join(c if c.isprintable() else "?" for c in data[:60].decode("utf-8", "replace"))
    if shown.startswith(PREFIX):
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
