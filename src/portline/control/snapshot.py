"""What a connection tells about itself as plain values, the same for every face of Portline.

The keys are those of :mod:`portline.service.status`; options have the keys and the values of the
configuration file, so that what is shown could be written there, and None where they do nothing.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING

from portline.config.options import Combination, exclusion, key_of
from portline.config.spelling import known_options, option_values
from portline.line import Parity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portline.config.models import ConnectionConfig
    from portline.service.status import ConnectionStatus

__all__ = ["combinations", "plain", "snapshot"]


def snapshot(status: ConnectionStatus, rates: tuple[float, float] | None) -> dict[str, object]:
    """Return everything about a connection.

    ``rates`` are bytes per second from and to the port.  Numbers of the connection as a whole are
    under ``counters``, in bytes where :class:`ConnectionStatus` does not say otherwise.
    """
    facts = {
        f.name: getattr(status, f.name)
        for f in fields(status)
        if f.name not in ("config", "counts")
    }
    counters = {name: value for name, value in facts.items() if isinstance(value, int)}
    rest = {name: plain(value) for name, value in facts.items() if name not in counters}
    without = _not_applicable(type(status.config), combinations(status.config))
    heard, spoken = (None, None) if rates is None else (round(rate, 1) for rate in rates)
    return {
        **rest,
        "rates": {"heard": heard, "spoken": spoken},
        "counters": counters | dict(status.counts),
        "options": option_values(status.config) | dict.fromkeys(without),
        "not_applicable": without,
    }


def plain(value: object) -> object:
    """Return a value of ours as JSON knows them."""
    match value:
        case Parity():
            return value.name.lower()
        case Enum():
            return value.value
        case tuple() | list():
            return [plain(item) for item in value]
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
        case _:
            return value


def combinations(config: ConnectionConfig) -> frozenset[Combination]:
    """Return what the port and the protocols of a connection make of it."""
    return frozenset(
        Combination.of(virtual=config.is_virtual, protocol=protocol)
        for protocol in config.protocols()
    )


@cache
def _not_applicable(
    model: type[ConnectionConfig], chosen: frozenset[Combination]
) -> Mapping[str, str]:
    """Return the options that do nothing here, each with where they do not apply."""
    reasons = {key_of(field): exclusion(field, chosen) for field in known_options(model)}
    return {key: reason.where for key, reason in reasons.items() if reason is not None}
