"""Opening a remote port: ``portline.open``."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from portline.auth.password import Password
from portline.auth.secret import VARIABLE, read_secret
from portline.errors import LoginError, NetworkError, PeerError, UsageError
from portline.line import Item, Query, SetLine, SetModem
from portline.net import tcp
from portline.net.backoff import Backoff
from portline.net.dial import LEAST
from portline.net.login import log_in
from portline.net.lookup import Lookups
from portline.net.proxy import Proxy
from portline.net.reach import reach
from portline.net.stream import StreamLink
from portline.net.tls.certificate import fingerprint_fault
from portline.net.tls.contexts import SYSTEM, ClientSecurity
from portline.net.tls.securing import secure
from portline.remote.place import Place, wanted
from portline.remote.port import RemotePort
from portline.wire.rfc2217 import Rfc2217Wire

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncGenerator, Generator
    from types import TracebackType

    from portline.line import FlowControl, Parity, Request, StopBits
    from portline.net.tls.link import TlsLink

__all__ = ["CONNECT_LIMIT", "Opening", "connect", "open", "over"]

_log = logging.getLogger("portline.remote")

CONNECT_LIMIT: Final = 10.0
"""Seconds for reaching the server and logging in, unless a program says otherwise."""

KEEPALIVE: Final = 10.0
KEEPALIVE_RETRY: Final = 3.0
"""Seconds of silence after which a server is asked whether it lives, and between further tries."""

SIGNATURE: Final = "Portline"

_QUERIES: Final = (
    Item.BAUDRATE,
    Item.DATA_BITS,
    Item.PARITY,
    Item.STOP_BITS,
    Item.FLOW_CONTROL,
    Item.DTR,
    Item.RTS,
    Item.MODEM_LINES,
    Item.SIGNATURE,
)
"""What is asked when a port is opened."""


def open(
    url: str,
    *,
    baudrate: int | None = None,
    data_bits: int | None = None,
    parity: Parity | str | None = None,
    stop_bits: StopBits | str | float | None = None,
    flow_control: FlowControl | str | None = None,
    dtr: bool | None = None,
    rts: bool | None = None,
    proxy: Proxy | str | None = None,
    timeout: float = CONNECT_LIMIT,
    strict: bool = False,
    password: str | None = None,
    password_file: str | None = None,
    ca: str | None = None,
    fingerprint: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
) -> Opening:
    """Open a serial port of another machine: ``rfc2217://host:4001``, or ``raw://host:4001``.

    To be used in an event loop, as ``async with portline.open(...) as port``, ``port = await
    portline.open(...)``, or ``async for port in portline.open(...)``, which opens the port again
    whenever it has been lost (:meth:`Opening.__aiter__`).  What is None stays as the server has it.
    ``proxy`` is a URL (``socks5://...``, ``http://...``), ``timeout`` the seconds for reaching the
    server, with encryption and login.  With ``strict``, a setting that the server does not confirm
    is an error (SettingRefused), not a warning.

    ``password``, or the one in ``password_file`` or in the environment variable PORTLINE_PASSWORD,
    is proved to the server, which has to know it, too; LoginError if it does not, does not ask for
    it, or does not let us in.

    ``rfc2217s://`` and ``raws://`` are encrypted by TLS 1.3.  Trusted is the server whose
    certificate a CA in the file ``ca`` has signed for this host ("system": one that the system
    trusts), or the one with the ``fingerprint`` ("sha256:..."), or else, without a password, the
    one that answers at first, from then on (``known-servers`` in the state folder).  Our own
    ``certificate`` and ``key`` are files, for servers that ask for them.

    Raises UsageError for arguments that cannot be used, NetworkError where the server cannot be
    reached or is not trusted, and PeerError where it does not speak RFC 2217.
    """
    place = Place.parse(url)
    line = wanted(
        baudrate=baudrate,
        data_bits=data_bits,
        parity=parity,
        stop_bits=stop_bits,
        flow_control=flow_control,
    )
    outputs = SetModem(dtr=dtr, rts=rts)
    if place.protocol == "raw" and (line != SetLine() or outputs != SetModem()):
        raise UsageError(f"{place}: raw:// carries no settings; open it as rfc2217://")
    try:
        via = Proxy.parse(proxy) if isinstance(proxy, str) else proxy
    except ValueError as error:
        raise UsageError(f"{place}: {error}") from None
    requests: tuple[Request, ...] = (line, outputs, *map(Query, _QUERIES))
    secret = known_password(str(place), password, password_file)
    security = known_security(
        place, ca=ca, fingerprint=fingerprint, certificate=certificate, key=key
    )
    return Opening(
        place,
        requests,
        proxy=via,
        limit=timeout,
        strict=strict,
        password=secret,
        security=security,
    )


def known_security(place: Place, **given: str | None) -> ClientSecurity | None:
    """Return whom an encrypted connection trusts; None for one that is not encrypted.

    ``given`` are the arguments of ``open`` that are about it.  Raises UsageError for those that
    cannot be used.
    """
    found = {name: text for name, text in given.items() if text is not None}
    if not place.tls:
        if found:
            raise UsageError(
                f"{place}: {', '.join(found)} is about TLS; open it as {place.protocol}s://"
            )
        return None
    if (shown := found.get("fingerprint")) is not None:
        found["fingerprint"] = shown = shown.lower()
        if fault := fingerprint_fault(shown):
            raise UsageError(f"{place}: {fault}")
    if "key" in found and "certificate" not in found:
        raise UsageError(f"{place}: key belongs to a certificate; give that, too")
    for name in ("ca", "certificate", "key"):
        if name in found and found[name] != SYSTEM:
            found[name] = os.path.abspath(os.path.expanduser(found[name]))
    return ClientSecurity(**found)  # type: ignore[arg-type]  # all of them are texts


def known_password(name: str, text: str | None, file: str | None) -> Password | None:
    """Return the password that was given, or the one of the file or of the environment.

    Raises UsageError, with ``name`` for what it is for.
    """
    if text is not None and file is not None:
        raise UsageError(f"{name}: give password or password_file, not both")
    if file is not None:
        path = os.path.abspath(os.path.expanduser(file))
        try:
            return read_secret(path, salted_will_do=False).password
        except ValueError as error:
            raise UsageError(f"{name}: {error}") from None
    try:
        text = os.environ.get(VARIABLE) if text is None else text
        return None if text is None else Password(text)
    except ValueError as error:
        raise UsageError(f"{name}: the password {error}") from None


class Opening:
    """A port that is about to be opened: await it, enter it, or have it again and again."""

    def __init__(self, place: Place, requests: tuple[Request, ...], **options: Any) -> None:
        self._place = place
        self._requests = requests
        self._options = options
        self._port: RemotePort | None = None

    def __await__(self) -> Generator[Any, None, RemotePort]:
        return connect(self._place, *self._requests, **self._options).__await__()

    async def __aenter__(self) -> RemotePort:
        self._port = await self
        return self._port

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._port is not None:
            await self._port.close()

    async def __aiter__(self) -> AsyncGenerator[RemotePort, None]:
        """Yield the port, and for each further round another one for the same, for ever.

        The one before is closed.  While the server cannot be reached or does not serve, it is tried
        again after 0.2 s, then after twice as long each time up to 5 s, with some randomness; that
        is a warning in the log, once, and its end a line at INFO.  Errors that another attempt
        would not mend are raised.
        """
        loop, backoff, told = asyncio.get_running_loop(), Backoff(), ""
        while True:
            try:
                port = await self
            except (NetworkError, PeerError) as error:
                if told != str(error):
                    told = str(error)
                    _log.warning("%s; trying again", error)
            else:
                if told:
                    told = ""
                    _log.info("%s: is open again", port.name)
                begun = loop.time()
                async with port:
                    yield port
                if loop.time() - begun > backoff.highest:
                    backoff.reset()
            await asyncio.sleep(backoff.delay())


async def over(loop: asyncio.AbstractEventLoop, sock: socket.socket, name: str) -> RemotePort:
    """Return the port that is served by RFC 2217 on a socket of this machine, which is ours now.

    PeerError where it is not served there.
    """
    wire = Rfc2217Wire(serves=False, asks=True, signature=SIGNATURE)
    port = RemotePort(loop, StreamLink(loop, sock, name), name, wire)
    try:
        await port.begin(*map(Query, _QUERIES))
    except BaseException:
        port.abort()
        raise
    return port


async def connect(
    place: Place,
    *requests: Request,
    proxy: Proxy | None = None,
    limit: float = CONNECT_LIMIT,
    strict: bool = False,
    password: Password | None = None,
    security: ClientSecurity | None = None,
) -> RemotePort:
    """Return a port to which the requests were made; those that the protocol lacks are left out.

    A ``place`` with TLS is reached by what ``security`` says; pins its certificate without that.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    sock, _ = await reach(loop, Lookups(loop), place.host, place.port, proxy=proxy, limit=limit)
    tcp.configure(sock, nodelay=True, keepalive=KEEPALIVE, retry=KEEPALIVE_RETRY)
    wire = None
    if place.protocol == "rfc2217":
        wire = Rfc2217Wire(serves=False, asks=True, signature=SIGNATURE)
    link: StreamLink | TlsLink = StreamLink(loop, sock, str(place))
    if place.tls:
        trust = ClientSecurity() if security is None else security
        if password is not None:
            trust = replace(trust, pin=False)  # the login is bound to the certificate
        left = max(LEAST, end - loop.time())
        assert isinstance(link, StreamLink)
        link = await secure(loop, link, trust, place.host, place.port, limit=left)
    if password is not None:
        try:
            await log_in(link, password, max(LEAST, end - loop.time()))
        except LoginError as error:
            text = f"{place}: {error.text}"
            raise LoginError(error.reason, text, by_peer=error.by_peer) from None
        link.resume()
    port = RemotePort(loop, link, str(place), wire, strict=strict)
    try:
        await port.begin(*requests)
    except BaseException:
        port.abort()
        raise
    return port
