"""Where a password comes from: a file, and what has to hold for it."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass, field
from typing import Final

from portline.auth.password import Password, Verifier, looks_salted

__all__ = ["FILE_MAX", "VARIABLE", "Secret", "read_private", "read_secret", "write_secret"]

VARIABLE: Final = "PORTLINE_PASSWORD"
"""The environment variable with the password of what has no file for it."""

FILE_MAX: Final = 4096
"""Bytes of a file with a password."""

_OTHERS: Final = 0o007
_GROUP_WRITES: Final = 0o020


@dataclass(frozen=True, slots=True)
class Secret:
    """What one end knows: the password, or only how to recognise who knows it."""

    password: Password | None = None
    verifier: Verifier | None = field(default=None, repr=False)

    def salted(self) -> Verifier:
        """Return what a server needs; makes it of the password, which may take long."""
        if self.verifier is not None:
            return self.verifier
        assert self.password is not None
        return self.password.verifier()


def read_secret(path: str, *, salted_will_do: bool) -> Secret:
    """Return what is in a file: one line, the password or a salted one.

    Raises ValueError that reads well after the name of the option, and never says what is in the
    file; ``salted_will_do`` for who only has to recognise the other end.
    """
    plain = "" if salted_will_do else "--plain "
    text = read_private(path, makes=f"`portline password {plain}{path}` makes it")
    return _parsed(text, path, salted_will_do=salted_will_do)


def read_private(path: str, *, makes: str) -> str:
    """Return the one line in a file that nobody else may read or change.

    Raises ValueError as :func:`read_secret` does; ``makes`` says what makes a file that is missing.
    """
    try:
        # Not blocking: a pipe that nobody writes to is no file, but opening it would wait.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}; {makes}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"{path} cannot be read: {reason}") from None
    try:
        status = os.fstat(fd)
        mode = status.st_mode
        if not stat.S_ISREG(mode):
            raise ValueError(f"{path} is not a file")
        if mode & (_OTHERS | _GROUP_WRITES):
            raise ValueError(
                f"{path} can be read or changed by others (mode {stat.S_IMODE(mode):04o}); run "
                f"`chmod 600 {path}`, and take another one if others may have read it"
            )
        if status.st_uid not in (0, os.geteuid()):  # as ssh does it: its owner can change the mode
            me, owner = _user(os.geteuid()), _user(status.st_uid)
            raise ValueError(
                f"{path} belongs to {owner}, who could change it, and must belong to {me} or root; "
                f"run `chown {me} {path}` as root, or take a copy (`install -m 600`)"
            )
        content = os.read(fd, FILE_MAX + 1)
    finally:
        os.close(fd)
    return _line(content, path)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _line(content: bytes, path: str) -> str:
    if len(content) > FILE_MAX:
        raise ValueError(f"{path} has more than {FILE_MAX} bytes; is it the right file?")
    try:
        text = content.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
    if "\n" in text:
        raise ValueError(f"{path} has more than one line; only a password or a token may be in it")
    return text


def _parsed(text: str, path: str, *, salted_will_do: bool) -> Secret:
    try:
        if not looks_salted(text):
            return Secret(password=Password(text))
        verifier = Verifier.parse(text.strip())
    except ValueError as error:
        raise ValueError(f"what is in {path} {error}") from None
    if not salted_will_do:
        raise ValueError(
            f"{path} holds a salted password, by which a server knows who has it; a client needs "
            "the password itself: `portline password --plain FILE` stores it"
        )
    return Secret(verifier=verifier)


def write_secret(path: str, line: str, *, replace: bool) -> None:
    """Write a file that only its owner may read.  Raises OSError; FileExistsError if it is there.

    It is complete or not there at all: whoever reads it at the same time gets the old or the new.
    """
    if not replace and os.path.lexists(path):
        raise FileExistsError(path)
    target = os.path.realpath(path)
    beside = f"{target}.{os.getpid()}.new"
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with open(fd, "w", encoding="utf-8") as file:
            file.write(f"{line}\n")
            file.flush()
            os.fsync(fd)
        os.replace(beside, target)
    except BaseException:
        os.unlink(beside)
        raise
