"""A terminal within the process that serves: the operator's end as an asyncio object."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from portline.remote.opening import over

if TYPE_CHECKING:
    from portline.remote.port import RemotePort
    from portline.service.connection import Connection

__all__ = ["open_terminal"]


async def open_terminal(connection: Connection) -> RemotePort:
    """Sit down at a connection: data, settings, lines, break and what happens (``events()``).

    Close what is returned, also where the service stops: it ends then, and so does reading.
    Raises UsageError or PortError where that cannot be now, with the reason.
    """
    admission = await connection.operators.admit()
    ours, theirs = socket.socketpair()
    admission.serve(theirs)
    return await over(asyncio.get_running_loop(), ours, connection.name)
