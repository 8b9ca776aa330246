"""What is told at the start: a line for each connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portline.service.status import State

if TYPE_CHECKING:
    from portline.service.gateway import Gateway
    from portline.service.status import ConnectionStatus

__all__ = ["announcement"]

_WHERE: Final = {"server": "on ", "client": "to ", "udp": ""}
"""What stands before the places of a kind; those of udp tell themselves."""


def announcement(gateway: Gateway) -> list[str]:
    """Return one line for each connection: what is shared, and where."""
    lines = []
    for status in gateway.status():
        port = status.port
        what = f"{port.name} ({port.path})" if port.path not in (None, port.name) else port.name
        where = f"{_WHERE[status.config.kind]}{', '.join(status.places)}"
        settings = f" {port.settings}" if port.in_use is None else ""
        lines.append(f"{status.name}: {what}{settings} {where}{_trouble(status)}")
        if status.security is not None and status.security.certificate:
            lines.append(f"{status.name}: certificate {status.security.certificate}")
    return lines


def _trouble(status: ConnectionStatus) -> str:
    match status.state:
        case State.WAITING:
            return " - waiting for an application to open it"
        case State.CONNECTING:
            return " - connecting"
        case State.CONNECTED if status.config.kind == "client":
            return " - connected"
        case State.STOPPED if status.reason:
            return f" - stopped: {status.reason}"
        case _:
            return f" - {status.state.value}, trying again" if status.reason else ""
