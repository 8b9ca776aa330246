"""Every error that Portline raises, in one tree.

::

    PortlineError
     +-- ConfigError     what was written in the file or on the command line cannot be used
     |    +-- ChangedMeanwhile  somebody else has changed the same (look again)
     +-- PortError       the serial side: absent, locked, refused a setting
     |    +-- PortAbsent       there is no such device now (retrying makes sense)
     |    +-- PortBusy         another program holds it (retrying makes sense)
     |    +-- PortDenied       this user may not open it
     |    +-- SettingRefused   the hardware does not do that value
     +-- NetworkError    an address cannot be listened on or connected to, or a connection was lost
     +-- PeerError       the other end broke the protocol
     +-- LoginError      one end of a connection was not believed by the other
     +-- UsageError      the program that uses Portline as a library called it wrongly
          +-- NameUnknown      there is no connection of that name
          +-- NameTaken        there is one already

A message names the port or address, the fault and the remedy, in one line, and reads well
after ``<connection>: ``.  What a program wants to know is in attributes, never only in the text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ChangedMeanwhile",
    "ConfigError",
    "LoginError",
    "NameTaken",
    "NameUnknown",
    "NetworkError",
    "PeerError",
    "PortAbsent",
    "PortBusy",
    "PortDenied",
    "PortError",
    "PortlineError",
    "SettingRefused",
    "UsageError",
    "clean",
]


def clean(text: object) -> str:
    """Return text that moves no cursor: what is not printable is written as Python would.

    A message may hold what a device calls itself, or what another program does.  So whatever goes
    to a terminal passes through here last.
    """
    written = str(text)
    if written.isprintable():
        return written
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in written
    )


class PortlineError(Exception):
    """Base of everything that Portline raises on purpose."""


class ConfigError(PortlineError):
    """A configuration is refused as a whole.

    ``mistakes`` holds one line per mistake, in the order of the document; ``str()`` joins them.
    ``faults`` are the same for programs, as far as they are about options: pairs of the option and
    the text.  The option is a key with the tables that it is in (``connections.meter.baudrate``),
    or, in the error of an operation on one connection, its bare key, "name", or "" for the
    connection as a whole.
    """

    def __init__(self, mistakes: list[str], faults: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes
        self.faults = list(faults)


class ChangedMeanwhile(ConfigError):
    """A change would go over one that somebody else has made since its author looked."""


class PortError(PortlineError):
    """A serial port cannot do what was asked.  ``port`` is its path, its name, or its URL."""

    def __init__(self, port: str, message: str) -> None:
        super().__init__(f"{port}: {message}")
        self.port = port


class PortAbsent(PortError):
    """There is no such device at the moment; it may come (back)."""


class PortBusy(PortError):
    """Another program holds the device.  ``holder`` names it where it could be found out."""

    def __init__(self, port: str, message: str, holder: str | None = None) -> None:
        super().__init__(port, message)
        self.holder = holder


class PortDenied(PortError):
    """The user that Portline runs as may not open the device."""


class SettingRefused(PortError):
    """The hardware refused a value; the port keeps what was in force.

    ``setting`` is the name of the option, ``value`` what was asked for.
    """

    def __init__(self, port: str, setting: str, value: object, message: str) -> None:
        super().__init__(port, message)
        self.setting = setting
        self.value = value


class NetworkError(PortlineError):
    """An address cannot be used, or a connection to it was lost.

    ``address`` is what was configured, or the URL of a remote port.
    """

    def __init__(self, address: str, message: str) -> None:
        super().__init__(f"{address}: {message}")
        self.address = address


class PeerError(PortlineError):
    """The other end of a network connection broke the protocol.  ``peer`` is its address."""

    def __init__(self, peer: str, message: str) -> None:
        super().__init__(f"{peer}: {message}")
        self.peer = peer


class LoginError(PortlineError):
    """One end has not proved what it should, or was not let in.

    ``reason`` is a word for programs (docs/explanation/threat-model.md lists them), ``text`` is for
    people.  ``by_peer``: it was the other end who refused.
    """

    def __init__(self, reason: str, text: str, *, by_peer: bool = False) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.by_peer = by_peer


class UsageError(PortlineError):
    """The calling program broke the contract of a Portline object."""


class NameUnknown(UsageError):
    """There is no connection ``name``; ``known`` are those that there are."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        there_are = ", ".join(known) or "none"
        super().__init__(f"there is no connection {name!r}; there are: {there_are}")
        self.name = name


class NameTaken(UsageError):
    """There is a connection ``name`` already; ``remedy`` says what to do."""

    def __init__(self, name: str, remedy: str) -> None:
        super().__init__(f"there is a connection {name!r} already; {remedy}")
        self.name = name
