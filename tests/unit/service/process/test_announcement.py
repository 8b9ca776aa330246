from __future__ import annotations

from pathlib import Path

from portline.config.models import GatewayConfig
from portline.service.gateway import Gateway
from portline.service.process.announcement import announcement
from tests.conftest import Run


def test_each_connection_is_announced_with_what_and_where(run: Run, tmp_path: Path) -> None:
    connections = {
        "scale": {"virtual": str(tmp_path / "ttyV0"), "listen": "127.0.0.1:0"},
        "meter": {"port": str(tmp_path / "ttyUSB0"), "listen": "rfc2217://127.0.0.1:0"},
    }
    config = GatewayConfig.model_validate({"connections": connections})

    async def scenario() -> None:
        gateway = Gateway(config)
        gateway.start()
        scale, meter = announcement(gateway)
        where = [
            each.network.entrance.listeners[0].address for each in gateway.connections.values()
        ]
        assert scale == f"scale: {tmp_path / 'ttyV0'} on {where[0]} (raw)"
        device = tmp_path / "ttyUSB0"
        assert meter == (
            f"meter: {device} 9600-8N1 on {where[1]} (rfc2217) - port absent, trying again"
        )
        await gateway.stop()

    run(scenario())


def test_where_datagrams_go_is_announced(run: Run, tmp_path: Path) -> None:
    table = {"kind": "udp", "virtual": str(tmp_path / "v"), "connect": "127.0.0.1:9"}
    config = GatewayConfig.model_validate({"connections": {"sign": table}})

    async def scenario() -> None:
        gateway = Gateway(config)
        gateway.start()
        assert announcement(gateway) == [f"sign: {tmp_path / 'v'} to 127.0.0.1:9 (udp)"]
        await gateway.stop()

    run(scenario())
