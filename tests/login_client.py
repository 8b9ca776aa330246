"""The login that docs/explanation/threat-model.md describes, written from that page alone.

Nothing of Portline is imported here: what this client can do, another implementation can.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass, field

__all__ = ["Client", "Keys", "Refused", "keys_of", "log_in", "proof_of"]


class Refused(Exception):
    """The server has refused; the arguments are its reason and its text."""


@dataclass
class Keys:
    client: bytes
    stored: bytes
    server: bytes


def keys_of(password: str, salt: bytes, rounds: int) -> Keys:
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    client = hmac.new(salted, b"Client Key", "sha256").digest()
    server = hmac.new(salted, b"Server Key", "sha256").digest()
    return Keys(client, hashlib.sha256(client).digest(), server)


def proof_of(keys: Keys, message: str) -> tuple[str, str]:
    """Return p= and v= for an AuthMessage."""
    signature = hmac.new(keys.stored, message.encode(), "sha256").digest()
    proof = bytes(a ^ b for a, b in zip(keys.client, signature, strict=True))
    server = hmac.new(keys.server, message.encode(), "sha256").digest()
    return base64.b64encode(proof).decode(), base64.b64encode(server).decode()


@dataclass
class Client:
    """A client on a connected socket; ``said`` are the bytes that it has sent."""

    sock: socket.socket
    said: list[bytes] = field(default_factory=list)
    rest: bytes = b""

    def line(self) -> str:
        while b"\n" not in self.rest:
            data = self.sock.recv(4096)
            if not data:
                raise ConnectionError(f"closed after {self.rest!r}")
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        line = line.removeprefix(b"\xff\xfb\x01").removeprefix(b"Password: ")
        text = line.decode().rstrip("\r")
        assert text.startswith("portline: "), text
        text = text.removeprefix("portline: ")
        if text.startswith("refused "):
            raise Refused(*text.split(" ", 2)[1:])
        return text

    def more(self) -> bytes:
        """Return what has come behind the lines, of a socket that does not block."""
        with suppress(BlockingIOError):
            self.rest += self.sock.recv(4096)
        return self.rest

    def say(self, text: str) -> None:
        self.said.append(f"{text}\r\n".encode())
        self.sock.sendall(self.said[-1])


def log_in(
    sock: socket.socket,
    password: str,
    *,
    binding: bytes | None = None,
    mechanism: str = "",
    header: str = "",
) -> Client:
    """Log in, or raise Refused; ``mechanism`` and ``header`` (gs2) are the right ones if empty."""
    client = Client(sock)
    greeting = client.line().split()
    assert greeting[:2] == ["login", "1"], greeting
    right = "SCRAM-SHA-256" if binding is None else "SCRAM-SHA-256-PLUS"
    header = header or ("n,," if binding is None else "p=tls-server-end-point,,")
    nonce = secrets.token_hex(16)
    bare = f"n=portline,r={nonce}"
    client.say(f"login 1 {mechanism or right} {header}{bare}")
    word, challenge = client.line().split(" ", 1)
    assert word == "challenge"
    values = dict(part.split("=", 1) for part in challenge.split(","))
    assert values["r"].startswith(nonce)
    keys = keys_of(password, base64.b64decode(values["s"]), int(values["i"]))
    bound = base64.b64encode(header.encode() + (binding or b"")).decode()
    without = f"c={bound},r={values['r']}"
    proof, signature = proof_of(keys, f"{bare},{challenge},{without}")
    client.say(f"proof {without},p={proof}")
    assert client.line() == f"welcome v={signature}"
    return client
