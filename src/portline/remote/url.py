"""The URL of a remote port as programs of pyserial write it."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from portline.errors import UsageError
from portline.net.proxy import Proxy
from portline.remote.opening import CONNECT_LIMIT, known_password, known_security
from portline.remote.place import PROTOCOLS, Place

__all__ = ["OPTIONS", "SHAPE", "parse"]

OPTIONS: Final = (
    "ca",
    "certificate",
    "fingerprint",
    "key",
    "password-file",
    "protocol",
    "proxy",
    "strict",
    "timeout",
)
"""What a URL may say after the question mark."""

SHAPE: Final = (
    "portline://HOST:PORT[?OPTION[&OPTION...]] with the options protocol=raw, rfc2217s or raws, "
    "proxy=URL, timeout=SECONDS, password-file=FILE, strict, and of TLS ca=FILE, fingerprint=, "
    "certificate=FILE and key=FILE"
)


def parse(url: str) -> tuple[Place, dict[str, Any]]:
    """Return where a ``portline://`` URL leads, and the options of ``opening.connect`` in it.

    Raises ValueError, with the shape that is expected.
    """
    try:
        parts = urlsplit(url)
        said = {name: texts[-1] for name, texts in parse_qs(parts.query, True).items()}
        protocol = said.get("protocol", "rfc2217")
        if parts.scheme != "portline" or protocol not in PROTOCOLS or not set(said) <= {*OPTIONS}:
            raise ValueError(url)  # noqa: TRY301
        place = Place.parse(f"{protocol}://{parts.netloc}{parts.path}")
        limit = float(said.get("timeout", CONNECT_LIMIT))
        proxy = Proxy.parse(said["proxy"]) if "proxy" in said else None
    except (ValueError, UsageError):
        raise ValueError(f"{url!r} is not a port like {SHAPE}") from None
    try:
        password = known_password(str(place), None, said.get("password-file"))
        tls = {name: said.get(name) for name in ("ca", "fingerprint", "certificate", "key")}
        security = known_security(place, **tls)
    except UsageError as error:
        raise ValueError(str(error)) from None
    return place, {
        "proxy": proxy,
        "limit": limit,
        "strict": "strict" in said,
        "password": password,
        "security": security,
    }
