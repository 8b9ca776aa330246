"""The two ends of SCRAM-SHA-256 (RFC 5802, RFC 7677), with and without channel binding.

The messages and the checks are those of the library ``scramp``; here is what it leaves open: keys
that are remembered instead of made again for each login, and a session key.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final

from portline.auth.password import ITERATIONS_MAX, ITERATIONS_MIN, Keys
from portline.errors import LoginError

if TYPE_CHECKING:
    from portline.auth.password import Verifier

__all__ = ["BINDING", "MECHANISM", "PLUS", "USER", "ClientExchange", "ServerExchange"]

MECHANISM: Final = "SCRAM-SHA-256"
PLUS: Final = "SCRAM-SHA-256-PLUS"
"""The mechanism, and the same with channel binding, by their names (RFC 7677)."""

BINDING: Final = "tls-server-end-point"
"""What binds a login to the TLS below: the hash of the server's certificate (RFC 5929)."""

USER: Final = "portline"
"""The name that our clients give: there is one password, and SCRAM wants a name."""

_DIGEST: Final = "sha256"

_UNBOUND: Final = ("no-binding", "it does not bind the login to TLS as this server does")

_REASONS: Final = {
    "invalid-proof": ("wrong-password", "the password is wrong"),
    "channel-bindings-dont-match": (
        "other-certificate",
        "it was shown another certificate than that of this server (man in the middle)",
    ),
    "server-does-support-channel-binding": _UNBOUND,
    "channel-binding-not-supported": _UNBOUND,
    "unsupported-channel-binding-type": _UNBOUND,
}
"""server-error-value of RFC 5802 -> the reason in our words; all others are ``malformed``."""


def _session_key(keys: Keys, message: bytes) -> bytes:
    """Return the session key of a login: RFC 5802, section 8, the "GSS-API session key".

    There the first 128 bits of it are taken; here it is the input of HKDF and stays whole.
    """
    return hmac.digest(keys.stored, b"GSS-API session key" + keys.client + message, _DIGEST)


def _without_proof(final: str) -> str:
    return final.rpartition(",p=")[0]


class ServerExchange:
    """The server's end of one login.

    ``binding`` is what the TLS below is (None: there is none), with which ``mechanism`` has to be
    PLUS.  Each step raises LoginError when the client is refused.
    """

    def __init__(self, verifier: Verifier, binding: bytes | None = None) -> None:
        self.mechanism = MECHANISM if binding is None else PLUS
        self._verifier = verifier
        self._binding = binding
        self._stored = verifier.stored_key
        self._server = verifier.server_key
        self._first = ""
        self._challenge = ""
        self._final = ""
        self._scram: Any = None  # made for who really logs in: most of a flood does not

    def _begin(self) -> Any:
        from scramp import ScramMechanism

        it = self._verifier
        known = (it.salt, it.stored_key, it.server_key, it.iterations)
        binding = None if self._binding is None else (BINDING, self._binding)
        return ScramMechanism(self.mechanism).make_server(
            lambda user: known, channel_binding=binding
        )

    def challenge(self, first: str) -> str:
        """Return server-first-message for client-first-message."""
        if self._scram is None:
            self._scram = self._begin()
        self._first = _ours(self._scram.set_client_first, first)
        self._challenge = self._scram.get_server_first()
        return self._challenge

    def verdict(self, final: str) -> str:
        """Return server-final-message for client-final-message; then the client has proved it."""
        _ours(self._scram.set_client_final, final)
        self._final = final
        return str(self._scram.get_server_final())

    @property
    def session_key(self) -> bytes:
        """A secret that only the two ends of this login know; after :meth:`verdict`."""
        import base64

        bare = self._first.split(",", 2)[2]
        message = ",".join((bare, self._challenge, _without_proof(self._final))).encode()
        proof = base64.b64decode(self._final.rpartition(",p=")[2])
        signature = hmac.digest(self._stored, message, _DIGEST)
        client = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        return _session_key(Keys(client, self._stored, self._server), message)


class ClientExchange:
    """The client's end of one login.

    ``binding`` is what the TLS below is, None where there is none.
    """

    def __init__(self, binding: bytes | None = None) -> None:
        from scramp import ScramClient

        self.mechanism = MECHANISM if binding is None else PLUS
        # The library wants a password at once; ours stays where its keys are remembered.
        self._scram: Any = ScramClient(
            [self.mechanism],
            USER,
            "-",
            channel_binding=None if binding is None else (BINDING, binding),
        )
        self._binding = binding
        self._keys: Keys | None = None
        self._message = b""
        self._signature = b""

    def first(self) -> str:
        """Return client-first-message."""
        return str(self._scram.get_client_first())

    def challenged(self, challenge: str) -> tuple[bytes, int]:
        """Take server-first-message; return the salt and the rounds for the keys."""
        _ours(self._scram.set_server_first, challenge)
        iterations = int(self._scram.iterations)
        if not ITERATIONS_MIN <= iterations <= ITERATIONS_MAX:
            raise LoginError(
                "malformed",
                f"it asks for {iterations} rounds, and {ITERATIONS_MIN} to {ITERATIONS_MAX} are "
                "reasonable",
            )
        return bytes(self._scram.salt), iterations

    def proof(self, keys: Keys) -> str:
        """Return client-final-message.  RFC 5802, section 3, from "client-final-message-..." on."""
        import base64

        scram = self._scram
        header = scram.gs2_header.make_cbind_input(scram.cb)
        without = f"c={base64.b64encode(header).decode()},r={scram.nonce}"
        self._keys = keys
        self._message = ",".join((scram.client_first_bare, scram.server_first, without)).encode()
        signature = hmac.digest(keys.stored, self._message, _DIGEST)
        proof = bytes(a ^ b for a, b in zip(keys.client, signature, strict=True))
        self._signature = hmac.digest(keys.server, self._message, _DIGEST)
        return f"{without},p={base64.b64encode(proof).decode()}"

    def finish(self, final: str) -> None:
        """Take server-final-message: the server has proved that it knows the password, too."""
        import base64
        import binascii

        try:
            theirs = base64.b64decode(final.removeprefix("v=").partition(",")[0], validate=True)
        except (ValueError, binascii.Error):
            theirs = b""
        if not final.startswith("v=") or not hmac.compare_digest(theirs, self._signature):
            raise LoginError(
                "impostor", "it does not know the password that it asks for; do not trust it"
            )

    @property
    def session_key(self) -> bytes:
        """A secret that only the two ends of this login know; after :meth:`finish`."""
        assert self._keys is not None
        return _session_key(self._keys, self._message)


def fingerprint(data: bytes) -> str:
    """Return a short name for bytes, for people."""
    return hashlib.sha256(data).hexdigest()[:16]


def _ours(step: Any, message: str) -> str:
    """Take one message; what the library does not like is a LoginError."""
    from scramp import ScramException

    try:
        step(message)
    except ScramException as error:
        told = "" if error.server_error is None else error.server_error.value
        odd = str(error.args[0]).rstrip(".")
        unlike = (
            f"what it says is not {MECHANISM} ({odd}); is it a Portline, and does nobody change it"
        )
        reason, text = _REASONS.get(told, ("malformed", f"{unlike}?"))
        raise LoginError(reason, text) from None
    return message
