"""The options of the local side: which port, what is spoken about it, and how its line is set."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel

from portline.config.kinds import Choice, Number, Switch
from portline.config.options import Group, Option
from portline.config.places import Device, ListenAddresses, VirtualName
from portline.config.values import DEFAULT_LISTEN, Address, Protocol
from portline.line import (
    BAUDRATE_MAX,
    BAUDRATE_MIN,
    DATA_BITS,
    FlowControl,
    Parity,
    StopBits,
)
from portline.port.ladder import Adapter, Backend

__all__ = ["ListenOptions", "PortOptions", "ProtocolOptions", "SerialOptions"]

_FLOWS: Final = Choice(
    {item.value: item for item in FlowControl},
    dict.fromkeys(("rtscts", "rts-cts", "rts/cts", "hw", "crtscts"), "hardware")
    | dict.fromkeys(("xonxoff", "xon/xoff", "software", "sw"), "xon-xoff")
    | {"off": "none"},
)


class PortOptions(BaseModel):
    """The local port."""

    port: Annotated[
        str | None,
        Option(
            Group.NETWORK,
            Device(),
            "The real serial port: a device path, also with * (/dev/serial/by-id/*FTDI*), or what "
            "survives renumbering: usb:VENDOR:PRODUCT[:SERIAL[:INTERFACE]] for an adapter, "
            "path:SOCKET for whatever is plugged in there (see `portline ports`)",
        ),
    ] = None
    virtual: Annotated[
        str | None,
        Option(
            Group.NETWORK,
            VirtualName(),
            "The virtual port to make, instead of a real one",
        ),
    ] = None
    backend: Annotated[
        Backend,
        Option(
            Group.NETWORK,
            Choice({item.value: item for item in Backend}),
            "How the virtual port is made: usbip is a USB serial adapter in software, with "
            "everything that a real one has (root, vhci_hcd); cuse is a device of its own (root, "
            "cuse); pty is a pseudo terminal; auto takes the best that is possible without loading "
            "any module",
            "who has loaded the modules means to use them",
        ),
    ] = Backend.AUTO
    adapter: Annotated[
        Adapter,
        Option(
            Group.NETWORK,
            Choice({item.value: item for item in Adapter}),
            "Which USB serial adapter a virtual port of the backend usbip passes for",
            "it alone does every rate and every format",
        ),
    ] = Adapter.PL2303
    overlap: Annotated[
        bool,
        Option(
            Group.NETWORK,
            Switch(),
            "Let the virtual port lie over the existing device of the same name: programs that "
            "open that name get the virtual port, until it ends and the device is back",
            "a device is never hidden by accident",
        ),
    ] = False


class ListenOptions(BaseModel):
    """Where a server is reached."""

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


class ProtocolOptions(BaseModel):
    """What is spoken on the network."""

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


class SerialOptions(BaseModel):
    """Serial port settings."""

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
    strict_baudrate: Annotated[
        bool,
        Option(
            Group.SERIAL,
            Switch(),
            "Pass data of the virtual port in both directions no faster than a real line would, at "
            "the settings that the application has made; what is too fast waits and is not lost",
            "the network is faster than any serial line, and most programs are glad of it",
        ),
    ] = False
