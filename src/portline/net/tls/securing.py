"""A client's connection made secure: the handshake, and a look at who has answered."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from portline.errors import NetworkError, PortlineError
from portline.net.address import display
from portline.net.faults import seconds
from portline.net.tls.handshake import Handshake, Turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from portline.net.stream import StreamLink
    from portline.net.tls.contexts import ClientContext, ClientSecurity
    from portline.net.tls.link import TlsLink
    from portline.net.tls.mistrust import TlsFault

    Aside: TypeAlias = Callable[[Callable[[], Any]], Awaitable[Any]]

__all__ = ["secure"]


async def secure(
    loop: asyncio.AbstractEventLoop,
    stream: StreamLink,
    security: ClientSecurity,
    host: str,
    port: int,
    *,
    limit: float,
    aside: Aside = asyncio.to_thread,
    told: Callable[[TlsFault], object] = lambda fault: None,
) -> TlsLink:
    """Return the link that is encrypted over ``stream``, which belongs to it from now on.

    ``host`` and ``port`` are those that were asked for.  Files are read ``aside``, in a thread, and
    each time, so that new ones count.  ``limit`` is in seconds; ``told`` is called with what TLS
    finds wrong, now or later.  Raises NetworkError, with fault and remedy; the stream is closed
    then, or when cancelled.
    """
    address = display(host, port)
    begun = loop.time()
    try:
        async with asyncio.timeout(limit):
            context: ClientContext = await aside(security.load)
        left = max(0.1, limit - (loop.time() - begun))
        link = await _shaken(loop, stream, context, host, left, told)
    except BaseException as error:
        stream.abort()
        if isinstance(error, TimeoutError):
            text = f"the files of its encryption cannot be read within {seconds(limit)} s"
            raise NetworkError(address, text) from None
        if isinstance(error, _Failed):
            told(error.fault)
            raise NetworkError(address, str(error.fault)) from None
        if isinstance(error, PortlineError):
            raise NetworkError(address, str(error)) from None
        raise
    try:
        shown = link.peer_certificate
        async with asyncio.timeout(limit):
            fault: TlsFault | None = await aside(partial(context.judge, address, shown))
    except BaseException as error:
        link.abort()
        if isinstance(error, TimeoutError):
            text = (
                f"the file of known servers cannot be had within {seconds(limit)} s; who locks it?"
            )
            raise NetworkError(address, text) from None
        raise
    if fault is not None:
        told(fault)
        link.finish()
        raise NetworkError(address, str(fault))
    return link


class _Failed(Exception):
    """A handshake has failed."""

    def __init__(self, fault: TlsFault) -> None:
        super().__init__(str(fault))
        self.fault = fault


async def _shaken(
    loop: asyncio.AbstractEventLoop,
    stream: StreamLink,
    context: ClientContext,
    host: str,
    limit: float,
    noted: Callable[[TlsFault], object],
) -> TlsLink:
    """Return the link after the handshake; raises _Failed."""
    outcome: asyncio.Future[TlsLink] = loop.create_future()

    def done(link: TlsLink) -> None:
        if outcome.cancelled():
            link.abort()
        else:
            outcome.set_result(link)

    def failed(_handshake: Handshake, fault: TlsFault) -> None:
        if not outcome.cancelled():
            outcome.set_exception(_Failed(fault))

    handshake = Handshake(
        loop,
        stream,
        context.channel(host),
        certificate=context.certificate,
        limit=limit,
        turns=Turns(loop),
        done=done,
        failed=failed,
        noted=noted,
    )
    handshake.begin()
    try:
        return await outcome
    except asyncio.CancelledError:
        handshake.stop()
        raise
