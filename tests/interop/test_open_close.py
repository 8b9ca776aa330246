"""An application opens and closes its port at random: the remote one has what the last open asked.

Each word that it writes arrives at a device that already has the settings it was written with,
whatever happened before: opens that were over at once, and a network that was gone meanwhile.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from tests.interop.device import PATIENCE, Device
from tests.interop.pair import SPEEDS, Client, eventually, open_port, set_port
from tests.interop.server import SUT
from tests.interop.test_network_loss import RETRY, Relay

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.server import Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SUT != "portline", reason="the client is Portline's"),
    pytest.mark.timeout(120),
]

Wanted = tuple[int, bool]


def in_force(device: Device) -> Wanted:
    now = device.in_force()
    return now.baudrate, now.stop_size == 2


class Application:
    """Opens the port and changes it; ``wanted`` is what it asked for last."""

    def __init__(self, client: Client, dice: random.Random) -> None:
        self.client = client
        self.dice = dice
        self.wanted: Wanted = (9600, False)
        self.port = -1

    def opens(self) -> None:
        self.closes()
        self.wanted = self._any()
        self.port = open_port(self.client.path, self.wanted[0], two_stops=self.wanted[1])

    def changes(self) -> None:
        if self.port < 0:
            self.opens()
        self.wanted = self._any()
        set_port(self.port, self.wanted[0], two_stops=self.wanted[1])

    def closes(self) -> None:
        if self.port >= 0:
            os.close(self.port)
            self.port = -1

    def writes(self, word: bytes) -> None:
        if self.port < 0:
            self.opens()
        os.write(self.port, word)

    def _any(self) -> Wanted:
        return self.dice.choice(list(SPEEDS)), self.dice.random() < 0.5


@pytest.mark.parametrize(
    "turns",
    [pytest.param(60, marks=pytest.mark.covered), pytest.param(200, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("options", [[], ["--connect-when-open"]], ids=["", "when open"])
def test_the_last_open_counts(
    device: Device,
    share: Callable[..., Server],
    attach: Callable[..., Client],
    options: list[str],
    turns: int,
) -> None:
    dice = random.Random(f"open {options} {turns}")
    server = share()
    relay = Relay(server.port, dice, one_peer=True)
    client = attach(relay.port, "rfc2217", *RETRY, *options)
    application = Application(client, dice)
    losses = 0
    try:
        for turn in range(turns):
            for _ in range(dice.randrange(4)):
                dice.choice((application.opens, application.changes, application.closes))()
            lost = turn % 6 == 5 and application.port >= 0
            before = client.connections
            if lost:
                relay.cut(dice.choice(("closes", "refuses")))
                losses += 1
            word = b"<%d>" % turn
            application.writes(word)
            assert device.read(len(word)) == word, client.errors()
            if lost:
                # The word may have gone before; then the server has put its own settings back.
                client.connected(before + 1)
                eventually(lambda: in_force(device) == application.wanted, client.errors())
            assert in_force(device) == application.wanted, f"{turn}: {client.errors()[-3000:]}"
            if dice.random() < 0.3:
                application.changes()
                eventually(
                    lambda: in_force(device) == application.wanted,
                    f"{in_force(device)} is not {application.wanted}",
                )
        assert losses > turns // 20
    finally:
        application.closes()
        relay.stop()


def test_every_open_is_a_connection_when_that_is_wanted(
    device: Device, share: Callable[..., Server], attach: Callable[..., Client]
) -> None:
    """The server is free as long as no application has the port open."""
    server = share("rfc2217", "-v")
    client = attach(server.port, "rfc2217", *RETRY, "--connect-when-open")
    for turn in range(1, 3):
        port = open_port(client.path, 19200)
        client.connected(turn)
        os.write(port, b"word")
        assert device.read(4) == b"word"
        assert device.in_force().baudrate == 19200
        os.close(port)
        client._wait(
            lambda turn=turn: client.errors().count("peer gone") == turn, "it stays connected"
        )
        # Nobody is connected, so the server's own settings are in force again.
        eventually(lambda: device.in_force().baudrate == 9600, "the server keeps it", PATIENCE)
