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
from tests.interop.server import free_port
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
        """The device, while it is there."""
        self.arrived = 0
        """Bytes that have reached devices which have been pulled out."""
        self.over = False
        self.heard = 0
        """Bytes that the peers have heard."""
        self.said = 0
        self.came = 0
        """Peers that have come."""

    async def plug(self) -> UsbDouble:
        """Plug a device in."""
        double = UsbDouble(NAME, "ftdi")
        await asyncio.get_running_loop().run_in_executor(None, double.__enter__)
        self.double = double
        return double

    async def pull(self) -> None:
        """Pull it out, if it is there."""
        double, self.double = self.double, None
        if double is not None:
            await asyncio.get_running_loop().run_in_executor(None, double.__exit__)
            self.arrived += len(double.received)

    async def talk(self) -> None:
        """Be connected whenever that is possible."""
        while not self.over:
            with suppress(OSError), Peer(self.port) as peer:
                self.came += 1
                while not (self.over or peer.end):
                    with suppress(OSError):  # full, or ended, which look() tells
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


def accounted(connection: Connection) -> None:
    """Raise unless all that peers have said is where it should be."""
    port = connection.port
    assert connection.hub.spoken == port.sent + port.discarded + port.queued


async def pulled_often(connection: Connection, load: Load, *, stays: bool) -> list[float]:
    """Pull and plug PULLS times; return how long it took until the port was open again."""
    wanted = LineSettings(baudrate=57600)
    connection.port.submit(SetLine.everything(wanted))
    connection.port.submit(SetModem(rts=False))
    hub, keeper = connection.hub, connection.keeper
    waits = []
    for _ in range(PULLS):
        await until(lambda: hub.peers)
        spoken, heard = hub.spoken, hub.heard
        await until(lambda: hub.spoken > spoken and hub.heard > heard)  # noqa: B023
        await asyncio.sleep(load.dice.uniform(0, 1))
        await load.pull()
        await until(lambda: keeper.error is not None)
        accounted(connection)
        if not stays:
            await until(lambda: not hub.peers)
        double = await load.plug()
        begun = time.monotonic()
        await until(lambda: keeper.open)
        waits.append(time.monotonic() - begun)
        await until(lambda: double.settings == wanted)  # noqa: B023
        await until(lambda: double.outputs == (True, False))  # noqa: B023
        accounted(connection)
    return waits


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("when_absent", ["keep", "disconnect"])
def test_every_byte_is_accounted_for(run: Run, when_absent: str) -> None:
    stays = when_absent == "keep"

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        load = Load(free_port(), random.Random(when_absent))
        node = (await load.plug()).node
        [name] = [found.usb.identity for found in found_ports() if found.path == node and found.usb]
        config = {"port": name, "listen": f"127.0.0.1:{load.port}", "when-absent": when_absent}
        connection = Connection("meter", ServerConnection.model_validate(config), loop)
        hub, port = connection.hub, connection.port
        try:
            connection.start()
            assert connection.keeper.open, connection.keeper.error
            tasks = [loop.create_task(load.talk()), loop.create_task(load.speak())]
            waits = await pulled_often(connection, load, stays=stays)
            load.over = True
            await asyncio.gather(*tasks)
            await until(lambda: not hub.peers)
            accounted(connection)
        finally:
            load.over = True
            connection.stop(0)
            connection.close()
            await load.pull()
        kept = len(hub.keep) + hub.keep.discarded
        given_up = connection.peers.departures.dropped + hub.unheard
        assert hub.heard == load.heard + kept + given_up
        assert load.said >= hub.spoken
        assert load.arrived <= port.sent
        assert load.came == 1 if stays else load.came >= PULLS
        print(
            f"{when_absent}: {PULLS} pulls; open again {statistics.median(waits) * 1e3:.0f} ms "
            f"after it was there ({max(waits) * 1e3:.0f} at most); to the device {hub.spoken} = "
            f"{port.sent} sent + {port.discarded} discarded, from it {hub.heard} = {load.heard} "
            f"heard + {kept} kept + {given_up} given up; {load.came} peers"
        )

    run(scenario())
