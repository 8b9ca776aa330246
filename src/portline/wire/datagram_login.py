"""The words of a login over datagrams, where each line is a datagram and may get lost.

Whoever wants to talk begins::

    initiator  portline: login 1 SCRAM-SHA-256 n,,n=portline,r=NONCE
    responder  portline: challenge r=NONCE,s=SALT,i=ROUNDS
    initiator  portline: proof c=biws,r=NONCE,p=PROOF
    responder  portline: welcome v=SIGNATURE

The initiator repeats its words until it hears the next, the responder answers the same words in the
same way.  ``portline: refused REASON`` proves nothing, and is only a hint.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["DATAGRAM_MAX", "FIRST_WORDS", "Word", "nonce_of", "read", "written"]

FIRST_WORDS: Final = b"portline: "
"""How all of them begin."""

DATAGRAM_MAX: Final = 1024
"""Bytes of the longest that is read; the longest of ours has 350."""

FIRST: Final = "1 SCRAM-SHA-256 "


class Word(Enum):
    """What a datagram of a login is."""

    LOGIN = "login"
    CHALLENGE = "challenge"
    PROOF = "proof"
    WELCOME = "welcome"
    REFUSED = "refused"


def written(word: Word, message: str) -> bytes:
    """Return a datagram."""
    return f"{FIRST_WORDS.decode()}{word.value} {message}\r\n".encode()


def read(datagram: bytes) -> tuple[Word, str] | None:
    """Return what a datagram says; None if it is nothing of a login."""
    if not datagram.startswith(FIRST_WORDS) or len(datagram) > DATAGRAM_MAX:
        return None
    text = datagram[len(FIRST_WORDS) :].decode("utf-8", "replace").rstrip("\r\n")
    name, _, message = text.partition(" ")
    try:
        return Word(name), message
    except ValueError:
        return None


def nonce_of(message: str) -> str:
    """Return the nonce in a message of SCRAM, "" if there is none."""
    return next((part[2:] for part in message.split(",") if part.startswith("r=")), "")
