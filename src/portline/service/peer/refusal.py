"""What a raw server may say at first that no device has said, and how a client knows it.

A server that is full says so before it closes.  A raw connection has no words beside the data, so
the text arrives where the device's would: for a person at ``nc`` that is what is wanted, an
application must not read it.  A client of ours knows it by its form, as the first and last thing
that a server says.  No device is cut short by that: what does not begin like such a text passes at
once, and one that is not followed by the end of the connection passes a little later
(:mod:`portline.service.peer.doubt`).

A server that wants a login says so at once, and nothing else
(:mod:`portline.wire.login`): who has no password leaves it.

A server that speaks RFC 2217 offers it at once.  Who calls it as a raw one gets its commands as
data, and wonders; it is told.
"""

from __future__ import annotations

import re
from typing import Final

from portline.wire.login.lines import is_greeting

__all__ = [
    "NOT_A_WORD",
    "NO_PASSWORD",
    "SHOWN_MAX",
    "TEXT_MAX",
    "asks_login",
    "full",
    "in_use",
    "is_refusal",
    "may_become_refusal",
    "offers_rfc2217",
    "reason_of",
]

TEXT_MAX: Final = 1024
"""Bytes of such a text: the name of a connection has 64 characters at most, an address fewer."""

SHOWN_MAX: Final = 200
"""Characters that are shown of what a peer said instead of serving."""

NOT_A_WORD: Final = (
    "has ended the connection before it said anything; it may not let us in (its networks), or one "
    "of both ends is encrypted and the other is not"
)
"""What is told of a server that ends the connection at once, as one does that lets in only some."""

NO_PASSWORD: Final = (
    "the peer asks for a password, and there is none here; name the file with it (password-file)"
)
"""What is told of a server that wants a login from a client that has none."""

_BEGINNING: Final = b"portline: "
_OFFER: Final = re.compile(rb"(\xff[\xfb-\xfe].)*\xff[\xfb\xfd]\x2c", re.DOTALL)
"""Telnet's WILL or DO and COM-PORT-OPTION, maybe after words about other options."""

_END: Final = "; try again later"
_TEXT: Final = re.compile(
    rb"portline: refused [a-z-]+ [^\r\n]*\r\n|"
    rb"portline: [^\r\n]+ is (full \(\d+ connections, the oldest from|in use by) [^\r\n]+ "
    rb"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[^\r\n]*; try again later\r\n"
)


def in_use(name: str, oldest: str, since: str, why: str) -> str:
    """Return what is said when the one place is taken by ``oldest``, a peer's address."""
    return f"portline: {name} is in use by {oldest} since {since}{why}{_END}"


def full(name: str, limit: int, oldest: str, since: str, why: str) -> str:
    """Return what is said when all of ``limit`` places are taken."""
    return (
        f"portline: {name} is full ({limit} connections, the oldest from {oldest} "
        f"since {since}){why}{_END}"
    )


def asks_login(data: bytes) -> bool:
    """Tell whether the first ``data`` of a server asks for a password."""
    return is_greeting(data)


def may_become_refusal(data: bytes) -> bool:
    """Tell whether the first ``data`` of a server is a refusal, or the beginning of one."""
    if not data.startswith(_BEGINNING[: len(data)]):
        return False
    end = data.find(b"\n")
    return is_refusal(data) if end >= 0 else len(data) <= TEXT_MAX


def is_refusal(data: bytes) -> bool:
    """Tell whether all that a server has said is a refusal."""
    return len(data) <= TEXT_MAX and _TEXT.fullmatch(data) is not None


def offers_rfc2217(data: bytes) -> bool:
    """Tell whether the first ``data`` of a server offers RFC 2217."""
    return _OFFER.match(data) is not None


def reason_of(early: bytes, *, left: bool) -> str:
    """Return why a peer does not serve that has said ``early`` so far, and maybe ``left`` then.

    For people; "" while there is no reason.  A server that has no place says so in plain text and
    closes the connection.  No device said that, so no application must read it.
    """
    if left and not early:
        return NOT_A_WORD
    if asks_login(early):
        return NO_PASSWORD
    text = early.decode("utf-8", "replace").strip()[:SHOWN_MAX]
    shown = "".join(each if each.isprintable() else "?" for each in text)
    return shown and f'the peer does not serve us: "{shown}"'
