"""Makes the parts of a connection from its configuration: port, network side, a wire per peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import portline
from portline.config.models import ClientConnection, UdpConnection
from portline.frame.rules import Packetizer
from portline.hub.policy import Permissions
from portline.wire.base import RawWire

if TYPE_CHECKING:
    import asyncio
    import logging
    from collections.abc import Callable, Sequence

    from portline.config.models import ConnectionConfig
    from portline.net.link import Link
    from portline.port.base import PortOwner, SerialPort
    from portline.port.tty.features import Features
    from portline.service.network.base import NetworkSide
    from portline.service.news import News
    from portline.service.peer.session import Session
    from portline.service.process.store import Store
    from portline.wire.base import Wire

__all__ = [
    "make_features",
    "make_network",
    "make_packetizer",
    "make_permissions",
    "make_port",
    "make_wire",
]


def make_port(
    config: ConnectionConfig,
    *,
    owner: PortOwner,
    loop: asyncio.AbstractEventLoop,
    log: logging.LoggerAdapter[logging.Logger],
    store: Store | None = None,
) -> SerialPort:
    """Return the local port that a connection is about, not yet open.

    In ``store`` may be what a process before this one has left of a virtual one.
    """
    if config.virtual is not None:
        from portline.port.ladder import Wish, choose

        wish = Wish(config.virtual, config.adapter, config.overlap, config.strict_baudrate)
        choice = choose(config.backend, config.adapter)
        shelf = None if store is None else store.shelf(config.virtual)
        log.info("backend=%s (%s)", choice.rung.backend.value, choice.why)
        return choice.rung.make(wish, owner, loop, shelf)
    from portline.port.tty.port import PosixPort

    assert config.port is not None
    return PosixPort(
        config.port,
        config.line_settings(),
        owner=owner,
        loop=loop,
        exclusive=config.exclusive,
        features=make_features(config),
    )


def make_network(
    name: str,
    config: ConnectionConfig,
    *,
    loop: asyncio.AbstractEventLoop,
    peers: Callable[[], Sequence[Session]],
    moved: Callable[[], int],
    enter: Callable[[Link, str], Session],
    news: News,
    log: logging.LoggerAdapter[logging.Logger],
) -> NetworkSide:
    """Return the network side for this kind of connection, not yet open.

    ``peers`` returns those who are in, ``moved`` how many bytes the device has taken; ``enter``
    makes a peer of a link.
    """
    if isinstance(config, UdpConnection):
        from portline.service.network.datagrams import Datagrams

        return Datagrams(config, loop=loop, log=log, enter=enter, changed=news.endpoint_changed)
    if isinstance(config, ClientConnection):
        from portline.service.network.calling import Calling

        return Calling(config, loop=loop, enter=enter, changed=news.dialer_changed)
    from portline.service.network.reception import Reception

    return Reception(
        name,
        config,
        loop=loop,
        peers=peers,
        moved=moved,
        log=log,
        enter=enter,
        changed=news.listener_changed,
    )


def make_features(config: ConnectionConfig) -> Features:
    """Return what the driver of a real port is to do."""
    from portline.port.tty.features import Features
    from portline.port.tty.rs485 import Rs485, Rs485Mode

    if config.rs485 is Rs485Mode.OFF:
        return Features(low_latency=config.low_latency)
    rs485 = Rs485(
        mode=config.rs485,
        rts_on_send=config.rs485_rts_on_send,
        before=config.rs485_delay_before,
        after=config.rs485_delay_after,
        rx_during_tx=config.rs485_rx_during_tx,
    )
    return Features(rs485, low_latency=config.low_latency)


def make_wire(protocol: str, name: str, config: ConnectionConfig) -> Wire:
    """Return the protocol for one new peer.

    The side with the real port is the access server; the one with the virtual port asks, and
    serves a peer that asks too (two virtual ports are a null modem cable).
    """
    if protocol != "rfc2217":  # raw, or datagrams
        return RawWire()
    from portline.wire.rfc2217 import Rfc2217Wire

    return Rfc2217Wire(
        serves=True,
        asks=config.virtual is not None,
        signature=f"Portline {portline.__version__} {name}",
    )


def make_permissions(config: ConnectionConfig) -> Permissions:
    """Return what a controlling peer may do."""
    return Permissions(
        settings=config.allow_settings,
        dtr=config.allow_dtr,
        rts=config.allow_rts,
        send_break=config.allow_break,
    )


def make_packetizer(config: ConnectionConfig) -> Packetizer | None:
    """Return the packet rules; None where every chunk goes on at once, and costs nothing."""
    rules = (
        config.packet_size,
        config.packet_delimiter,
        config.packet_wait,
        config.packet_idle,
        config.packet_pause,
    )
    if not any(rules):
        return None
    return Packetizer(
        pause=config.packet_pause,
        wait=config.packet_wait,
        idle=config.packet_idle * config.line_settings().character_time,
        block=config.packet_size,
        delimiters=config.packet_delimiter,
        strip=config.packet_strip,
    )
