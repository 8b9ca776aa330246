"""The ways to make a virtual port, the best first, and which of them this machine allows.

Theory of operation
-------------------
Each rung of the ladder is a backend: its name in the option ``backend``, what its ports can do,
what stands in its way here and now (:meth:`Rung.obstacle`), and how a port is made.  ``auto`` takes
the first without an obstacle.  An obstacle names its remedy; nothing is loaded, installed or
changed to remove it, since a module that an administrator has not loaded was not asked for.

==========  ==============================  =====================================================
backend     takes                           the application has
==========  ==============================  =====================================================
usbip       root; vhci_hcd and a driver     a true terminal of the kernel, with everything
cuse        root; the module cuse           a device of its own with every setting and line and
                                            the kernel's line discipline, but no job control, no PPP
pty         nothing                         a pseudo terminal: data and speed for every program,
                                            the rest for those that `portline run` starts
==========  ==============================  =====================================================

A further backend is a further rung.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from portline.port.base import Ability, Capabilities

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.port.base import PortOwner, SerialPort
    from portline.port.shelf import Shelf

__all__ = ["CUSE", "LADDER", "PTY", "Adapter", "Backend", "Choice", "Rung", "Wish", "choose"]


class Backend(Enum):
    """How a virtual port is made; the value is the word of the option."""

    AUTO = "auto"
    PTY = "pty"
    USBIP = "usbip"
    CUSE = "cuse"


class Adapter(Enum):
    """Which USB serial adapter an usbip port passes for."""

    PL2303 = "pl2303"
    FTDI = "ftdi"
    CDC_ACM = "cdc-acm"


@dataclass(frozen=True, slots=True)
class Wish:
    """A virtual port as it is configured."""

    name: str
    adapter: Adapter = Adapter.PL2303
    overlap: bool = False
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Rung:
    """One backend.

    ``obstacle`` returns why the machine does not allow it, with the remedy, or ""; ``make`` returns
    a port that is not yet open, also where there is an obstacle: opening it then says so.  On the
    shelf is what a process before this one may have left; some ports leave nothing.
    """

    backend: Backend
    what: str
    capabilities: Callable[[Adapter], Capabilities]
    obstacle: Callable[[Adapter], str]
    make: Callable[[Wish, PortOwner, asyncio.AbstractEventLoop, Shelf | None], SerialPort]

    def variants(self) -> list[tuple[Adapter, Capabilities]]:
        """Return what there is to choose from, each with what it can do."""
        found = {adapter: self.capabilities(adapter) for adapter in Adapter}
        different = len(set(found.values())) > 1
        return list(found.items()) if different else list(found.items())[:1]


@dataclass(frozen=True, slots=True)
class Choice:
    """The rung that is taken, and why, in words for the log."""

    rung: Rung
    why: str


def choose(backend: Backend, adapter: Adapter) -> Choice:
    """Return what is taken: what was asked for, or with ``auto`` the best without an obstacle."""
    if backend is not Backend.AUTO:
        return Choice(next(rung for rung in LADDER if rung.backend is backend), "as configured")
    passed_over = []
    for rung in LADDER:
        text = rung.obstacle(adapter)
        if not text:
            break
        passed_over.append(f"not {rung.backend.value}: {text}")
    return Choice(rung, "; ".join(passed_over) or "the best there is")


def _pty_capabilities(_adapter: Adapter) -> Capabilities:
    return PTY


PTY: Final = Capabilities(Backend.PTY.value, frozenset({Ability.BAUDRATE}))


def _usbip_capabilities(adapter: Adapter) -> Capabilities:
    missing = {
        Adapter.PL2303: set[Ability](),
        Adapter.FTDI: {Ability.EVERY_FORMAT},
        Adapter.CDC_ACM: {Ability.FLOW_CONTROL, Ability.CTS, Ability.FAULTS},
    }[adapter]
    return Capabilities(Backend.USBIP.value, frozenset(Ability) - missing, adapter.value)


def _no_obstacle(_adapter: Adapter) -> str:
    return ""


def _usbip_obstacle(adapter: Adapter) -> str:
    from portline.port.usbip.chips import CHIPS
    from portline.port.usbip.vhci import obstacle

    return obstacle(CHIPS[adapter.value])


def _make_pty(
    wish: Wish, owner: PortOwner, loop: asyncio.AbstractEventLoop, _shelf: Shelf | None
) -> SerialPort:
    from portline.port.pty.port import PtyPort

    return PtyPort(wish.name, owner=owner, loop=loop, overlap=wish.overlap, strict=wish.strict)


def _cuse_capabilities(_adapter: Adapter) -> Capabilities:
    return CUSE


CUSE: Final = Capabilities(Backend.CUSE.value, frozenset(Ability))


def _cuse_obstacle(_adapter: Adapter) -> str:
    from portline.port.cuse.channel import obstacle

    return obstacle()


def _make_cuse(
    wish: Wish, owner: PortOwner, loop: asyncio.AbstractEventLoop, _shelf: Shelf | None
) -> SerialPort:
    from portline.port.cuse.port import CusePort

    return CusePort(wish.name, owner=owner, loop=loop, overlap=wish.overlap, strict=wish.strict)


def _make_usbip(
    wish: Wish, owner: PortOwner, loop: asyncio.AbstractEventLoop, shelf: Shelf | None
) -> SerialPort:
    from portline.port.usbip.port import UsbipPort

    return UsbipPort(
        wish.name,
        owner=owner,
        loop=loop,
        adapter=wish.adapter.value,
        overlap=wish.overlap,
        strict=wish.strict,
        capabilities=_usbip_capabilities(wish.adapter),
        shelf=shelf,
    )


LADDER: Final = (
    Rung(
        Backend.USBIP,
        "a USB serial adapter in software, with the kernel's own driver",
        _usbip_capabilities,
        _usbip_obstacle,
        _make_usbip,
    ),
    Rung(
        Backend.CUSE,
        "a device in user space, with the kernel's line discipline behind it",
        _cuse_capabilities,
        _cuse_obstacle,
        _make_cuse,
    ),
    Rung(Backend.PTY, "a pseudo terminal", _pty_capabilities, _no_obstacle, _make_pty),
)
"""The best first; the last one has no obstacle."""
