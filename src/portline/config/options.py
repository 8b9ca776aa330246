"""What is known of every option beside its type: group, meaning, reason, and where it applies.

An :class:`Option` stands in the annotation of each field of a model and is the one source of its
validation, its ``--help`` text and its reference entry.  :data:`EXCLUSIONS` is the table "which
option applies where" as data, with the reason and the remedy for each place where one does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pydantic_core import PydanticCustomError, core_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import GetCoreSchemaHandler

    from portline.config.kinds import Kind
    from portline.config.values import Protocol

__all__ = [
    "EXCLUSIONS",
    "Combination",
    "Exclusion",
    "Group",
    "Option",
    "applies_to",
    "exclusion",
    "key_of",
]


class Group(Enum):
    """The groups of options, in the order in which every face of Portline shows them."""

    NETWORK = "Local port and network"
    SERIAL = "Serial port settings"
    PACKETS = "Packet detection"
    CONNECTION = "Connection settings"
    TRANSFER = "Data transfer"
    BUFFER = "Data buffer"
    SECURITY = "Security"
    LINES = "Signal lines"


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a connection.

    ``text`` is one sentence on what it does, without a full stop; ``why`` tells why the default is
    what it is.
    """

    group: Group
    kind: Kind
    text: str
    why: str = ""
    many: bool = False
    """Whether a list may be written, and the flag given several times."""

    def __get_pydantic_core_schema__(
        self, _source: type, _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Let the kind read the value; its message becomes the validation error, unadorned."""
        return core_schema.no_info_plain_validator_function(self._validated)

    def _validated(self, value: object) -> object:
        try:
            return self.kind.read(value)
        except ValueError as error:
            # The text goes in as a parameter because braces in it would be taken for one.
            raise PydanticCustomError("value", "{text}", {"text": str(error)}) from None


def key_of(field: str) -> str:
    """Return the key of a model's field as files, flags and messages spell it."""
    return field.replace("_", "-")


# --- where an option applies ----------------------------------------------------------------------


class Combination(Enum):
    """What is at the two sides of a connection: the local port, and what is spoken to peers."""

    REAL_RAW = "real raw"
    REAL_RFC2217 = "real rfc2217"
    VIRTUAL_RAW = "virtual raw"
    VIRTUAL_RFC2217 = "virtual rfc2217"

    @classmethod
    def of(cls, *, virtual: bool, protocol: Protocol) -> Combination:
        """Return the combination of a port and a protocol."""
        return cls(f"{'virtual' if virtual else 'real'} {protocol.value}")

    @property
    def is_virtual(self) -> bool:
        """Tell whether Portline makes the port."""
        return self in _VIRTUAL


_REAL: Final = frozenset({Combination.REAL_RAW, Combination.REAL_RFC2217})
_VIRTUAL: Final = frozenset({Combination.VIRTUAL_RAW, Combination.VIRTUAL_RFC2217})
_RAW: Final = frozenset({Combination.REAL_RAW, Combination.VIRTUAL_RAW})
_RFC2217: Final = frozenset({Combination.REAL_RFC2217, Combination.VIRTUAL_RFC2217})


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Where an option does not apply.  The parts read: "to ``where``, because ``reason``"."""

    combinations: frozenset[Combination]
    where: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        """Write the message of a mistake."""
        return f"does not apply to {self.where}, because {self.reason}; {self.remedy}"


def _virtual(reason: str) -> Exclusion:
    return Exclusion(
        _VIRTUAL, "a virtual port", reason, "leave it out, or share a real port (option port)"
    )


def _real(reason: str, remedy: str) -> Exclusion:
    return Exclusion(_REAL, "a real port", reason, remedy)


def _raw(reason: str) -> Exclusion:
    return Exclusion(_RAW, "protocol raw", reason, "leave it out, or choose protocol rfc2217")


def _rfc2217(reason: str) -> Exclusion:
    return Exclusion(_RFC2217, "protocol rfc2217", reason, "leave it out, or choose protocol raw")


_APPLICATION_DECIDES = _virtual("the application that opens it decides the line settings")
_ONE_PEER = _rfc2217("exactly one peer controls the port at a time")
_NO_WORDS = _raw("it carries nothing but data")
_NO_OUTPUTS = _virtual("its DTR and RTS are the application's")
_NO_INPUTS = _real(
    "what it reads comes from the device", "leave it out, or share a virtual port (option virtual)"
)

_INPUTS: Final = ("cts", "dsr", "dcd", "ri")

EXCLUSIONS: Final[Mapping[str, tuple[Exclusion, ...]]] = MappingProxyType(
    {
        "baudrate": (_APPLICATION_DECIDES,),
        "data_bits": (_APPLICATION_DECIDES,),
        "parity": (_APPLICATION_DECIDES,),
        "stop_bits": (_APPLICATION_DECIDES,),
        "flow_control": (_APPLICATION_DECIDES,),
        "exclusive": (_virtual("its other side is for the applications to open"),),
        **dict.fromkeys(
            (
                "rs485",
                "rs485_rts_on_send",
                "rs485_delay_before",
                "rs485_delay_after",
                "rs485_rx_during_tx",
                "low_latency",
            ),
            (_virtual("no hardware is behind it"),),
        ),
        "overlap": (
            _real(
                "it carries its own name",
                "leave it out, or make a virtual port of that name (option virtual)",
            ),
        ),
        "backend": (
            _real("it is there already", "leave it out, or make a virtual port (option virtual)"),
        ),
        "adapter": (
            _real("it is what it is", "leave it out, or make a virtual port (option virtual)"),
        ),
        "strict_baudrate": (
            _real(
                "the hardware keeps its baudrate itself",
                "leave it out, or share a virtual port (option virtual)",
            ),
        ),
        "max_connections": (_ONE_PEER,),
        "open_when_connected": (
            _virtual("Portline makes it, and it has to exist for applications to open it"),
        ),
        "when_absent": (_virtual("Portline makes it, and it never goes away"),),
        "listen_when_open": (
            _real(
                "no application opens it, Portline does",
                "leave it out, or share a virtual port (option virtual)",
            ),
        ),
        "connect_when_open": (
            _real(
                "no application opens it, Portline does",
                "leave it out, or use a virtual port (option virtual)",
            ),
        ),
        "receive_from": (_ONE_PEER,),
        "send_to": (_ONE_PEER,),
        "notify": (_raw("it has no words for settings and signal lines"),),
        "allow_settings": (
            _virtual("the application that opens it decides, and the peer follows"),
            _raw("a peer has no words to ask for settings"),
        ),
        "answers": (
            _real("peers ask it, and it asks none", "leave it out, or use a virtual port"),
            _raw("a peer has no words to answer"),
        ),
        "reset_sequences": (_NO_OUTPUTS, _NO_WORDS),
        "cross_lines": (
            _virtual("what its application reads is told by allow-cts and its like"),
            _NO_WORDS,
        ),
        "allow_dtr": (_NO_WORDS,),
        "allow_rts": (_NO_WORDS,),
        "allow_break": (_NO_WORDS,),
        **{f"allow_{line}": (_NO_INPUTS, _NO_WORDS) for line in _INPUTS},
        **{
            f"{line}_{moment}": (reason,)
            for moment in ("connected", "disconnected")
            for lines, reason in ((("dtr", "rts"), _NO_OUTPUTS), (_INPUTS, _NO_INPUTS))
            for line in lines
        },
    }
)
"""Field -> where it does not apply and why; a field that is not in here applies everywhere.

Where several exclusions of a field take the same combination, the first one is told."""


def applies_to(field: str) -> frozenset[Combination]:
    """Return the combinations to which an option applies."""
    excluded = (item.combinations for item in EXCLUSIONS.get(field, ()))
    return frozenset(Combination).difference(*excluded)


def exclusion(field: str, combinations: Iterable[Combination]) -> Exclusion | None:
    """Return why an option applies to none of ``combinations``; None if it applies to any."""
    chosen = frozenset(combinations)
    if not chosen or chosen & applies_to(field):
        return None
    return next(item for item in EXCLUSIONS[field] if item.combinations & chosen)
