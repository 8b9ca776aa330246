"""Operations about the machine that a Portline runs on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portline.control.operations.operation import Operation, Result
from portline.service.devices import Device, devices
from portline.service.process.aside import aside

if TYPE_CHECKING:
    from portline.control.operations.subject import Subject

__all__ = ["MACHINE", "Ports"]


@dataclass(frozen=True, slots=True)
class Ports(Result):
    """The result of ``ports``: the serial ports of the machine.

    ``connections`` has, by the path of each port that a connection of this process has open, the
    name of the connection.
    """

    ports: list[Device]
    connections: dict[str, str]


async def _ports(subject: Subject) -> Ports:
    """List the serial ports of the machine, how to name each, and who has it; open none."""
    opened = {
        connection.port.path: name
        for name, connection in subject.served.gateway.connections.items()
        if connection.port.path is not None
    }

    def looked() -> tuple[list[Device], dict[str, str]]:
        real = {os.path.realpath(path): name for path, name in opened.items()}
        found = devices()
        paths = {device.path: os.path.realpath(device.path) for device in found}
        return found, {path: real[where] for path, where in paths.items() if where in real}

    return Ports(subject.process, *await aside(looked))


MACHINE: Final = (Operation("ports", (), Ports, _ports, changes=False),)
"""ports."""
