"""The password of the page and the tokens of programs: what is stored, and whether one is right.

Both are files in the state folder that only their owner may read.  Of the password an Argon2id hash
is kept, of each token its SHA-256: a token is random, so nobody can guess it from that.  Whoever
changes a file changes what holds at once; no process has to be told.  Everything here blocks.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portline.auth.password import PASSWORD_MAX
from portline.auth.secret import write_secret
from portline.errors import PortlineError, UsageError
from portline.net.tls.state import make_state_folder

if TYPE_CHECKING:
    from pathlib import Path

    from argon2 import PasswordHasher

__all__ = [
    "GENERATED",
    "MEMORY",
    "PASSWORD_FILE",
    "PASSWORD_MIN",
    "ROUNDS",
    "TOKENS_FILE",
    "TOKENS_MAX",
    "Credentials",
    "Grade",
]

PASSWORD_FILE: Final = "web-password"
TOKENS_FILE: Final = "web-tokens"

MEMORY: Final = 19 * 1024
"""KiB that a guess costs, and a login; with ROUNDS what OWASP's password storage cheat sheet takes
for the least of Argon2id.  More would be a large part of what Portline needs altogether."""

ROUNDS: Final = 2

PASSWORD_MIN: Final = 8
"""Characters of a password that people choose (NIST SP 800-63B, section 5.1.1)."""

GENERATED: Final = 15
"""Random bytes of a password that is made: 20 characters, which nobody guesses."""

TOKEN: Final = 32
"""Random bytes of a token."""

TOKENS_MAX: Final = 64
"""Tokens at the same time."""

FILE_MAX: Final = 64 * 1024
"""Bytes of either file."""

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_TOKEN: Final = re.compile(r"portline_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Grade:
    """Which file it was that somebody has proved to know: another file, another grade.

    The same file is another one, too, while others may read it (``exposed``): it is not used then.
    """

    device: int = 0
    inode: int = 0
    changed: int = 0
    exposed: bool = False

    @property
    def there(self) -> bool:
        """Tell whether there is a file at all."""
        return self.inode != 0


class Credentials:
    """The two files in ``folder``; the state folder of this user when it is None."""

    def __init__(self, folder: Path | None = None) -> None:
        self._asked = folder
        self._made: Path | None = None
        self._tokens: tuple[Grade, dict[str, bytes]] = (Grade(), {})
        # Basic sends the password each time, and Argon2 is meant to be slow: what was right stays
        # right until the file changes.  The key makes the digest worthless outside of the process.
        self._proof = secrets.token_bytes(32)
        self._proved: tuple[Grade, bytes] = (Grade(), b"")

    @property
    def folder(self) -> Path:
        """Where the files are.  Raises PortlineError where that cannot be made."""
        if self._made is None:
            self._made = make_state_folder(self._asked)
        return self._made

    def grade(self) -> Grade:
        """Return which password holds now; one system call."""
        return self._grade(PASSWORD_FILE)

    # --- the password -----------------------------------------------------------------------------

    def generate(self) -> str:
        """Make a password, store it, and return it; it is known to nobody else."""
        password = secrets.token_urlsafe(GENERATED)
        self.store(password)
        return password

    def store(self, password: str) -> None:
        """Store another password.

        Raises UsageError for one that is too short or too long, PortlineError where the file
        cannot be written.
        """
        if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
            raise UsageError(
                f"the password of the page has {PASSWORD_MIN} to {PASSWORD_MAX} characters; take "
                "a longer one, or `portline password --web --generate`"
            )
        self._write(PASSWORD_FILE, _hasher().hash(password))

    def check(self, password: str) -> bool:
        """Tell whether it is the password; takes a while, so ask in a thread.

        Raises PortlineError where the file cannot be used.
        """
        if len(password) > PASSWORD_MAX:
            return False
        grade, line = self.grade(), self._read(PASSWORD_FILE)
        from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

        try:
            _hasher().verify(line, password)
        except VerifyMismatchError:
            return False
        except (InvalidHashError, VerificationError, UnicodeEncodeError):
            raise PortlineError(
                f"{self.folder / PASSWORD_FILE} holds no password that can be used; `portline "
                "password --web` writes it anew"
            ) from None
        self._proved = (grade, self._digest(password))
        return True

    def proved(self, password: str) -> bool:
        """Tell whether a password was found right before, and still is; takes no time."""
        grade, digest = self._proved
        return (
            grade.there
            and grade == self.grade()
            and hmac.compare_digest(digest, self._digest(password))
        )

    def _digest(self, password: str) -> bytes:
        return hmac.digest(self._proof, password.encode("utf-8", "replace"), "sha256")

    # --- tokens -----------------------------------------------------------------------------------

    def add_token(self, name: str) -> str:
        """Make a token for a program, and return it.

        Raises UsageError for a name that is taken or is none, or where there are TOKENS_MAX.
        """
        if _NAME.fullmatch(name) is None:
            raise UsageError(
                f"{name!r} is no name of a token; write 1 to 64 letters, digits, and any of _ . -"
            )
        known = self.tokens()
        if name in known:
            raise UsageError(
                f"there is a token {name} already; take another name, or first "
                f"`portline token --remove {name}`"
            )
        if len(known) >= TOKENS_MAX:
            raise UsageError(f"there are {TOKENS_MAX} tokens already; remove one first")
        token = f"portline_{secrets.token_urlsafe(TOKEN)}"
        self._write_tokens({**known, name: hashlib.sha256(token.encode()).digest()})
        return token

    def remove_token(self, name: str) -> None:
        """Make a token worthless.  Raises UsageError if there is none of that name."""
        known = dict(self.tokens())
        if known.pop(name, None) is None:
            there_are = ", ".join(known) or "none"
            raise UsageError(f"there is no token {name!r}; there are: {there_are}")
        self._write_tokens(known)

    def tokens(self) -> dict[str, bytes]:
        """Return the digest of each token by its name, as the file says now."""
        grade = self._grade(TOKENS_FILE)
        if grade != self._tokens[0]:
            lines = self._read(TOKENS_FILE).splitlines() if grade.there else []
            found = {}
            for line in lines:
                name, _, digits = line.partition(" ")
                with suppress(ValueError):
                    found[name] = bytes.fromhex(digits)
            self._tokens = (grade, found)
        return self._tokens[1]

    def owner(self, token: str) -> str | None:
        """Return the name of a token, None if it is none; takes no time."""
        if _TOKEN.fullmatch(token) is None:
            return None
        digest = hashlib.sha256(token.encode()).digest()
        found = None
        for name, known in self.tokens().items():
            if hmac.compare_digest(digest, known):
                found = name
        return found

    def _write_tokens(self, tokens: dict[str, bytes]) -> None:
        self._write(TOKENS_FILE, "\n".join(f"{name} {d.hex()}" for name, d in tokens.items()))

    # --- files ------------------------------------------------------------------------------------

    def _grade(self, name: str) -> Grade:
        try:
            found = os.stat(self.folder / name)
        except OSError:
            return Grade()
        return Grade(found.st_dev, found.st_ino, found.st_mtime_ns, _exposed(found.st_mode))

    def _read(self, name: str) -> str:
        path = self.folder / name
        try:
            with open(path, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read(FILE_MAX)
        except OSError as error:
            raise PortlineError(f"{path}: cannot be read: {error.strerror}") from None
        if _exposed(mode):
            raise PortlineError(
                f"{path}: can be read or changed by others (mode {stat.S_IMODE(mode):04o}); run "
                f"`chmod 600 {path}`, and take another password if others may have read it"
            )
        return content.decode("utf-8", "replace").strip()

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        try:
            write_secret(str(path), text, replace=True)
        except OSError as error:
            raise PortlineError(f"{path}: cannot be written: {error.strerror}") from None


def _exposed(mode: int) -> bool:
    """Tell whether others than the owner may read or change a file of that mode."""
    return bool(stat.S_IMODE(mode) & 0o077)


def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=ROUNDS, memory_cost=MEMORY, parallelism=1)
