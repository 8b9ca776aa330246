"""Puts a control socket beside what is served."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from portline.control.operations.subject import Subject
from portline.control.rates import Rates
from portline.control.server import ControlServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from portline.control.operations.subject import Served

__all__ = ["companion"]


def companion(command: str, file: str | None = None) -> Callable[[Served], ControlServer]:
    """Return what makes the control socket of a Portline, for ``service.process.run``.

    ``command`` is the command that runs, ``file`` the absolute path of what it has read.
    """

    def made(served: Served) -> ControlServer:
        loop = asyncio.get_running_loop()
        rates = Rates(loop, lambda: served.gateway.connections)
        return ControlServer(Subject(served, rates, command, file), loop)

    return made
