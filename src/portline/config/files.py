"""Kinds of values of encryption: files with certificates, fingerprints, and names in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from portline.config.places import PATH_LIMIT
from portline.config.wording import quoted
from portline.net.tls.certificate import fingerprint_fault
from portline.net.tls.contexts import SYSTEM

__all__ = ["CaFile", "FilePath", "Fingerprint", "HostName"]

_HOST: Final = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_.:-]*[A-Za-z0-9_])?")


@dataclass(frozen=True, slots=True)
class FilePath:
    """The absolute path of a file; whether it is there is seen when it is used."""

    @property
    def metavar(self) -> str:
        """A file."""
        return "FILE"

    @property
    def allowed(self) -> str:
        """The shape."""
        return "the path of a file, from / on"

    @property
    def choices(self) -> tuple[str, ...]:
        """None: files are not listed."""
        return ()

    def read(self, value: object) -> str:
        """Return the path as it is."""
        if isinstance(value, str):
            text = value.strip()
            if text.startswith("/") and text.isprintable() and len(text) <= PATH_LIMIT:
                return text
        raise ValueError(f"{quoted(value)} must be {self.allowed}")

    def show(self, value: object) -> str:
        """Write it as it is."""
        return str(value)


@dataclass(frozen=True, slots=True)
class CaFile(FilePath):
    """The path of a file with CAs, or the word for those of the system."""

    @property
    def metavar(self) -> str:
        """A file, or the word."""
        return f"FILE|{SYSTEM}"

    @property
    def allowed(self) -> str:
        """The shapes."""
        return f"the path of a file, from / on, or {SYSTEM}"

    def read(self, value: object) -> str:
        """Return the path, or the word."""
        if isinstance(value, str) and value.strip().lower() == SYSTEM:
            return SYSTEM
        if isinstance(value, str) and value.strip().startswith("/"):
            return FilePath.read(self, value)
        raise ValueError(f"{quoted(value)} must be {self.allowed}")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The SHA-256 of a certificate."""

    @property
    def metavar(self) -> str:
        """How it begins."""
        return "sha256:HEX"

    @property
    def allowed(self) -> str:
        """The shapes."""
        return "sha256: and 64 hexadecimal digits, also with colons between each two"

    @property
    def choices(self) -> tuple[str, ...]:
        """None: a fingerprint is not listed."""
        return ()

    def read(self, value: object) -> str:
        """Return it in small digits; also as `openssl x509 -fingerprint -sha256` writes it."""
        text = str(value).strip().lower() if isinstance(value, str) else ""
        digits = re.sub(r"^(sha256:|sha256 fingerprint=)", "", text).replace(":", "")
        if fingerprint_fault(f"sha256:{digits}"):
            raise ValueError(f"{quoted(value)} must be {self.allowed}")
        return f"sha256:{digits}"

    def show(self, value: object) -> str:
        """Write it as it is."""
        return str(value)


@dataclass(frozen=True, slots=True)
class HostName:
    """A name or an address that may stand in a certificate."""

    @property
    def metavar(self) -> str:
        """A name."""
        return "NAME"

    @property
    def allowed(self) -> str:
        """The shapes."""
        return "the name of a host, or an address"

    @property
    def choices(self) -> tuple[str, ...]:
        """None: names are not listed."""
        return ()

    def read(self, value: object) -> str:
        """Return the name in small letters."""
        text = value.strip().strip("[]") if isinstance(value, str) else ""
        if _HOST.fullmatch(text) is None and re.fullmatch(r"[0-9A-Fa-f:]+", text) is None:
            raise ValueError(f"{quoted(value)} must be {self.allowed}")
        return text.lower()

    def show(self, value: object) -> str:
        """Write it as it is."""
        return str(value)
