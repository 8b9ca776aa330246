"""How addresses are written, and who sits on one."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["display", "display_sockaddr", "host_of", "tcp_holder", "udp_holder"]


def display(host: str, port: int) -> str:
    """Write ``127.0.0.1:4001`` or ``[::1]:4001``; an IPv4 address mapped into IPv6 as IPv4."""
    host = host.removeprefix("::ffff:") if "." in host else host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def display_sockaddr(address: Any) -> str:
    """Write what ``getsockname``, ``getpeername`` or ``accept`` return.

    With the interface where an address is only known there: ``[fe80::1%eth0]:4001``.
    """
    if not isinstance(address, tuple):
        return str(address or "unix")
    host, port, *more = address
    scope = more[1] if len(more) > 1 else 0
    return display(f"{host}%{_interface(scope)}" if scope and "%" not in host else host, port)


def _interface(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:  # it has gone
        return str(index)


def host_of(shown: str) -> str:
    """Return the host in what :func:`display_sockaddr` wrote, the same for each of its ports."""
    return shown.rpartition(":")[0] or shown


def tcp_holder(port: int, proc: Path = Path("/proc")) -> str | None:
    """Return "NAME (pid N)" of the program that listens on a TCP port, None if it cannot be seen.

    Reads the kernel's table of listening sockets and then looks for the socket among the
    descriptors of those processes that this user may look into (man 5 proc).
    """
    return _holder(_inodes(port, proc, ("tcp", "tcp6"), "0A"), proc)


def udp_holder(port: int, proc: Path = Path("/proc")) -> str | None:
    """Return "NAME (pid N)" of the program that receives on a UDP port, None if it is not seen."""
    return _holder(_inodes(port, proc, ("udp", "udp6"), "07"), proc)


def _holder(inodes: set[str], proc: Path) -> str | None:
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in proc.iterdir():
        if not process.name.isdigit():
            continue
        with suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                if str(descriptor.readlink()) in wanted:
                    name = (process / "comm").read_text().strip()
                    return f"{name} (pid {process.name})"
    return None


def _inodes(port: int, proc: Path, tables: tuple[str, ...], state: str) -> set[str]:
    inodes = set()
    for table in tables:
        with suppress(OSError):
            for line in (proc / "net" / table).read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == state and int(words[1].rpartition(":")[2], 16) == port:
                    inodes.add(words[9])
    return inodes
