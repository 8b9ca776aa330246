"""Kinds of values that name a place: serial ports, virtual ports, network addresses."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from portline.config.values import EVERY_ADDRESS, Address
from portline.config.wording import quoted
from portline.net.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Device", "HostAddresses", "Interface", "ListenAddresses", "ProxyAddress", "VirtualName"]

LISTENERS_MAX: Final = 16
"""Addresses of one connection: one per interface of a large machine, in two protocols."""

HOSTS_MAX: Final = 32
"""Hosts of one client connection, as many as the device servers of Lantronix take."""

NAME_LIMIT: Final = 200
"""Bytes in the name of a virtual port, as UTF-8: a file system allows 255 (Linux NAME_MAX), of
which some are for the name under which a link is made before it replaces another."""

PATH_LIMIT: Final = 4096
"""Characters in a path (Linux PATH_MAX)."""

_USB: Final = re.compile(r"usb:([0-9A-Fa-f]{4}):([0-9A-Fa-f]{4})((?::.{0,132})?)")
"""A serial number has up to 126 characters, colons among them, and ``:00.15`` may follow; which
part is which is seen when the name is compared with the adapters that are there."""

_TOPOLOGY: Final = re.compile(r"path:(?=[^\s/]*\d)(?=[^\s/]*-)[^\s/]{1,200}")
"""A socket has a number, and a - behind its bus: 1-1.4, or pci-0000:00:14.0-usb-0:1.4:1.0."""


_INTERFACE: Final = re.compile(r"(?!\.{1,2}$)[^\s/:]{1,15}")
"""IFNAMSIZ is 16 with the zero at its end."""


@dataclass(frozen=True, slots=True)
class Device:
    """A real serial port: an absolute path, also with ``*``, or ``usb:...``, or ``path:...``.

    What such a name means is told in :mod:`portline.port.inventory.naming`.
    """

    @property
    def metavar(self) -> str:
        """A port."""
        return "PORT"

    @property
    def allowed(self) -> str:
        """The shapes."""
        return (
            "a path like /dev/ttyUSB0 (* and ? stand for what may differ), a USB identity like "
            "usb:0403:6001:A50285BI, or a USB socket like path:1-1.4"
        )

    @property
    def choices(self) -> tuple[str, ...]:
        """None: devices come and go."""
        return ()

    def read(self, value: object) -> str:
        """Return the path without needless parts, or the identity with small hexadecimal digits."""
        if not isinstance(value, str) or not value.strip() or not _clean(value):
            raise ValueError(f"{quoted(value)} must be {self.allowed}")
        text = value.strip()
        if match := _USB.fullmatch(text):
            vendor, product, rest = match.groups()
            return f"usb:{vendor.lower()}:{product.lower()}{rest}".rstrip(":")
        if _TOPOLOGY.fullmatch(text):
            return text
        if text.startswith("/"):
            return _normal(text)
        meant = f'; did you mean "/dev/{text}"?' if re.fullmatch(r"\w+", text) else ""
        raise ValueError(f"{quoted(value)} must be {self.allowed}{meant}")

    def show(self, value: object) -> str:
        """Write it as it is."""
        return str(value)


@dataclass(frozen=True, slots=True)
class VirtualName:
    """The name of a port that Portline makes: a plain name, or the path of the link to make."""

    @property
    def metavar(self) -> str:
        """A name."""
        return "NAME"

    @property
    def allowed(self) -> str:
        """The two shapes."""
        return "a name like ttyV0 (not beginning with -), or a path like /tmp/ttyV0"

    @property
    def choices(self) -> tuple[str, ...]:
        """None: any name is free."""
        return ()

    def read(self, value: object) -> str:
        """Return the name: any that a file may have, and that people can read."""
        if isinstance(value, str) and _clean(text := value.strip()):
            last = text.rpartition("/")[2].strip()
            if last not in ("", ".", "..") and len(last.encode()) <= NAME_LIMIT:
                if text.startswith("/"):
                    return _normal(text)
                if not text.startswith("-"):
                    return text
        raise ValueError(f"{quoted(value)} must be {self.allowed}")

    def show(self, value: object) -> str:
        """Write it as it is."""
        return str(value)


@dataclass(frozen=True, slots=True)
class _Addresses(ABC):
    """One address, or a list of them."""

    limit: ClassVar[int]
    """Addresses in a list."""

    @property
    def choices(self) -> tuple[str, ...]:
        """None: an address is not listed."""
        return ()

    @abstractmethod
    def fault(self, address: Address, others: Sequence[Address]) -> str:
        """Say why an address cannot be used beside those before it; "" where it can."""

    def read(self, value: object) -> tuple[Address, ...]:
        """Return the addresses; a ValueError tells of every one that cannot be used."""
        found: list[Address] = []
        wrong: list[str] = []
        for address in _addresses(value, self.limit, wrong):
            if fault := self.fault(address, found):
                wrong.append(fault)
            found.append(address)
        if wrong:
            raise ValueError("; ".join(wrong))
        return tuple(found)

    def show(self, value: object) -> str:
        """Write the addresses with commas; none where nothing was written."""
        return ", ".join(str(address) for address in self.read(value)) if value else "none"


@dataclass(frozen=True, slots=True)
class ListenAddresses(_Addresses):
    """One place to listen on, or a list of them."""

    limit = LISTENERS_MAX

    @property
    def metavar(self) -> str:
        """An address."""
        return "[HOST:]PORT"

    @property
    def allowed(self) -> str:
        """The shapes of an address."""
        return (
            'PORT (on 127.0.0.1), "HOST:PORT", "[IPV6]:PORT" or "*:PORT" (every address), '
            f"with raw:// or rfc2217:// before it; or a list of 1 to {LISTENERS_MAX} of them"
        )

    def fault(self, address: Address, others: Sequence[Address]) -> str:
        """Say with which of the others an address cannot be listened on."""
        other = next((each for each in others if address.overlaps(each)), None)
        return "" if other is None else _overlap(address, other)


@dataclass(frozen=True, slots=True)
class HostAddresses(_Addresses):
    """One host to connect to, or a list of them."""

    limit = HOSTS_MAX

    @property
    def metavar(self) -> str:
        """An address."""
        return "HOST:PORT"

    @property
    def allowed(self) -> str:
        """The shapes of an address."""
        return (
            '"HOST:PORT" or "[IPV6]:PORT", with raw:// or rfc2217:// before it; or a list of 1 to '
            f"{HOSTS_MAX} of them"
        )

    def fault(self, address: Address, others: Sequence[Address]) -> str:
        """Say why an address is no host, or none that is not listed yet."""
        if address.host == EVERY_ADDRESS or not address.port:
            return f"{quoted(str(address))} is no host to connect to; name one and a port"
        return f"{address} is listed twice" if address in others else ""


def _addresses(value: object, limit: int, wrong: list[str]) -> Iterator[Address]:
    """Yield one address or those of a list; what is wrong with the others is added to ``wrong``."""
    items = list(value) if isinstance(value, list | tuple) else [value]
    if not items:
        raise ValueError("an empty list; write at least one address")
    if len(items) > limit:
        raise ValueError(f"a list of {len(items)} must be 1 to {limit} addresses")
    for item in items:
        try:
            address = _address(item)
        except ValueError as error:
            wrong.append(str(error))
        else:
            yield address


def _address(item: object) -> Address:
    match item:
        case Address():
            return item
        case int() | str() if not isinstance(item, bool):
            return Address.parse(str(item))
        case _:
            raise ValueError(f"{quoted(item)} must be an address like 127.0.0.1:4001")


@dataclass(frozen=True, slots=True)
class ProxyAddress:
    """A proxy with its protocol, address and login."""

    @property
    def metavar(self) -> str:
        """A proxy."""
        return "URL"

    @property
    def allowed(self) -> str:
        """The two protocols."""
        return '"socks5://HOST:PORT" or "http://HOST:PORT", with USER:PASSWORD@ before HOST'

    @property
    def choices(self) -> tuple[str, ...]:
        """None: a proxy is not listed."""
        return ()

    def read(self, value: object) -> Proxy:
        """Return the proxy."""
        match value:
            case Proxy():
                return value
            case str():
                return Proxy.parse(value.strip())
            case _:
                raise ValueError(f"{quoted(value)} must be {self.allowed}")

    def show(self, value: object) -> str:
        """Write it without the password: what is shown must not tell it."""
        return str(value)


@dataclass(frozen=True, slots=True)
class Interface:
    """The name of a network interface."""

    @property
    def metavar(self) -> str:
        """A name."""
        return "NAME"

    @property
    def allowed(self) -> str:
        """What a name may be."""
        return "the name of a network interface, like eth0"

    @property
    def choices(self) -> tuple[str, ...]:
        """None: interfaces come and go."""
        return ()

    def read(self, value: object) -> str:
        """Return the name: any that the kernel allows (dev_valid_name in net/core/dev.c)."""
        if isinstance(value, str) and _INTERFACE.fullmatch(text := value.strip()):
            return text
        raise ValueError(f"{quoted(value)} must be {self.allowed}")

    def show(self, value: object) -> str:
        """Write it as it is."""
        return str(value)


def _overlap(address: Address, other: Address) -> str:
    """Say why two addresses cannot be listened on at the same time."""
    if address.protocol != other.protocol and address.host == other.host:
        return (
            f"TCP port {address.port} is listed as {other} and as {address}; give each protocol a "
            "port of its own"
        )
    if address.host == other.host:
        return f"{address} is listed twice"
    wide, narrow = (address, other) if address.host == EVERY_ADDRESS else (other, address)
    return f"{narrow} is covered by {wide}; keep one of them"


def _clean(text: str) -> bool:
    return text.isprintable() and len(text) <= PATH_LIMIT


def _normal(path: str) -> str:
    """Return an absolute path without ``//`` and ``/./``, so that equal paths have equal text."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return "/" + "/".join(parts)
