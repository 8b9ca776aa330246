"""What the options of encryption mean to the rooms below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portline.net.tls.contexts import ClientSecurity, ServerSecurity
from portline.net.tls.securing import secure
from portline.service.process.aside import aside

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.config.client import ClientConnection
    from portline.config.server import ServerConnection
    from portline.net.dial import Secure
    from portline.net.stream import StreamLink
    from portline.net.tls.link import TlsLink
    from portline.net.tls.mistrust import TlsFault

__all__ = ["client_security", "secured_by", "server_security"]


def server_security(config: ServerConnection) -> ServerSecurity | None:
    """Return how a server encrypts; None where it does not."""
    if not config.tls:
        return None
    return ServerSecurity(
        certificate=config.certificate or "",
        key=config.key or "",
        client_ca=config.client_ca or "",
        client_crl=config.client_crl or "",
        minimum=config.tls_minimum,
    )


def client_security(config: ClientConnection) -> ClientSecurity | None:
    """Return how a client encrypts and whom it trusts; None where it does not encrypt."""
    if not config.tls:
        return None
    return ClientSecurity(
        ca=config.ca or "",
        fingerprint=config.fingerprint or "",
        name=config.tls_name or "",
        certificate=config.certificate or "",
        key=config.key or "",
        minimum=config.tls_minimum,
        pin=not config.wants_password,  # the login is bound to the certificate, and proves it
    )


def secured_by(
    security: ClientSecurity | None,
    loop: asyncio.AbstractEventLoop,
    told: Callable[[TlsFault], object],
) -> Secure | None:
    """Return what makes the links of a dialer secure; None where they are plain."""
    if security is None:
        return None

    async def made(link: StreamLink, host: str, port: int, limit: float) -> TlsLink:
        return await secure(loop, link, security, host, port, limit=limit, aside=aside, told=told)

    return made
