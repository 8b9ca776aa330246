"""The servers that are known: the fingerprint that each had when it was first met.

Theory of operation
-------------------
As with SSH, whoever is in the middle at the first meeting is believed, and nobody later.  The file
has a line for each server, ``HOST:PORT sha256:HEX DATE``, with the host as it was written where it
was connected to; a line that begins with ``#`` means nothing.  It is read each time, so that a
person may edit it, and written as a whole under another name that then replaces it; a lock keeps
two processes apart.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portline.errors import PortlineError
from portline.net.tls.certificate import fingerprint_fault
from portline.net.tls.state import make_state_folder, state_folder

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KNOWN_SERVERS", "PINS_LIMIT", "Pins"]

KNOWN_SERVERS: Final = "known-servers"
"""The name of the file in the state folder."""

PINS_LIMIT: Final = 1024 * 1024
"""Bytes of the file: ten thousand servers."""


@dataclass(frozen=True, slots=True)
class _Pin:
    line: int
    fingerprint: str
    since: str


class Pins:
    """The file of known servers in ``folder``, that of this user unless another is given."""

    def __init__(self, folder: Path | None = None) -> None:
        self.path = (state_folder() if folder is None else folder) / KNOWN_SERVERS

    def check(self, address: str, shown: str) -> str:
        """Say what is wrong with the fingerprint that a server has shown; "" if nothing is.

        One that was never met is known from now on.  Raises PortlineError where the file cannot be
        read or written.
        """
        folder = make_state_folder(self.path.parent)
        try:
            # The lock is on a file of its own, because this one is replaced.
            lock = os.open(folder / f".{KNOWN_SERVERS}.lock", os.O_CREAT | os.O_RDWR, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                return self._checked(address, shown)
            finally:
                os.close(lock)
        except OSError as error:
            raise PortlineError(
                f"{self.path} cannot be used: {error.strerror}; mend that, or pin the server with "
                f'fingerprint = "{shown}"'
            ) from None

    def _checked(self, address: str, shown: str) -> str:
        text = self._text()
        known = self._find(text, address)
        if known is None:
            when = time.strftime("%Y-%m-%dT%H:%M:%S")
            ending = "" if not text or text.endswith("\n") else "\n"
            self._write(f"{text}{ending}{address} {shown} {when}\n")
            return ""
        if known.fingerprint == shown:
            return ""
        since = f" since {known.since}" if known.since else ""
        return (
            f"the certificate of {address} has changed: it is known as {known.fingerprint}{since}, "
            f"and shows {shown} now; somebody may be in the middle. If the server has got a new "
            f'one, delete line {known.line} of {self.path}, or write fingerprint = "{shown}"'
        )

    def _text(self) -> str:
        try:
            with self.path.open("rb") as file:
                content = file.read(PINS_LIMIT + 1)
        except FileNotFoundError:
            return ""
        if len(content) > PINS_LIMIT:
            raise PortlineError(f"{self.path} has more than {PINS_LIMIT} bytes; shorten it")
        return content.decode("utf-8", "replace")

    def _write(self, text: str) -> None:
        descriptor, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{KNOWN_SERVERS}-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:  # mode 0600 (mkstemp)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise

    def _find(self, text: str, address: str) -> _Pin | None:
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.split()
            if not words or words[0] != address:
                continue
            if len(words) < 2 or fingerprint_fault(words[1]):
                raise PortlineError(
                    f"{self.path}:{number}: has no fingerprint behind {address}; mend that line or "
                    "delete it"
                )
            return _Pin(number, words[1], words[2] if len(words) > 2 else "")
        return None
