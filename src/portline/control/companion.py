"""Puts a control socket beside a gateway that is to be served."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from portline.control.operations import Service
from portline.control.rates import Rates
from portline.control.server import ControlServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from portline.service.gateway import Gateway

__all__ = ["companion"]


def companion(
    command: str,
    file: str | None = None,
    reload: Callable[[Gateway], list[str]] | None = None,
) -> Callable[[Gateway], ControlServer]:
    """Return what makes the control socket of a gateway, for :func:`portline.service.run.serve`.

    ``command`` is the command that runs, ``file`` the absolute path of what it has read, and
    ``reload`` reads that again and puts it in force; see :class:`Service`.
    """

    def made(gateway: Gateway) -> ControlServer:
        loop = asyncio.get_running_loop()
        service = Service(
            gateway=gateway,
            rates=Rates(loop, lambda: gateway.connections),
            command=command,
            file=file,
            reload=None if reload is None else partial(reload, gateway),
        )
        return ControlServer(service, loop)

    return made
