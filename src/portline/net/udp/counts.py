"""What a connection by UDP counts."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Counts"]


@dataclass(slots=True)
class Counts:
    """What became of datagrams beside those that went as they should; counted in datagrams."""

    divided: int = 0
    """Packets that were too large for one datagram, and went as several."""
    returned: int = 0
    """Datagrams that did not arrive, as ICMP has told."""
    strangers: int = 0
    """Datagrams from those who are not accepted."""
    echoes: int = 0
    """Datagrams of our own that came back."""
    overrun: int = 0
    """Datagrams that the kernel dropped because they were not read fast enough."""
