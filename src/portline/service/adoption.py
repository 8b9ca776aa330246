"""Gives a connection that runs another configuration of the same local port.

Everything that a configuration decides in the parts of a connection is put there again; a test
compares the outcome with a connection that has begun with it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from portline.config.packets import PacketOptions
from portline.config.signals import LineOptions
from portline.net import tcp
from portline.service.making import make_permissions

if TYPE_CHECKING:
    from collections.abc import Container

    from portline.config.models import ConnectionConfig
    from portline.line import LineSettings, PortState
    from portline.service.connection import Connection

__all__ = ["adopt"]

PACKETS: Final = tuple(PacketOptions.model_fields)
"""The options that rule packets: what is gathered under the old ones is sent when they change."""

LINES: Final = tuple(LineOptions.model_fields)

SETTINGS: Final = ("baudrate", "data_bits", "parity", "stop_bits", "flow_control")
"""The options that are put in force at the port when they change."""


def adopt(
    connection: Connection, name: str, config: ConnectionConfig, fields: Container[str]
) -> None:
    """Let a connection go on as ``name`` with ``config``; its peers stay.

    ``fields`` are the options that differ.  What becomes of a newcomer holds for newcomers:
    nobody who is in is sent away, except by a protocol that is not offered any more.
    """
    connection.name, connection.config = name, config
    connection.log.extra = {"connection": name}
    _apply_policies(connection, config)
    if any(field in fields for field in PACKETS):
        connection.repack()
    for session in connection.hub.peers:
        connection.peers.set_link(session.link)
        session.outbox.limit = config.backlog_size
    if any(field in fields for field in SETTINGS):
        asked = config.line_settings()
        connection.configured.clear()
        connection.port.configure(asked, partial(_configured, connection, asked))
        connection.keeper.hurry()
    if any(field in fields for field in LINES):
        connection.news.unreadable_lines(config)
        if connection.keeper.open:
            connection.news.missing_lines(config, connection.port)
    if "connect" in fields or "listen" in fields:
        connection.news.unheard_groups(config)
    if "open" in fields or "listen" in fields:
        connection.news.open_doors(config)
    connection.tenancy.adopt(config)
    connection.network.adopt(name, config, wanted=connection.network_wanted)
    connection.refresh()


def _apply_policies(connection: Connection, config: ConnectionConfig) -> None:
    hub, sweep = connection.hub, connection.sweep
    hub.choose(receive_from=config.receive_from, send_to=config.send_to)
    hub.keep.resize(config.buffer_size, config.buffer_overflow)
    connection.requests.permissions = make_permissions(config)
    connection.pace.overflow = config.overflow
    sweep.silence = tcp.death_time(config.keepalive, config.keepalive_retry)
    sweep.inactivity = config.inactivity


def _configured(connection: Connection, asked: LineSettings, state: PortState) -> None:
    """Tell when the device does not take what the new configuration wants."""
    connection.time_packets(state.settings)
    connection.unlike = ""
    if asked == connection.config.line_settings():
        connection.configured.set()
    if state.settings != asked:
        unlike = f"the device does not do {asked}; it stays at {state.settings}"
        connection.log.warning("%s: %s", connection.port.name, unlike)
        connection.unlike = f"{unlike}; edit the settings, or it will not open the next time"
