"""The server connection, option by option."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, model_validator

from portline.config.delimiters import Delimiters
from portline.config.kinds import Choice, Decimal, Number, Switch
from portline.config.measures import Duration, Size
from portline.config.options import Group, Option
from portline.config.places import Device, ListenAddresses, VirtualName
from portline.config.refusal import collected, refusal
from portline.config.rules import Fault, contradictions, folded
from portline.config.values import Address, Level, Listen, Protocol
from portline.config.wording import quoted
from portline.frame.rules import GATHER_LIMIT
from portline.hub.policy import Overflow, Selection
from portline.line import (
    BAUDRATE_MAX,
    BAUDRATE_MIN,
    DATA_BITS,
    FlowControl,
    LineSettings,
    Parity,
    StopBits,
)

__all__ = ["DEFAULT_LISTEN", "ServerConnection", "options"]

DEFAULT_LISTEN: Final = Address("127.0.0.1", 4001)
"""Where a connection listens that names no address: this machine only, the port of all examples."""

WAIT_MAX: Final = 3600
"""Seconds; an hour is longer than anybody gathers before sending."""

KEEPALIVE_MAX: Final = 32767
"""Seconds; the longest keepalive time that Linux takes (MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL)."""

INACTIVITY_MAX: Final = 30 * 24 * 3600
"""Seconds; 30 days, more than any device keeps silent on purpose."""

CONNECTIONS_MAX: Final = 1000
"""Peers of one connection: what one process serves on one core without falling behind."""

BUFFER_MAX: Final = 64 * 1024**2
"""Bytes; 64 MiB, four minutes of the fastest port, so that a slip cannot eat the memory."""

BACKLOG_MIN: Final = 64 * 1024
"""Bytes; one gathered read of a busy port, below which even a quick peer would lose data."""

_LEVELS: Final = Choice(
    {item.value: item for item in Level},
    {"on": "high", "1": "high", "true": "high", "off": "low", "0": "low", "keep": "leave"},
)
_FLOWS: Final = Choice(
    {item.value: item for item in FlowControl},
    dict.fromkeys(("rtscts", "rts-cts", "rts/cts", "hw", "crtscts"), "hardware")
    | dict.fromkeys(("xonxoff", "xon/xoff", "software", "sw"), "xon-xoff")
    | {"off": "none"},
)
_PEERS: Final = Choice({item.value: item for item in Selection})

_Model = TypeVar("_Model", bound=BaseModel)


class ServerConnection(BaseModel):
    """A local port, real or virtual, that peers reach by connecting to this machine."""

    model_config = ConfigDict(frozen=True)

    kind: Annotated[
        str,
        Option(
            Group.NETWORK,
            Choice({"server": "server"}),
            "What sort of connection this is; a server waits for peers to connect",
        ),
    ] = "server"
    port: Annotated[
        str | None,
        Option(
            Group.NETWORK,
            Device(),
            "The real serial port to share: a device path, /dev/serial/by-id/..., or "
            "usb:VENDOR:PRODUCT[:SERIAL], which survives renumbering",
        ),
    ] = None
    virtual: Annotated[
        str | None,
        Option(
            Group.NETWORK,
            VirtualName(),
            "The virtual port to make and share, instead of a real one",
        ),
    ] = None
    listen: Annotated[
        tuple[Address, ...],
        Option(
            Group.NETWORK,
            ListenAddresses(),
            "Where to listen: PORT (on 127.0.0.1), HOST:PORT, [IPV6]:PORT, or *:PORT for every "
            "address of this machine; raw:// or rfc2217:// before it overrides the protocol",
            "only programs on this machine can connect until you say otherwise",
            many=True,
        ),
    ] = (DEFAULT_LISTEN,)
    protocol: Annotated[
        Protocol,
        Option(
            Group.NETWORK,
            Choice({item.value: item for item in Protocol}),
            "What is spoken to peers: bytes as they are, or Telnet with RFC 2217, which carries "
            "settings and signal lines too",
            "every program that opens a TCP connection understands it",
        ),
    ] = Protocol.RAW

    baudrate: Annotated[
        int,
        Option(
            Group.SERIAL,
            Number(BAUDRATE_MIN, BAUDRATE_MAX, "bit/s"),
            "Bits per second, a standard rate or any other that the hardware does",
            "the commonest rate of devices with an RS-232 plug",
        ),
    ] = 9600
    data_bits: Annotated[
        int,
        Option(
            Group.SERIAL,
            Number(DATA_BITS[0], DATA_BITS[-1], "bits"),
            "Data bits of a character",
            "whole bytes",
        ),
    ] = 8
    parity: Annotated[
        Parity,
        Option(
            Group.SERIAL,
            Choice({item.name.lower(): item for item in Parity}),
            "The parity bit",
            "8N1 is what nearly all devices speak",
        ),
    ] = Parity.NONE
    stop_bits: Annotated[
        StopBits,
        Option(
            Group.SERIAL,
            Choice({item.value: item for item in StopBits}),
            "Stop bits after each character",
            "8N1 is what nearly all devices speak",
        ),
    ] = StopBits.ONE
    flow_control: Annotated[
        FlowControl,
        Option(
            Group.SERIAL,
            _FLOWS,
            "How a receiver holds the sender back: not at all, by characters, or by RTS and CTS",
            "a device without the wires would otherwise stay silent",
        ),
    ] = FlowControl.NONE
    exclusive: Annotated[
        bool,
        Option(
            Group.SERIAL,
            Switch(),
            "Refuse to share the device with other programs on this machine",
            "two readers would each get a part of the data",
        ),
    ] = True

    packet_size: Annotated[
        int,
        Option(
            Group.PACKETS,
            Size(0, GATHER_LIMIT),
            "Gather this many bytes, then send exactly that block; 0 does not gather by size",
            "what the device sends goes on at once",
        ),
    ] = 0
    packet_delimiter: Annotated[
        tuple[bytes, ...],
        Option(
            Group.PACKETS,
            Delimiters(),
            "Gather until the character with this code, or this text, has arrived, then send up to "
            "and including it",
            "what the device sends goes on at once",
            many=True,
        ),
    ] = ()
    packet_strip: Annotated[
        bool,
        Option(
            Group.PACKETS,
            Switch(),
            "Leave the delimiter out of what is sent",
            "bytes are passed as the device sent them",
        ),
    ] = False
    packet_wait: Annotated[
        float,
        Option(
            Group.PACKETS,
            Duration(0.001, WAIT_MAX, "off"),
            "Gather for this long from the first byte, then send all of it as one packet",
            "what the device sends goes on at once",
        ),
    ] = 0.0
    packet_idle: Annotated[
        float,
        Option(
            Group.PACKETS,
            Decimal(0.5, 1000, "character times"),
            "Gather until the line has been quiet for this many characters, then send; 3.5 is what "
            "Modbus RTU asks for",
            "what the device sends goes on at once",
        ),
    ] = 0.0
    packet_pause: Annotated[
        float,
        Option(
            Group.PACKETS,
            Duration(0.001, WAIT_MAX, "off"),
            "After each packet sent to the network, wait this long before the next",
            "the network is faster than any serial line",
        ),
    ] = 0.0

    keepalive: Annotated[
        float,
        Option(
            Group.CONNECTION,
            Duration(1, KEEPALIVE_MAX, "off"),
            "Probe a peer that has been silent for this long",
            "a pulled plug is noticed within half a minute",
        ),
    ] = 10.0
    keepalive_retry: Annotated[
        float,
        Option(
            Group.CONNECTION,
            Duration(1, KEEPALIVE_MAX),
            "Probe again after this long without an answer",
            "one lost packet is forgiven, a dead peer is not kept long",
        ),
    ] = 3.0
    inactivity: Annotated[
        float,
        Option(
            Group.CONNECTION,
            Duration(0.1, INACTIVITY_MAX, "off"),
            "Disconnect a peer after this long without data in either direction",
            "many devices are rightly silent for days",
        ),
    ] = 0.0
    max_connections: Annotated[
        int,
        Option(
            Group.CONNECTION,
            Number(1, CONNECTIONS_MAX, "peers"),
            "How many peers may be connected at the same time",
            "enough for a program, a logger and some people looking on",
        ),
    ] = 8
    open_when_connected: Annotated[
        bool,
        Option(
            Group.CONNECTION,
            Switch(),
            "Open the real port only while at least one peer is connected, so that other programs "
            "can use it meanwhile",
            "faults of the device show at once, and the buffer can collect",
        ),
    ] = False
    listen_when_open: Annotated[
        bool,
        Option(
            Group.CONNECTION,
            Switch(),
            "Listen only while an application has the virtual port open",
            "peers may come before the application does",
        ),
    ] = False

    receive_from: Annotated[
        Selection,
        Option(
            Group.TRANSFER,
            _PEERS,
            "From which peers data is accepted; last-active is the one that last sent something",
            "as if all were wired to the port",
        ),
    ] = Selection.ALL
    send_to: Annotated[
        Selection,
        Option(
            Group.TRANSFER,
            _PEERS,
            "To which peers data of the port is sent",
            "as if all were wired to the port",
        ),
    ] = Selection.ALL
    notify: Annotated[
        bool,
        Option(
            Group.TRANSFER,
            Switch(),
            "Tell peers when settings or signal lines of the local port change",
            "it is what RFC 2217 is for",
        ),
    ] = True
    allow_settings: Annotated[
        bool,
        Option(
            Group.TRANSFER,
            Switch(),
            "Let the peer change baud rate, format and flow control",
            "it is what RFC 2217 is for",
        ),
    ] = True

    buffer_size: Annotated[
        int,
        Option(
            Group.BUFFER,
            Size(0, BUFFER_MAX),
            "Keep this much of what the port delivers while nobody is connected, for the next "
            "peer; 0 keeps nothing",
            "old data surprises more people than it helps",
        ),
    ] = 0
    backlog_size: Annotated[
        int,
        Option(
            Group.BUFFER,
            Size(BACKLOG_MIN, BUFFER_MAX),
            "How far a peer that reads slowly may fall behind the others",
            "20 seconds at 115200 bit/s",
        ),
    ] = 256 * 1024
    overflow: Annotated[
        Overflow,
        Option(
            Group.BUFFER,
            Choice({item.value: item for item in Overflow}),
            "What happens to a peer that fell further behind than that",
            "a slow reader loses old data, which is counted, and never its connection",
        ),
    ] = Overflow.DROP_OLDEST
    nodelay: Annotated[
        bool,
        Option(
            Group.BUFFER,
            Switch(),
            "Send data at once (no Nagle algorithm)",
            "serial protocols wait for short answers",
        ),
    ] = True

    allow_dtr: Annotated[
        bool,
        Option(Group.LINES, Switch(), "Let the peer change DTR", "it is what RFC 2217 is for"),
    ] = True
    allow_rts: Annotated[
        bool,
        Option(Group.LINES, Switch(), "Let the peer change RTS", "it is what RFC 2217 is for"),
    ] = True
    allow_break: Annotated[
        bool,
        Option(Group.LINES, Switch(), "Let the peer send a break", "it is what RFC 2217 is for"),
    ] = True
    dtr_connected: Annotated[
        Level,
        Option(
            Group.LINES,
            _LEVELS,
            "What DTR becomes when the first peer connects",
            "many boards reset when DTR moves",
        ),
    ] = Level.LEAVE
    rts_connected: Annotated[
        Level,
        Option(
            Group.LINES,
            _LEVELS,
            "What RTS becomes when the first peer connects",
            "many boards reset when RTS moves",
        ),
    ] = Level.LEAVE
    dtr_disconnected: Annotated[
        Level,
        Option(
            Group.LINES,
            _LEVELS,
            "What DTR becomes when the last peer has gone",
            "many boards reset when DTR moves",
        ),
    ] = Level.LEAVE
    rts_disconnected: Annotated[
        Level,
        Option(
            Group.LINES,
            _LEVELS,
            "What RTS becomes when the last peer has gone",
            "many boards reset when RTS moves",
        ),
    ] = Level.LEAVE

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
