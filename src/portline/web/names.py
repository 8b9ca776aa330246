"""By which names a browser may call the page, and which pages may ask it: pure rules.

A foreign page can have the browser of somebody who is logged in send what it likes.  Two things
tell it from ours: the name in ``Host``, which is the foreign page's own where its author has
pointed his name at our address (DNS rebinding), and ``Origin``, which browsers set and pages
cannot.
"""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Names", "is_same_origin"]

_HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?")
_ORIGIN: Final = re.compile(r"(?P<scheme>https?)://(?P<host>[^/?#@\s]+)")
_PORTS: Final = {"http": "80", "https": "443"}


class Names:
    """The names of a page: ``further`` ones, those of the machine, and every literal address.

    An address cannot be rebound: whoever is asked under it is who has it.
    """

    def __init__(self, further: Iterable[str]) -> None:
        self._known = {"localhost"}
        for name in further:
            plain = name.strip("[]").rstrip(".").lower()
            self._known.add(plain)

    def knows(self, host: str) -> bool:
        """Tell whether a request with this ``Host`` is meant for us."""
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found["name"].strip("[]").rstrip(".").lower()
        with suppress(ValueError):
            ipaddress.ip_address(name)
            return True
        return name in self._known or name.endswith(".localhost")


def is_same_origin(origin: str, host: str, *, encrypted: bool) -> bool:
    """Tell whether a page of ``origin`` is one that came from ``host`` (as in the header).

    ``encrypted`` tells whether this end speaks TLS.  Where it does not, a proxy before it may, so
    that the page is one of https all the same.
    """
    found = _ORIGIN.fullmatch(origin)
    if found is None or (encrypted and found["scheme"] != "https"):
        return False
    return _normal(found["host"], found["scheme"]) == _normal(host, found["scheme"])


def _normal(host: str, scheme: str) -> tuple[str, str] | None:
    found = _HOST.fullmatch(host)
    if found is None:
        return None
    return found["name"].rstrip(".").lower(), found["port"] or _PORTS[scheme]
