"""What every kind of connection is: a local port with options, and the rules between them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, model_validator

from portline.config.hardware import HardwareOptions
from portline.config.kinds import Choice, Switch
from portline.config.local import PortOptions, ProtocolOptions, SerialOptions
from portline.config.options import Group, Option
from portline.config.packets import PacketOptions
from portline.config.refusal import collected, refusal
from portline.config.rules import KINDS, Fault, contradictions, folded
from portline.config.security import SecurityOptions
from portline.config.signals import LineOptions
from portline.config.transfer import (
    BufferOptions,
    LivenessOptions,
    OpeningOptions,
    TransferOptions,
)
from portline.config.trust import PasswordOptions
from portline.config.wording import quoted
from portline.line import LineSettings

if TYPE_CHECKING:
    from portline.config.values import Address, Place, Protocol

__all__ = ["KIND", "Common", "StreamOptions", "options"]

_Model = TypeVar("_Model", bound=BaseModel)

KIND: Final = Option(
    Group.NETWORK,
    Choice({word: word for word in KINDS}),
    "What sort of connection this is: a server waits for peers to connect, a client connects to "
    "them, udp exchanges datagrams with them",
)


class Kindred(BaseModel):
    """What is one of several kinds, and may rest."""

    kind: Annotated[str, KIND] = "server"
    enabled: Annotated[
        bool,
        Option(
            Group.NETWORK,
            Switch(),
            "Start this connection with Portline; false leaves it stopped until it is started by "
            "hand (`portline start`)",
            "a connection is described in order to have it",
        ),
    ] = True


class Common(HardwareOptions, SerialOptions, PortOptions, Kindred):
    """Any connection.  Each kind adds its groups of options, and its own default of ``kind``."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="wrap")
    @classmethod
    def _with_rules(cls, data: Any, handler: ModelWrapValidatorHandler[_Model]) -> _Model:
        """Add what the rules between options say to what the values say."""
        if not isinstance(data, Mapping):
            if isinstance(data, cls):
                return handler(data)
            raise refusal([Fault((), f"must be a table of options, not {quoted(data)}")])
        own = cls.model_fields["kind"].default
        table, faults = folded(data, cls.model_fields, own, _kinds_by_field())
        if table.get("kind", own) != own and table["kind"] in KINDS:
            faults.append(Fault(("kind",), f"{quoted(table['kind'])} is not what this is: {own}"))
        return collected(table, [*faults, *contradictions({"kind": own, **table})], handler)

    @property
    def is_virtual(self) -> bool:
        """Tell whether Portline makes the port."""
        return self.virtual is not None

    @property
    def port_name(self) -> str:
        """What the user calls the port: a path, a USB identity, or the name of a virtual port."""
        return self.virtual or self.port or ""

    def line_settings(self) -> LineSettings:
        """Return the serial settings that the port is opened with."""
        return LineSettings(
            baudrate=self.baudrate,
            data_bits=self.data_bits,
            parity=self.parity,
            stop_bits=self.stop_bits,
            flow_control=self.flow_control,
        )

    @property
    @abstractmethod
    def addresses(self) -> tuple[Address, ...]:
        """What was written of where to listen or to connect."""

    @property
    @abstractmethod
    def only_when_open(self) -> bool:
        """Tell whether the network is left alone while no application has the virtual port open."""


class StreamOptions(
    # Pydantic puts the fields of the last base first, and mistakes are told in the order of fields.
    LineOptions,
    PasswordOptions,
    SecurityOptions,
    BufferOptions,
    TransferOptions,
    OpeningOptions,
    LivenessOptions,
    PacketOptions,
    ProtocolOptions,
    Common,
):
    """A local port whose peers are reached by TCP, whoever connects to whom."""

    def places(self) -> tuple[Place, ...]:
        """Return where to listen or to connect and what to speak there, in the order written."""
        return tuple(address.resolved(self.protocol) for address in self.addresses)

    def protocols(self) -> frozenset[Protocol]:
        """Return what is spoken at these places."""
        return frozenset(place.protocol for place in self.places())


@cache
def _kinds_by_field() -> dict[str, list[str]]:
    """Return which kinds of connection have each option: those of the models without heirs.

    Found out once, as every connection of a file asks: it was a third of the time that reading
    takes.  All kinds are there by then (:mod:`portline.config.models`).
    """
    found: dict[str, list[str]] = {}
    waiting: list[type[BaseModel]] = [Common]
    while waiting:
        model = waiting.pop()
        heirs = model.__subclasses__()
        waiting += heirs
        for field in () if heirs else model.model_fields:
            found.setdefault(field, []).append(model.model_fields["kind"].default)
    return {field: sorted(set(kinds), key=KINDS.index) for field, kinds in found.items()}


def options(model: type[BaseModel]) -> dict[str, Option]:
    """Return the options of a model by field name, group by group."""
    found = [
        (name, item)
        for name, field in model.model_fields.items()
        for item in field.metadata
        if isinstance(item, Option)
    ]
    groups = list(Group)
    return dict(sorted(found, key=lambda each: groups.index(each[1].group)))
