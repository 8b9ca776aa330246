"""Asks a running Portline over HTTP, as :mod:`portline.control.client` over its socket; blocks.

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
import json
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

from portline.control.client import ANSWER_MAX, TIME_LIMIT
from portline.control.operations.table import OPERATIONS
from portline.errors import ChangedMeanwhile, ConfigError, PortlineError, UsageError
from portline.net.tls.certificate import fingerprint as fingerprint_of
from portline.net.tls.certificate import fingerprint_fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from portline.control.operations.operation import Operation

__all__ = ["Client", "EventStream", "method_of"]

SILENCE: Final = 60.0
"""Seconds without a word after which a stream is lost: there is a sign of life each 15 s."""


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
    --web` shows.  Raises UsageError for arguments that cannot be used.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        ca: str | None = None,
        fingerprint: str | None = None,
        limit: float = TIME_LIMIT,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{url!r} is no address of a page like https://gateway.example:8217")
        if fingerprint is not None and (fault := fingerprint_fault(fingerprint.lower())):
            raise UsageError(f"{url}: {fault}")
        if parts.scheme == "http" and (ca or fingerprint):
            raise UsageError(f"{url}: ca and fingerprint are about TLS; write https://")
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._context = _context(url, ca, fingerprint) if parts.scheme == "https" else None
        self._fingerprint = fingerprint.lower() if fingerprint else ""
        self._token = token
        self._limit = limit

    def ask(self, operation: str, parameters: Mapping[str, object] | None = None) -> Any:
        """Return the result of an operation, as JSON has it.

        Raises ConfigError for mistakes of a configuration, UsageError for a request that was wrong,
        and PortlineError for any other error, also when nobody can be reached there.
        """
        connection, answer = self._answer(operation, parameters or {})
        try:
            body = answer.read(ANSWER_MAX + 1)
        except (OSError, http.client.HTTPException) as error:
            raise PortlineError(f"{self.url}: {_fault(error)}") from error
        finally:
            connection.close()
        if len(body) > ANSWER_MAX:
            raise PortlineError(f"{self.url}: the answer has more than {ANSWER_MAX} bytes")
        return _json(self.url, body)

    def stream(self, operation: str, parameters: Mapping[str, object] | None = None) -> EventStream:
        """Return what an operation goes on telling; raises what :meth:`ask` does."""
        connection, answer = self._answer(operation, parameters or {})
        if connection.sock is not None:
            connection.sock.settimeout(SILENCE)
        return EventStream(self.url, connection, answer)

    def _answer(
        self, name: str, parameters: Mapping[str, object]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Return a successful answer whose body has not been read."""
        operation = OPERATIONS.get(name)
        if operation is None or operation.local:
            known = ", ".join(each.name for each in OPERATIONS.values() if not each.local)
            raise UsageError(f"no operation {name!r} over HTTP; there are: {known}")
        method, path, body = method_of(operation), f"/api/{name}", None
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "*/*"}
        if method == "GET":
            pairs = [(key, each) for key, value in parameters.items() for each in _texts(value)]
            path += f"?{urlencode(pairs)}" if pairs else ""
        else:
            body = json.dumps(dict(parameters)).encode()
            headers["Content-Type"] = "application/json"
        connection = self._connection()
        try:
            connection.connect()
            self._judge(connection)
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise PortlineError(f"{self.url}: {_fault(error)}") from error
        except BaseException:
            connection.close()
            raise
        if answer.status != 200:
            with suppress(OSError, http.client.HTTPException):
                error_body = answer.read(ANSWER_MAX)
                connection.close()
                raise _error(self.url, answer.status, error_body)
            connection.close()
            raise PortlineError(f"{self.url}: answered with {answer.status}")
        return connection, answer

    def _connection(self) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._limit)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=self._limit, context=self._context
        )

    def _judge(self, connection: http.client.HTTPConnection) -> None:
        """Raise PortlineError, before anything secret is said, for another certificate."""
        if not self._fingerprint:
            return
        assert isinstance(connection.sock, ssl.SSLSocket)
        shown = fingerprint_of(connection.sock.getpeercert(binary_form=True) or b"")
        if shown != self._fingerprint:
            raise PortlineError(
                f"{self.url}: shows the certificate {shown}, and {self._fingerprint} was wanted; "
                "somebody may be in the middle, or it has got a new one"
            )


class EventStream:
    """What a stream tells, until it ends or ``close`` is called; also by ``with``.

    ``result`` is what the operation answers first.
    """

    def __init__(
        self, url: str, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse
    ) -> None:
        self._url = url
        self._connection = connection
        self._answer = answer
        event, data = next(self._messages(), ("", ""))
        if event != "result":
            self.close()
            raise PortlineError(f"{url}: the answer is not one that this Portline understands")
        self.result: Any = _json(url, data.encode())

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for _, data in self._messages():
            yield _json(self._url, data.encode())

    def close(self) -> None:
        """Hear no more.  May be called twice."""
        self._connection.close()

    def _messages(self) -> Iterator[tuple[str, str]]:
        """Yield each message with its kind (HTML, section 9.2.6), as far as we write them."""
        kind, data = "", ""
        try:
            while line := self._answer.readline(ANSWER_MAX):
                field, _, value = line.decode("utf-8", "replace").rstrip("\r\n").partition(": ")
                if field == "event":
                    kind = value
                elif field == "data":
                    data = value
                elif not field and data:
                    yield kind, data
                    kind, data = "", ""
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise PortlineError(f"{self._url}: the stream is lost ({error})") from error


def _context(url: str, ca: str | None, fingerprint: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise UsageError(f"{url}: ca {ca}: {error.strerror or error}") from None
    if fingerprint is not None:  # it says more than any CA and name
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _fault(error: Exception) -> str:
    """Return what is wrong, with the remedy where one is known."""
    match error:
        case ConnectionRefusedError():
            return "connection refused, nothing listens there; start `portline serve --web`"
        case ssl.SSLCertVerificationError():
            return (
                f"its certificate is refused: {error.verify_message}; give the fingerprint that "
                "`portline serve` shows, or the ca"
            )
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER"):
            return "it answers in plain text; write http://, or tls = true to [web] there"
        case http.client.RemoteDisconnected():
            return "it closed the connection without an answer; does it want https://?"
        case _:
            return str(error) or "ended without an answer"


def _texts(value: object) -> list[str]:
    """Return how a parameter stands in an address; a list is repeated."""
    match value:
        case list() | tuple():
            return [str(each) for each in value]
        case str():
            return [value]
        case _:
            return [json.dumps(value)]


def _json(url: str, body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise PortlineError(
            f"{url}: the answer is not one that this Portline understands"
        ) from None


def _error(url: str, status: int, body: bytes) -> PortlineError:
    """Return the error that a problem tells of (RFC 9457)."""
    if status == 400 and b"write https://" in body:  # as an encrypted page answers, for people
        return PortlineError(f"{url}: it is encrypted there; does it want https://?")
    match _json(url, body):
        case {"errors": list(errors), "mistakes": list(mistakes)}:
            lines = [" ".join(str(each).split()) for each in errors]
        case _:
            return PortlineError(f"{url}: answered with {status}")
    if status == 422 or (status == 409 and mistakes):
        faults = [
            (str(each.get("option")), str(each.get("text")))
            for each in mistakes
            if isinstance(each, dict)
        ]
        return (ConfigError if status == 422 else ChangedMeanwhile)(lines, faults)
    text = "\n".join(lines) or f"{url}: answered with {status}"
    return UsageError(text) if status in (400, 404) else PortlineError(text)
