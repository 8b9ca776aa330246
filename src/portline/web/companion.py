"""Puts a page beside the control socket of what is served."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from portline.web.page import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from portline.control.server import ControlServer
    from portline.service.process.run import Service
    from portline.web.credentials import Credentials

__all__ = ["with_page"]


def with_page(
    companion: Callable[[Service], ControlServer],
    *,
    told: Callable[[list[str]], object],
    credentials: Credentials | None = None,
    key: bool = False,
) -> Callable[[Service], AbstractContextManager[object]]:
    """Return what makes both, for ``service.process.run``; for the rest see :class:`Page`.

    There is a page while the configuration has one.
    """

    @contextmanager
    def made(service: Service) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        with companion(service) as control:
            page = Page(
                control.subject,
                service.gateway.config.web,
                loop,
                credentials=credentials,
                told=told,
                key=key,
            )
            service.followers.append(page.adopt)
            control.subject.pages.append(page.status)
            try:
                with page:
                    yield
            finally:
                control.subject.pages.remove(page.status)
                service.followers.remove(page.adopt)

    return made
