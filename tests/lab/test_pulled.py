"""A real port pulled out under load, again and again, with every byte accounted for."""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from portline.config.models import ServerConnection
from portline.line import LineSettings, SetLine, SetModem
from portline.port.inventory.ports import found_ports
from portline.service.connection import Connection
from portline.service.reception import Reception
from tests.peers import Peer
from tests.usb_double import UsbDouble
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Run

pytestmark = pytest.mark.lab

NAME = "/dev/ttyLAB0"

PULLS = int(os.environ.get("PORTLINE_PULLS", "5"))


class Load:
    """A peer and a device that both send as much as is taken, until it is over."""

    def __init__(self, port: int, dice: random.Random) -> None:
        self.port = port
        self.dice = dice
        self.double: UsbDouble | None = None
        self.over = False
        self.heard = 0
        """Bytes that the peers have heard."""
        self.said = 0
        self.came = 0
        """Peers that have come."""

    async def talk(self) -> None:
        """Be connected whenever that is possible."""
        while not self.over:
            with suppress(OSError), Peer(self.port) as peer:
                self.came += 1
                while not (self.over or peer.end):
                    with suppress(BlockingIOError):
                        self.said += peer.socket.send(bytes(self.dice.randrange(1, 4000)))
                    peer.look()
                    await asyncio.sleep(0.01)
                self.heard += len(await peer.hears_end() if peer.end else await self.rest(peer))
            await asyncio.sleep(0.05)

    async def rest(self, peer: Peer) -> bytes:
        """Return what the peer has heard, once nothing more comes."""
        peer.finish()
        return await peer.hears_end()

    async def speak(self) -> None:
        """Let the device speak while it is there."""
        while not self.over:
            if (double := self.double) is not None and double.port.path is not None:
                with suppress(Exception):  # it is pulled out just now
                    await asyncio.get_running_loop().run_in_executor(
                        None, double.send, bytes(self.dice.randrange(1, 3000))
                    )
            await asyncio.sleep(0.02)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("when_absent", ["keep", "disconnect"])
def test_every_byte_is_accounted_for(run: Run, when_absent: str) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        dice = random.Random(when_absent)
        double = UsbDouble(NAME, "ftdi")
        await loop.run_in_executor(None, double.__enter__)
        [name] = [p.usb.identity for p in found_ports() if p.path == double.node and p.usb]
        config = ServerConnection.model_validate(
            {"port": name, "listen": "127.0.0.1:0", "when-absent": when_absent}
        )
        connection = Connection("meter", config, loop)
        connection.start()
        assert connection.keeper.open, connection.keeper.error
        assert isinstance(connection.network, Reception)
        wanted = LineSettings(baudrate=57600)
        connection.port.submit(SetLine.everything(wanted))
        connection.port.submit(SetModem(rts=False))
        address = connection.network.entrance.listeners[0].address
        load = Load(int(address.rpartition(":")[2]), dice)
        load.double = double
        tasks = [loop.create_task(load.talk()), loop.create_task(load.speak())]
        waits = []
        arrived = 0

        def accounted() -> None:
            port = connection.port
            assert connection.hub.spoken == port.sent + port.discarded + port.queued

        for _ in range(PULLS):
            await until(lambda: connection.hub.peers)
            before = connection.hub.spoken, connection.hub.heard
            await until(
                lambda: connection.hub.spoken > before[0] and connection.hub.heard > before[1]  # noqa: B023
            )
            await asyncio.sleep(dice.uniform(0, 1))
            load.double = None
            await loop.run_in_executor(None, double.__exit__)
            arrived += len(double.received)
            await until(lambda: connection.keeper.error is not None)
            accounted()
            if when_absent == "disconnect":
                await until(lambda: not connection.hub.peers)
            double = UsbDouble(NAME, "ftdi")
            await loop.run_in_executor(None, double.__enter__)
            begun = time.monotonic()
            await until(lambda: connection.keeper.open)
            waits.append(time.monotonic() - begun)
            await until(lambda: double.settings == wanted)  # noqa: B023
            await until(lambda: double.outputs == (True, False))  # noqa: B023
            accounted()
            load.double = double
        load.over = True
        await asyncio.gather(*tasks)
        await until(lambda: not connection.hub.peers)
        accounted()
        hub, port = connection.hub, connection.port
        kept = len(hub.keep) + hub.keep.discarded
        given_up = connection.departures.dropped + hub.unheard
        assert hub.heard == load.heard + kept + given_up
        assert load.said >= hub.spoken
        assert arrived + len(double.received) <= port.sent
        assert load.came == 1 if when_absent == "keep" else load.came > PULLS
        print(
            f"{when_absent}: {PULLS} pulls; open again {statistics.median(waits) * 1e3:.0f} ms "
            f"after it was there ({max(waits) * 1e3:.0f} at most); to the device {hub.spoken} = "
            f"{port.sent} sent + {port.discarded} discarded, from it {hub.heard} = {load.heard} "
            f"heard + {kept} kept + {given_up} given up; {load.came} peers"
        )
        connection.stop(0)
        connection.close()
        await loop.run_in_executor(None, double.__exit__)

    run(scenario())
