"""The server's end of a login; see :mod:`portline.wire.login`."""

from __future__ import annotations

import re
from typing import Final, Protocol

from portline.errors import LoginError
from portline.wire.login.lines import (
    BYTES_MAX,
    HIDE,
    PREFIX,
    PROMPT,
    SHOW,
    VERSION,
    Lines,
    Stage,
    refusal,
)

__all__ = ["ServerLogin"]

_TELNET: Final = re.compile(rb"\xff[\xfb-\xfe].|\xff[\xf0-\xf9]", re.DOTALL)


class ServerSide(Protocol):
    """What the server's end of SCRAM offers."""

    mechanism: str

    def challenge(self, first: str) -> str: ...

    def verdict(self, final: str) -> str: ...


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
        self._lines = Lines()

    def start(self) -> bytes:
        """Return what the server says first."""
        greeting = f"{PREFIX}login {VERSION} {self._exchange.mechanism}\r\n".encode()
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
        return f"{PREFIX}welcome {final}\r\n".encode()

    def _begin(self, version: str, mechanism: str, message: str) -> bytes:
        if version != VERSION:
            raise LoginError("other-version", f"this is version {VERSION} of the login")
        if mechanism != self._exchange.mechanism:
            raise LoginError("no-binding", f"only {self._exchange.mechanism} will do here")
        challenge = self._exchange.challenge(message)
        self.stage = Stage.FINAL
        return f"{PREFIX}challenge {challenge}\r\n".encode()

    def _refuse(self, error: LoginError) -> bytes:
        if self.stage is Stage.REFUSED:
            return b""
        show = SHOW if self._telnet and self.stage is Stage.TYPED else b""
        self.stage, self.error, self.typed = Stage.REFUSED, error, b""
        return show + refusal(error.reason, error.text)
