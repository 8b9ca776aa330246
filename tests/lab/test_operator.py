"""An operator at a virtual port that the kernel makes: an application in a process of its own."""

from __future__ import annotations

import asyncio

import pytest

pytestmark = pytest.mark.lab

from portline.config.models import GatewayConfig  # noqa: E402  # imports cost seconds there
from portline.line import ModemChange  # noqa: E402
from portline.service.gateway import Gateway  # noqa: E402
from portline.service.operator import application  # noqa: E402
from portline.service.operator.terminal import open_terminal  # noqa: E402
from tests.conftest import Run  # noqa: E402
from tests.peers import Asker  # noqa: E402
from tests.waiting import SLOWNESS, until  # noqa: E402


@pytest.mark.parametrize("backend", ["usbip", "cuse"])
def test_settings_and_lines_are_those_of_the_port(
    run: Run, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "BEGIN_LIMIT", application.BEGIN_LIMIT * SLOWNESS)

    async def scenario() -> None:
        table = {"virtual": "/dev/ttyOP", "backend": backend, "protocol": "rfc2217"}
        config = {"connections": {"meter": table | {"listen": "127.0.0.1:0"}}}
        gateway = Gateway(GatewayConfig.model_validate(config))
        gateway.start()
        connection = gateway.connections["meter"]
        await until(lambda: connection.port.path is not None and connection.keeper.open)
        (listener,) = connection.network.entrance.listeners  # type: ignore[attr-defined]
        with Asker(int(listener.address.rpartition(":")[2])) as peer:
            terminal = await open_terminal(connection)
            seen = connection.port.application
            assert seen is not None
            await terminal.set(baudrate=19200, data_bits=7, parity="even")
            assert str(terminal.settings) == "19200-7E1"
            await until(lambda: str(seen.settings) == "19200-7E1")
            await terminal.set_lines(dtr=False, rts=True)
            await until(lambda: (seen.outputs.dsr, seen.outputs.cts) == (False, True))
            terminal.write(b"typed")
            await until(lambda: (peer.look(), bytes(peer.received) == b"typed")[1])
            peer.send(b"answered")
            assert await terminal.read_exactly(8) == b"answered"
            events = terminal.events()
            await peer.agrees()
            before = terminal.lines
            await terminal.set_lines(dtr=True)  # DSR and DCD follow, where nobody tells them
            event = await asyncio.wait_for(anext(events), 10 * SLOWNESS)
            assert isinstance(event, ModemChange)
            assert event.lines != before
            await terminal.close()
            await until(lambda: not seen.there)
        await gateway.stop()
        await until(lambda: not connection.operators.applications)

    run(scenario())
