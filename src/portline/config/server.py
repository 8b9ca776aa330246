"""The server connection, put together from its groups of options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, model_validator

from portline.config.local import DEFAULT_LISTEN, NetworkOptions, SerialOptions
from portline.config.options import Option
from portline.config.packets import PacketOptions
from portline.config.refusal import collected, refusal
from portline.config.rules import Fault, contradictions, folded
from portline.config.signals import LineOptions
from portline.config.transfer import BufferOptions, ConnectionOptions, TransferOptions
from portline.config.wording import quoted
from portline.line import LineSettings

if TYPE_CHECKING:
    from portline.config.values import Listen

__all__ = ["DEFAULT_LISTEN", "ServerConnection", "options"]

_Model = TypeVar("_Model", bound=BaseModel)


class ServerConnection(
    # Pydantic puts the fields of the last base first, and mistakes are told in the order of fields.
    LineOptions,
    BufferOptions,
    TransferOptions,
    ConnectionOptions,
    PacketOptions,
    SerialOptions,
    NetworkOptions,
):
    """A local port, real or virtual, that peers reach by connecting to this machine."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="wrap")
    @classmethod
    def _with_rules(cls, data: Any, handler: ModelWrapValidatorHandler[_Model]) -> _Model:
        """Add what the rules between options say to what the values say."""
        if not isinstance(data, Mapping):
            if isinstance(data, cls):
                return handler(data)
            raise refusal([Fault((), f"must be a table of options, not {quoted(data)}")])
        table, faults = folded(data, cls.model_fields)
        return collected(table, [*faults, *contradictions(table)], handler)

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

    def listeners(self) -> tuple[Listen, ...]:
        """Return where to listen and what to speak there, in the order of the configuration."""
        return tuple(address.resolved(self.protocol) for address in self.listen)


def options(model: type[BaseModel]) -> dict[str, Option]:
    """Return the options of a model by field name, in order."""
    return {
        name: item
        for name, field in model.model_fields.items()
        for item in field.metadata
        if isinstance(item, Option)
    }
