"""Portline shares serial ports over a network and brings remote ones home.

The public names are loaded when they are first used (PEP 562), so that ``import portline`` and the
pure rooms below it - ``portline.wire``, ``portline.hub``, ``portline.line`` - stay light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from portline.config.document import load as load_config
    from portline.config.models import (
        ClientConnection,
        GatewayConfig,
        ServerConnection,
        UdpConnection,
    )
    from portline.errors import (
        ConfigError,
        NetworkError,
        PeerError,
        PortError,
        PortlineError,
        SettingRefused,
        UsageError,
    )
    from portline.line import FlowControl, LineSettings, ModemLines, Parity, StopBits
    from portline.remote.opening import open
    from portline.remote.port import RemotePort
    from portline.service.gateway import Gateway
    from portline.service.status import ConnectionStatus

__all__ = [
    "ClientConnection",
    "ConfigError",
    "ConnectionStatus",
    "FlowControl",
    "Gateway",
    "GatewayConfig",
    "LineSettings",
    "ModemLines",
    "NetworkError",
    "Parity",
    "PeerError",
    "PortError",
    "PortlineError",
    "RemotePort",
    "ServerConnection",
    "SettingRefused",
    "StopBits",
    "UdpConnection",
    "UsageError",
    "__version__",
    "load_config",
    "open",
]

__version__ = "0.1.0"

_HOMES = {
    "ClientConnection": "portline.config.models",
    "ConfigError": "portline.errors",
    "ConnectionStatus": "portline.service.status",
    "FlowControl": "portline.line",
    "Gateway": "portline.service.gateway",
    "GatewayConfig": "portline.config.models",
    "LineSettings": "portline.line",
    "ModemLines": "portline.line",
    "NetworkError": "portline.errors",
    "Parity": "portline.line",
    "PeerError": "portline.errors",
    "PortError": "portline.errors",
    "PortlineError": "portline.errors",
    "RemotePort": "portline.remote.port",
    "ServerConnection": "portline.config.models",
    "SettingRefused": "portline.errors",
    "StopBits": "portline.line",
    "UdpConnection": "portline.config.models",
    "UsageError": "portline.errors",
    "open": "portline.remote.opening",
}


def __getattr__(name: str) -> Any:
    if name == "load_config":
        return import_module("portline.config.document").load
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'portline' has no attribute {name!r}")
