"""The addresses on which connections and the page are to listen: whether they can."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Final

from portline.cli.diagnosis.finding import Finding, Weight
from portline.cli.diagnosis.machine import amount
from portline.control.place import Places
from portline.net.address import tcp_holder
from portline.port.inventory.holder import Holder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portline.cli.diagnosis.machine import Listening, Machine

__all__ = ["addresses"]

UNPRIVILEGED: Final = 1024
"""The first TCP port that everybody may listen on, where the kernel says nothing else (tcp(7))."""

UNSEEN: Final = "another program listens there, which this user cannot see"


def addresses(machine: Machine) -> Iterator[Finding]:
    """Find addresses that are taken by another program, are not this machine's, or not allowed."""
    for listening in machine.listening:
        fault, remedy = _fault(machine, listening)
        subject = f"{listening.owner}: listen {listening.address}"
        if fault == UNSEEN and _others(machine):
            text = "another user's program listens there; the Portline that runs for one, perhaps"
            yield Finding(Weight.NOTE, subject, text, "`sudo portline status` shows what it does")
        elif fault:
            yield Finding(Weight.WRONG, subject, fault, remedy)


def _others(machine: Machine) -> bool:
    places = Places(run=machine.run, temporary=machine.temporary, user=machine.user)
    return bool(places.others())


def _fault(machine: Machine, listening: Listening) -> tuple[str, str]:
    first = amount(machine.proc / "sys/net/ipv4/ip_unprivileged_port_start")
    if machine.user and listening.port < (UNPRIVILEGED if first is None else first):
        return (
            f"this user may not listen on TCP ports below {first or UNPRIVILEGED}",
            "choose another one, or AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit",
        )
    number = _refused(listening)
    if number == errno.EADDRNOTAVAIL:
        return "this machine has no such address", "`ip address` lists those that it has"
    if number != errno.EADDRINUSE:
        return "", ""
    holder = tcp_holder(listening.port, machine.proc)
    if holder is None:
        return (
            UNSEEN,
            f"`sudo ss -ltnp sport = :{listening.port}` names it; end it, or choose another port",
        )
    pid = holder.rpartition("(pid ")[2].rstrip(")")
    if pid.isdigit() and Holder(int(pid)).is_portline(machine.proc):
        return "", ""
    return f"{holder} listens there", "end that program, or choose another port"


def _refused(listening: Listening) -> int:
    """Return why the kernel does not give an address away, 0 if it does; nobody is listened to."""
    host = "" if listening.host == "*" else listening.host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with closing(socket.socket(family)) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, listening.port))
    except OSError as error:
        return error.errno if isinstance(error.errno, int) else os.EX_OSERR
    return 0
