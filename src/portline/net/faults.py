"""What is wrong with a host name, or with an address of this machine, and what to do about it."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from portline.net.address import tcp_holder, udp_holder

if TYPE_CHECKING:
    from typing import Literal

__all__ = ["address_fault", "name_fault", "seconds"]


def seconds(limit: float) -> str:
    """Write a limit as people mean it: what is left of 5 s after a millisecond is 5, not 4.999."""
    return f"{limit:.2g}" if limit < 1 else f"{round(limit, 1):g}"


def name_fault(error: OSError | ValueError) -> str | None:
    """Say why a look-up found nothing; None where the name is not the reason."""
    match error:
        case socket.gaierror():
            return f"the host name is not known ({error.strerror}); check its spelling, or the DNS"
        case ValueError():
            return "this cannot be the name of a host; check its spelling"
        case _:
            return None


def address_fault(error: OSError | ValueError, port: int, transport: Literal["TCP", "UDP"]) -> str:
    """Say why an address cannot be listened on; takes some milliseconds to find who holds it."""
    if (text := name_fault(error)) is not None:
        return text
    if isinstance(error, TimeoutError):
        return "no name server answers; check the DNS"
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            holder = None
            with suppress(OSError):
                holder = tcp_holder(port) if transport == "TCP" else udp_holder(port)
            by = f"by {holder}" if holder else "by another program"
            return f"the {transport} port is in use {by}; stop it or choose another port"
        case errno.EACCES:
            return (
                "not permitted: ports below 1024 need root or CAP_NET_BIND_SERVICE; "
                "choose a port from 1024 up"
            )
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address; choose one of its own, or * for all"
        case errno.ENODEV if _says(error) == os.strerror(errno.ENODEV):
            return "no way to this group; name the interface with `interface`"
        case _:
            return _says(error)


def _says(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)
