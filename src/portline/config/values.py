"""The words and addresses that a configuration is made of.

The enums' values are what people write in files and on the command line.  An :class:`Address` is
what was written; a :class:`Place` is that with the protocol filled in.
"""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final

from portline.config.wording import quoted

__all__ = [
    "DEFAULT_LISTEN",
    "EVERY_ADDRESS",
    "PORT_MAX",
    "Address",
    "Place",
    "Protocol",
]

PORT_MAX: Final = 65535
"""The highest TCP or UDP port (16 bits); 0 means "any that is free"."""

EVERY_ADDRESS: Final = "*"
"""The host that stands for every address of the machine, IPv4 and IPv6."""

DEFAULT_HOST: Final = "127.0.0.1"
"""Where a bare port number listens: nobody but this machine is let in without being named."""


class Protocol(Enum):
    """What travels on the network side."""

    RAW = "raw"
    RFC2217 = "rfc2217"


_HOST_NAME: Final = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_PREFIX: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Address:
    """A place to listen on or to connect to.

    ``protocol`` is None where that of the connection is meant.
    ``host`` is a literal IPv4 or IPv6 address in its shortest form, a host name, or
    :data:`EVERY_ADDRESS`; ``port`` is in 0..65535, 0 meaning any free one.
    """

    host: str
    port: int
    protocol: Protocol | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``4001``, ``127.0.0.1:4001``, ``[::1]:4001``, ``*:4001``, ``rfc2217://HOST:PORT``.

        Raises ValueError with what is expected.
        """
        rest = text.strip()
        protocol = None
        if match := _PREFIX.fullmatch(rest):
            protocol, rest = _protocol(match[1]), match[2]
        host, colon, port = rest.rpartition(":")
        if not colon:
            host = DEFAULT_HOST
        elif ":" in host and not (host.startswith("[") and host.endswith("]")):
            raise ValueError(
                f"{quoted(text)} is ambiguous; write an IPv6 address in brackets, like [::1]:4001"
            )
        return cls(_host(host, text), _port(port, text), protocol)

    def resolved(self, protocol: Protocol) -> Place:
        """Return the place, whose protocol is ``protocol`` unless this address names its own."""
        return Place(self.host, self.port, self.protocol or protocol)

    def overlaps(self, other: Address) -> bool:
        """Tell whether the two cannot be listened on at the same time."""
        if self.port != other.port or self.port == 0:
            return False
        mine, theirs = _reach(self.host), _reach(other.host)
        return bool(mine & theirs) or _covers(mine, theirs) or _covers(theirs, mine)

    @property
    def is_group(self) -> bool:
        """Tell whether the host is the literal address of a multicast group."""
        with suppress(ValueError):
            return ipaddress.ip_address(self.host).is_multicast
        return False

    @property
    def may_be_group(self) -> bool:
        """Tell whether the host may be a multicast group, as far as its text tells."""
        with suppress(ValueError):
            return ipaddress.ip_address(self.host).is_multicast
        return self.host != EVERY_ADDRESS

    @property
    def is_loopback(self) -> bool:
        """Tell whether only programs on this machine reach it, as far as its text tells."""
        with suppress(ValueError):
            address = ipaddress.ip_address(self.host)
            mapped = getattr(address, "ipv4_mapped", None)
            return (mapped or address).is_loopback
        return self.host == "localhost" or self.host.endswith(".localhost")

    @property
    def means_many(self) -> bool:
        """Tell whether the host is the literal address of a group, or of everybody in a network."""
        return self.is_group or self.host == "255.255.255.255"

    @property
    def is_one(self) -> bool:
        """Tell whether the host is the literal address of one machine."""
        with suppress(ValueError):
            address = ipaddress.ip_address(self.host)
            return not (address.is_multicast or address.is_unspecified)
        return False

    def __str__(self) -> str:
        """Write it so that :meth:`parse` reads it back."""
        text = _joined(self.host, self.port)
        return text if self.protocol is None else f"{self.protocol.value}://{text}"


DEFAULT_LISTEN: Final = Address(DEFAULT_HOST, 4001)
"""Where a server listens that names no address: this machine only, the port of all examples."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one listener is or one host is dialed, and what is spoken there."""

    host: str
    port: int
    protocol: Protocol

    def __str__(self) -> str:
        """Write ``raw://127.0.0.1:4001``."""
        return f"{self.protocol.value}://{_joined(self.host, self.port)}"


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_SECURE: Final = {f"{item.value}s": item.value for item in Protocol}
"""How programs write in a URL that TLS is meant, which is an option of its own here."""


def _protocol(text: str) -> Protocol:
    try:
        return Protocol(text.lower())
    except ValueError:
        shapes = "raw://HOST:PORT or rfc2217://HOST:PORT"
        if text.lower() in _SECURE:
            shapes = f"{_SECURE[text.lower()]}://HOST:PORT with tls = true"
        raise ValueError(f"{quoted(text)} is not a protocol; write {shapes}") from None


def _port(text: str, whole: str) -> int:
    if re.fullmatch(r"[0-9]{1,5}", text) is None or int(text) > PORT_MAX:
        raise ValueError(
            f"{quoted(whole)} has no port in 1 to {PORT_MAX}; write one like 127.0.0.1:4001"
        )
    return int(text)


def _host(text: str, whole: str) -> str:
    if text == EVERY_ADDRESS:
        return text
    try:
        if text.startswith("["):
            return str(ipaddress.IPv6Address(text[1:-1]))
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        port = whole.rpartition(":")[2]
        if not text and port.isdecimal():
            raise ValueError(
                f"{quoted(whole)} names no host; write {port} for this machine only, or *:{port} "
                "for every address"
            ) from None
        if re.fullmatch(r"[0-9.]+", text) or _HOST_NAME.fullmatch(text) is None:
            raise ValueError(
                f"{quoted(whole)} has no usable address; write an IPv4 address, an IPv6 address in "
                "brackets, a host name, or * for every address"
            ) from None
        return text.lower()


def _reach(host: str) -> frozenset[str]:
    """Return the literal addresses that a host stands for, as far as one can know from its text."""
    match host:
        case "localhost":
            return frozenset({"127.0.0.1", "::1"})
        case "*":
            return frozenset({"0.0.0.0", "::"})
        case _:
            return frozenset({host})


def _covers(wide: frozenset[str], narrow: frozenset[str]) -> bool:
    """Tell whether a wildcard in ``wide`` takes an address of ``narrow``."""
    return ("::" in wide and any(":" in host for host in narrow)) or (
        "0.0.0.0" in wide and any(":" not in host for host in narrow)
    )
