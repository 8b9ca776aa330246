"""Bounded waiting: conditions instead of sleeps."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

IN_LAB = "PORTLINE_LAB" in os.environ
"""Whether this is the lab's machine (`make lab`), with the kernel that some tests need."""

SLOWNESS = 16.0 if IN_LAB else 1.0
"""What to multiply bounds by: how much slower than others this machine may be."""

LIMIT = 10.0 * SLOWNESS
"""Seconds after which a condition that does not come true fails the test: only a bound."""


async def until(condition: Callable[[], object], limit: float = LIMIT) -> None:
    """Let the loop run until ``condition()`` is true."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    while not condition():
        assert loop.time() < end, f"waited {limit:g} s in vain"
        await asyncio.sleep(0.001)


async def unread(sock: socket.socket) -> None:
    """Wait until something lies in a socket, and the loop has looked for such things and left it.

    For what must not be read: each turn of the loop looks once.
    """
    await until(lambda: _lies(sock))
    for _ in range(3):
        await asyncio.sleep(0)
    assert _lies(sock), "it was read"


def _lies(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return False
