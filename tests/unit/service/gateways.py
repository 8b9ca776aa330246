"""Gateways on memory ports, for tests that use the fixture ``stage``."""

from __future__ import annotations

from portline.config.models import GatewayConfig
from portline.service.gateway import Gateway
from tests.memory import MemoryPort
from tests.peers import Peer


def gateway(**connections: dict[str, object]) -> Gateway:
    """Make a gateway; each connection has a device and listens on any port unless it says more."""
    tables = {
        name: ({} if "virtual" in table else {"port": f"/dev/tty{name}"})
        | {"listen": "127.0.0.1:0"}
        | table
        for name, table in connections.items()
    }
    return Gateway(GatewayConfig.model_validate({"connections": tables}))


def port_of(made: Gateway, name: str = "meter") -> MemoryPort:
    port = made.connections[name].port
    assert isinstance(port, MemoryPort)
    return port


def peer_of(made: Gateway, name: str = "meter", listener: int = 0) -> Peer:
    address = made.connections[name].network.entrance.listeners[listener].address
    return Peer(int(address.rpartition(":")[2]))
