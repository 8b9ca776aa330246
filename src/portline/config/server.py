"""The server connection: it waits for peers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portline.config.connection import StreamOptions
from portline.config.local import ListenOptions
from portline.config.security import ServerSecurityOptions
from portline.config.transfer import AdmissionOptions
from portline.config.trust import NetworkOptions, PromptOptions

if TYPE_CHECKING:
    from portline.config.values import Address

__all__ = ["ServerConnection"]


class ServerConnection(
    NetworkOptions,
    PromptOptions,
    ServerSecurityOptions,
    AdmissionOptions,
    ListenOptions,
    StreamOptions,
):
    """A local port, real or virtual, that peers reach by connecting to this machine."""

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where to listen."""
        return self.listen

    @property
    def only_when_open(self) -> bool:
        """Tell whether the network is left alone while no application has the port open."""
        return self.listen_when_open
