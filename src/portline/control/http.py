"""The way to a running Portline over HTTP, as :mod:`portline.control.client` by its socket; blocks.

::

    from portline.control.http import Client

    gateway = Client("https://gateway.example:8217", token, fingerprint="sha256:...")
    for connection in gateway.ask("status")["connections"]:
        print(connection["name"], connection["state"])
    with gateway.stream("events") as events:
        for event in events:
            print(event["text"])
"""

from __future__ import annotations

import http.client
import socket
import ssl
from contextlib import contextmanager, suppress
from threading import Timer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, urlencode, urlsplit

from pydantic_core import from_json, to_json

from portline.config.values import Address
from portline.control.eventstream import EventStream
from portline.control.operations.table import OPERATIONS
from portline.control.way import ANSWER_MAX, TIME_LIMIT
from portline.errors import ChangedMeanwhile, ConfigError, PortlineError, UsageError
from portline.net.tls.certificate import fingerprint_fault
from portline.net.tls.contexts import SYSTEM, ClientSecurity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from portline.control.operations.operation import Operation
    from portline.net.tls.contexts import ClientContext

__all__ = ["CONNECT_LIMIT", "ERROR_MAX", "Client", "method_of"]

CONNECT_LIMIT: Final = 10.0
"""Seconds until each address of the host has taken the connection, as for any port that is called;
the resolver has limits of its own."""

ERROR_MAX: Final = 1024 * 1024
"""Bytes of an answer that tells an error: every mistake of a long configuration."""

_PORTS: Final = {"http": 80, "https": 443}


def method_of(operation: Operation) -> str:
    """Return the method of HTTP by which an operation is asked for.

    A table has no place in an address, so a question with one is a POST, too.
    """
    tables = any(each.schema.get("type") == "object" for each in operation.parameters)
    return "POST" if operation.changes or tables else "GET"


class Client:
    """A running Portline at ``url`` that knows ``token`` (``portline token NAME``).

    With https its certificate has to be one of a CA that the system trusts, or of a CA in the file
    ``ca``, for that name, or the one with the ``fingerprint`` ("sha256:..."), which `portline serve
    --web` shows.  Without it the token and all else can be read on the way, so http:// leads beyond
    this machine only where ``trusted`` says that the network may see that.  An answer has ``limit``
    seconds.  Raises UsageError for arguments that cannot be used.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        ca: str | None = None,
        fingerprint: str | None = None,
        trusted: bool = False,
        limit: float = TIME_LIMIT,
    ) -> None:
        self._host, self._port, self.url = _place(url)
        secure = self.url.startswith("https:")
        if fingerprint is not None and (fault := fingerprint_fault(fingerprint.lower())):
            raise UsageError(f"{self.url}: {fault}")
        if not secure and (ca or fingerprint):
            raise UsageError(f"{self.url}: ca and fingerprint are about TLS; write https://")
        if not (secure or trusted or Address(self._host, self._port).is_loopback):
            raise UsageError(
                f"{self.url}: everybody on the way could read the token; write https:// (tls = "
                "true in [web] there), go through SSH (ssh -L), or say that the network is trusted "
                "(--trusted)"
            )
        if not (token.isascii() and token.isprintable() and token) or " " in token:
            raise UsageError(f"{self.url}: a token is one word, as `portline token NAME` prints it")
        self._context = _context(self.url, ca, fingerprint) if secure else None
        self._token = token
        self._limit = limit

    def __str__(self) -> str:
        """Write the URL."""
        return self.url

    def ask(
        self,
        operation: str,
        parameters: Mapping[str, object] | None = None,
        *,
        limit: float | None = None,
    ) -> Any:
        """Return the result of an operation, as JSON has it.

        Raises ConfigError for mistakes of a configuration, UsageError for a request that was wrong,
        and PortlineError for any other error, also when nobody can be reached there.
        """
        request = _request(operation, parameters or {})
        with _Call(self._limit if limit is None else limit) as call, self._told(call):
            self._connect(call)
            answer = self._answer(call, *request)
            body = answer.read(ANSWER_MAX + 1)
            if len(body) > ANSWER_MAX:
                raise PortlineError(f"{self.url}: the answer has more than {ANSWER_MAX} bytes")
            if answer.length:
                raise http.client.IncompleteRead(body, answer.length)
        return self._json(body)

    def stream(self, operation: str, parameters: Mapping[str, object] | None = None) -> EventStream:
        """Return what an operation goes on telling; raises what :meth:`ask` does."""
        request = _request(operation, parameters or {})
        call = _Call(self._limit)
        try:
            with self._told(call):
                self._connect(call)
                answer = self._answer(call, *request)
                stream = EventStream(self.url, answer, call.close)
        except BaseException:
            call.close()
            raise
        stream.begin(call.unbound())
        return stream

    def _connect(self, call: _Call) -> None:
        """Connect, and say nothing secret before it is known to whom."""
        wait = min(CONNECT_LIMIT, call.limit)
        try:
            sock = socket.create_connection((self._host, self._port), wait)
        except TimeoutError:
            raise PortlineError(
                f"{self.url}: cannot be reached within {wait:g} s; check the address, and the "
                "firewalls on the way"
            ) from None
        call.begins(self._host, self._port, sock, self._context)
        if self._context is None:
            return
        assert isinstance(call.sock, ssl.SSLSocket)
        shown = call.sock.getpeercert(binary_form=True) or b""
        fault = self._context.judge(f"{self._host}:{self._port}", shown)
        if fault is not None:
            raise PortlineError(f"{self.url}: {fault}")

    def _answer(
        self, call: _Call, method: str, path: str, body: bytes | None
    ) -> http.client.HTTPResponse:
        """Return a successful answer whose body has not been read."""
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "*/*"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        call.connection.request(method, path, body, headers)
        call.answer = answer = call.connection.getresponse()
        if answer.status != 200:
            raise self._error(answer.status, answer.read(ERROR_MAX))
        return answer

    @contextmanager
    def _told(self, call: _Call) -> Iterator[None]:
        """Make errors of what is done of those of the network."""
        late = f"{self.url}: no answer within {call.limit:g} s"
        try:
            yield
        except (OSError, http.client.HTTPException, ValueError, PortlineError) as error:
            # Where it was cut off, what was read so far looks like a wrong answer.
            if call.late or isinstance(error, TimeoutError):
                raise PortlineError(late) from error
            if isinstance(error, PortlineError):
                raise
            raise PortlineError(f"{self.url}: {_fault(error)}") from error
        if call.late:
            raise PortlineError(late)

    def _json(self, body: bytes) -> Any:
        try:
            found = from_json(body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise PortlineError(f"{self.url}: {NO_PORTLINE}")
        return found

    def _error(self, status: int, body: bytes) -> PortlineError:
        """Return the error that a problem tells of (RFC 9457)."""
        if status == 400 and b"write https://" in body:  # as an encrypted page answers, for people
            return PortlineError(f"{self.url}: it is encrypted there; does it want https://?")
        try:
            problem = from_json(body)
        except ValueError:
            problem = None
        match problem:
            case {"errors": [_, *_] as errors, "mistakes": list(mistakes), **rest}:
                lines = [" ".join(str(each).split()) for each in errors]
            case _:
                return PortlineError(f"{self.url}: {NO_PORTLINE} (it answers {status})")
        if status == 422 or (status == 409 and mistakes):
            faults = [
                (str(each.get("option")), str(each.get("text")))
                for each in mistakes
                if isinstance(each, dict)
            ]
            return (ConfigError if status == 422 else ChangedMeanwhile)(lines, faults)
        match status:
            case 400 | 404 | 409:
                text = "\n".join(lines)
                wrong = rest.get("usage") is True or status != 409
                return UsageError(text) if wrong else PortlineError(text)
            case 401:
                return PortlineError(f"{self.url}: the token is refused: {lines[0]}")
            case _:
                return PortlineError(f"{self.url}: {lines[0]}")


NO_PORTLINE: Final = (
    "what answers there is no Portline, or one of another version; check host and port"
)


class _Call:
    """A connection for one request, within ``limit`` seconds from the first byte on; by ``with``.

    Whatever it waits for then, and however slowly it is fed, it is cut off.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.late = False
        self.sock: socket.socket | None = None
        self.connection: http.client.HTTPConnection
        self.answer: http.client.HTTPResponse | None = None
        self._timer: Timer | None = None

    def __enter__(self) -> _Call:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def begins(
        self, host: str, port: int, sock: socket.socket, context: ClientContext | None
    ) -> None:
        """Take a connected socket over; encrypt it if there is a context."""
        self.sock = sock
        if context is not None:
            self.sock = context.context.wrap_socket(
                sock, server_hostname=host, do_handshake_on_connect=False
            )
        self.sock.settimeout(self.limit)
        self._timer = Timer(self.limit, self._end)
        self._timer.daemon = True
        self._timer.start()
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.do_handshake()
        self.connection = http.client.HTTPConnection(host, port)
        self.connection.sock = self.sock

    def unbound(self) -> socket.socket:
        """Return the socket, which may take its time from now on."""
        assert self.sock is not None
        if self._timer is not None:
            self._timer.cancel()
        return self.sock

    def _end(self) -> None:
        self.late = True
        if self.sock is not None:
            with suppress(OSError):
                # That of an SSLSocket takes its state away from who waits in it.
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up.  May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
        if self.answer is not None:  # it keeps the socket open
            self.answer.close()
        if self.sock is not None:
            self.sock.close()


def _place(url: str) -> tuple[str, int, str]:
    """Return host, port and the URL without anything else.  Raises UsageError."""
    wrong = f"{url!r} is no address of a page like https://gateway.example:8217"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError(wrong) from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise UsageError(wrong)
    if "@" in parts.netloc:
        raise UsageError("a URL with a name or a password may be seen by others; leave it out")
    if parts.path.strip("/") or parts.query or parts.fragment:
        root = SplitResult(parts.scheme, parts.netloc, "", "", "").geturl()
        raise UsageError(f"{url}: a page has an address of its own; write {root}")
    return parts.hostname, port or _PORTS[parts.scheme], f"{parts.scheme}://{parts.netloc}"


def _context(url: str, ca: str | None, fingerprint: str | None) -> ClientContext:
    # A fingerprint says more than any CA and name.  A proxy before a page may know TLS 1.2 only.
    trusted = "" if fingerprint else ca or SYSTEM
    security = ClientSecurity(
        ca=trusted, fingerprint=(fingerprint or "").lower(), minimum="1.2", pin=False
    )
    try:
        return security.load()
    except PortlineError as error:
        raise UsageError(f"{url}: {error}") from None


def _request(name: str, parameters: Mapping[str, object]) -> tuple[str, str, bytes | None]:
    """Return the method, the path with its query, and the body of a request for an operation."""
    operation = OPERATIONS.get(name)
    if operation is None or operation.local:
        known = ", ".join(each.name for each in OPERATIONS.values() if not each.local)
        raise UsageError(f"no operation {name!r} over HTTP; there are: {known}")
    path = f"/api/{name}"
    if method_of(operation) == "POST":
        return "POST", path, to_json(dict(parameters))
    pairs = [(key, each) for key, value in parameters.items() for each in _texts(value)]
    return "GET", f"{path}?{urlencode(pairs)}" if pairs else path, None


def _texts(value: object) -> list[str]:
    """Return how a parameter stands in an address; a list is repeated."""
    match value:
        case list() | tuple():
            return [str(each) for each in value]
        case str():
            return [value]
        case _:
            return [to_json(value).decode()]


def _fault(error: Exception) -> str:
    """Return what is wrong, with the remedy where one is known."""
    match error:
        case ConnectionRefusedError():
            return "connection refused, nothing listens there; start `portline serve --web`"
        case socket.gaierror():
            return f"the host is not found ({error.strerror}); check its name"
        case ssl.SSLCertVerificationError():
            return (
                f"its certificate is refused: {error.verify_message}; give the fingerprint that "
                "`portline serve` shows, or the ca"
            )
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "RECORD_LAYER_FAILURE"):
            return "it answers in plain text; write http://, or tls = true to [web] there"
        case http.client.RemoteDisconnected():
            return "it closed the connection without an answer; does it want https://?"
        case http.client.IncompleteRead() | ConnectionResetError() | ssl.SSLEOFError():
            return "it closed the connection before the answer was complete; ask again"
        case http.client.HTTPException():
            return NO_PORTLINE
        case OSError() if error.strerror:
            return error.strerror
        case _:
            return str(error) or "ended without an answer"
