"""The client connection: it connects to peers, and again whenever that has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from portline.config.connection import KIND, StreamOptions
from portline.config.dial import Attempt, DialOptions
from portline.config.measures import Size
from portline.config.options import Group, Option
from portline.config.security import ClientSecurityOptions
from portline.config.transfer import BUFFER_MAX

if TYPE_CHECKING:
    from portline.config.values import Address

__all__ = ["ClientConnection"]

_BUFFER: Final = Option(
    Group.BUFFER,
    Size(0, BUFFER_MAX),
    "Keep this much of what the port delivers while nobody is connected, for the next peer; 0 "
    "keeps nothing",
    "what an application sends during a short loss of the network arrives after it",
)


class ClientConnection(ClientSecurityOptions, DialOptions, StreamOptions):
    """A local port, mostly a virtual one, whose peers this machine connects to."""

    kind: Annotated[str, KIND] = "client"
    buffer_size: Annotated[int, _BUFFER] = Field(default=64 * 1024)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where to connect."""
        return self.connect

    @property
    def only_when_open(self) -> bool:
        """Tell whether the network is left alone while no application has the port open."""
        return self.connect_when_open

    @property
    def connects_to_all(self) -> bool:
        """Tell whether all hosts are peers at the same time, not the first that answers."""
        return self.connect_to is Attempt.ALL
