"""What is known of the access servers of others: what they leave unsaid without anything amiss.

=========  =======================  ===============================================================
profile    chosen by signature      what is different, and who says so
=========  =======================  ===============================================================
sredird    ``SRedird 2.2.1 ...``    answers DTR and RTS with its flow control, so what became of
           (msredird as well)       them is not known (its source: ``HandleCPCCommand``)
ser2net    ``ser2net``, gensio      answers each setting, so silence is a failure (tried: 4.3.11)
portline   ``Portline ...``         the same
nameless   none is told             pyserial's example server (``PortManager``) and what is made of
                                    it: queries, masks and the signature have no answer; esptool's
                                    says nothing about DTR and RTS.  hub4com and Cisco's have no
                                    signature either
=========  =======================  ===============================================================

What a server does is taken as it is wherever that needs no name
(:mod:`portline.wire.rfc2217_client`): rates in one byte as Cisco's are, in eight as sredird's on
machines of 64 bits, "no flow control" from hub4com.  FLOWCONTROL-SUSPEND, which ser2net takes for a
setting of the device, is never sent to anybody: who cannot take more stops reading.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from portline.line import Item

__all__ = ["NAMELESS", "PROFILES", "UNKNOWN", "Profile", "profile_of"]

_OUTPUTS: Final = frozenset((Item.DTR, Item.RTS))


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of access server; ``unsaid`` are the settings that it does not confirm."""

    name: str
    signature: re.Pattern[str]
    unsaid: frozenset[Item] = frozenset()


PROFILES: Final = (
    Profile("sredird", re.compile("SRedird", re.IGNORECASE), _OUTPUTS),
    Profile("ser2net", re.compile("ser2net|gensio", re.IGNORECASE)),
    Profile("portline", re.compile("Portline")),
)

NAMELESS: Final = Profile("nameless", re.compile("(?!)"), _OUTPUTS)
"""A server that leaves the question for its signature without an answer."""

UNKNOWN: Final = Profile("unknown", re.compile("(?!)"))
"""Any other; nothing is excused."""


def profile_of(signature: str | None) -> Profile:
    """Return the profile for a signature; None where the server has told none in its time."""
    if not signature:
        return NAMELESS
    return next((each for each in PROFILES if each.signature.search(signature)), UNKNOWN)
