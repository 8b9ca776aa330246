"""One thing that was seen at a connection: data of one direction, or what happened beside it."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Kind", "Record", "Source"]


class Source(StrEnum):
    """Where it comes from: the device or application at the port, or the network's side."""

    PORT = "port"
    PEER = "peer"


class Kind(StrEnum):
    """What it is."""

    DATA = "data"
    LINES = "lines"
    SETTINGS = "settings"
    BREAK = "break"
    FAULT = "fault"
    PURGE = "purge"
    OPEN = "open"
    CLOSED = "closed"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    SKIPPED = "skipped"


AT_MAX: Final = 253_402_300_800.0
"""Seconds since 1970 at the end of the year 9999, behind which there are no dates; no number that
JSON knows beside it (NaN, Infinity) is a time, either."""

_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Record:
    """What was seen ``at`` a time (seconds since 1970), from ``source`` on its way to the other.

    ``peer`` is the address of the peer that it comes from, "" where it is nobody's.  ``data`` is
    that of kind ``data``; the other kinds have ``text`` for people and ``value`` for programs:

    ============  =================================================================================
    lines         the lines that are known now, by name: cts, dsr, dcd, ri as the port reads them,
                  dtr, rts as it drives them; a name that is missing stays as it was
    settings      ``settings`` in the usual notation, such as ``9600-8N1``
    break         ``on``, or ``seconds`` of one that was sent, or nothing of one that came
    fault         ``overrun``, ``parity``, ``framing``, each true or left out
    purge         ``received``, ``unsent``
    open, closed  ``what``: "port", "application" or "connection"; ``reason`` where there is one
    skipped       ``bytes`` of data and ``records`` that did not get here
    ============  =================================================================================

    What a peer has asked for and was not allowed has ``allowed``: false.
    """

    at: float
    source: Source
    kind: Kind
    peer: str = ""
    data: bytes = b""
    text: str = ""
    value: Mapping[str, object] = field(default_factory=lambda: _NOTHING)

    def plain(self) -> dict[str, object]:
        """Return it as JSON has it; data is base64."""
        told: dict[str, object] = {
            "at": round(self.at, 6),
            "source": self.source.value,
            "peer": self.peer,
            "kind": self.kind.value,
        }
        if self.kind is Kind.DATA:
            told["data"] = b2a_base64(self.data, newline=False).decode()
        else:
            told["text"] = self.text
            told["value"] = dict(self.value)
        return told

    @classmethod
    def of(cls, told: object) -> Record:
        """Read what :meth:`plain` has written.  Raises ValueError for anything else."""
        match told:
            case {
                "at": float() | int() as at,
                "source": str(source),
                "kind": str(kind),
                **rest,
            } if 0 <= at < AT_MAX:
                pass
            case _:
                raise ValueError("is no record of Portline")
        match rest:
            case {"peer": str(peer), "data": str(data)} if kind == Kind.DATA:
                return cls(at, Source(source), Kind.DATA, peer, a2b_base64(data, strict_mode=True))
            case {"peer": str(peer), "text": str(text), "value": dict(value)}:
                return cls(at, Source(source), Kind(kind), peer, b"", text, value)
            case _:
                raise ValueError("is no record of Portline")
