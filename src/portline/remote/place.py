"""Where a remote port is, and how a program writes what it wants of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from portline.errors import UsageError
from portline.line import (
    BAUDRATE_MAX,
    BAUDRATE_MIN,
    DATA_BITS,
    FlowControl,
    Parity,
    SetLine,
    StopBits,
)
from portline.net.address import display

if TYPE_CHECKING:
    from enum import Enum

__all__ = ["PROTOCOLS", "SECURE", "Place", "wanted"]

SECURE: Final = "s"
"""What a scheme ends with whose connection is encrypted by TLS, as in https."""

PROTOCOLS: Final = ("rfc2217", "raw", "rfc2217s", "raws")
"""The schemes of a remote port's URL."""

_E = TypeVar("_E", bound="Enum")


@dataclass(frozen=True, slots=True)
class Place:
    """A remote port: who has it, and what is spoken there."""

    protocol: str
    host: str
    port: int
    tls: bool = False

    @property
    def address(self) -> str:
        """``host:4001``."""
        return display(self.host, self.port)

    def __str__(self) -> str:
        """Write ``rfc2217://host:4001``."""
        return f"{self.protocol}{SECURE if self.tls else ''}://{self.address}"

    @classmethod
    def parse(cls, url: str) -> Place:
        """Read ``rfc2217://host:4001`` or ``raw://host:4001``; UsageError for anything else.

        ``rfc2217s://`` and ``raws://`` are encrypted by TLS.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        rest = parts.path.strip("/") or parts.query or parts.fragment or parts.username
        if parts.scheme not in PROTOCOLS or not parts.hostname or not port or rest:
            raise UsageError(f"{url!r} is not a remote port like rfc2217://host:4001 or raw://...")
        protocol = parts.scheme.removesuffix(SECURE)
        return cls(protocol, parts.hostname, port, protocol != parts.scheme)


def wanted(
    *,
    baudrate: int | None = None,
    data_bits: int | None = None,
    parity: Parity | str | None = None,
    stop_bits: StopBits | str | float | None = None,
    flow_control: FlowControl | str | None = None,
) -> SetLine:
    """Return the change that a program wants; what is None stays as it is.

    ``parity`` may be written "even" or "E".  Raises UsageError, with what is allowed.
    """
    if baudrate is not None and not BAUDRATE_MIN <= baudrate <= BAUDRATE_MAX:
        raise UsageError(f"baudrate {baudrate!r} is not in {BAUDRATE_MIN}..{BAUDRATE_MAX}")
    if data_bits is not None and data_bits not in DATA_BITS:
        raise UsageError(f"data_bits {data_bits!r} is not in 5..8")
    return SetLine(
        baudrate=baudrate,
        data_bits=data_bits,
        parity=_one_of(Parity, "parity", parity),
        stop_bits=_one_of(StopBits, "stop_bits", stop_bits),
        flow_control=_one_of(FlowControl, "flow_control", flow_control),
    )


def _one_of(kind: type[_E], name: str, value: object) -> _E | None:
    """Return the member that a value means: one itself, its value or its name."""
    if value is None or isinstance(value, kind):
        return value
    text = f"{value:g}" if isinstance(value, (int, float)) else str(value)
    for member in kind:
        if text.lower() in (str(member.value).lower(), member.name.lower()):
            return member
    allowed = ", ".join(str(member.value) for member in kind)
    raise UsageError(f"{name} {value!r} is none of {allowed}")
