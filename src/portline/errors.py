"""Every error that Portline raises, in one tree.

::

    PortlineError
     +-- ConfigError     what was written in the file or on the command line cannot be used
     +-- PortError       the serial side: absent, locked, refused a setting
     |    +-- PortAbsent       there is no such device now (retrying makes sense)
     |    +-- PortBusy         another program holds it (retrying makes sense)
     |    +-- PortDenied       this user may not open it
     |    +-- SettingRefused   the hardware does not do that value
     +-- NetworkError    an address cannot be listened on or connected to, or a connection was lost
     +-- PeerError       the other end broke the protocol
     +-- LoginError      one end of a connection was not believed by the other
     +-- UsageError      the program that uses Portline as a library called it wrongly

A message names the port or address, the fault and the remedy, in one line, and reads well
after ``<connection>: ``.  What a program wants to know is in attributes, never only in the text.
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "LoginError",
    "NetworkError",
    "PeerError",
    "PortAbsent",
    "PortBusy",
    "PortDenied",
    "PortError",
    "PortlineError",
    "SettingRefused",
    "UsageError",
]


class PortlineError(Exception):
    """Base of everything that Portline raises on purpose."""


class ConfigError(PortlineError):
    """A configuration is refused as a whole.

    ``mistakes`` holds one line per mistake, in the order of the document; ``str()`` joins them.
    """

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


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
