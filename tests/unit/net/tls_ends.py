"""Two ends of TLS joined in memory, and the contexts that they are made with."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from portline.net.tls.channel import Channel
from portline.net.tls.contexts import ClientSecurity, ServerSecurity
from portline.net.tls.pins import Pins
from tests.authority import Authority

if TYPE_CHECKING:
    from pathlib import Path

    from tests.authority import Issued

__all__ = ["Place", "exchange", "joined", "old_context", "place"]


class Place:
    """A folder with a CA and a certificate for ``localhost``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder)
        self.issued = self.authority.issue("server", "localhost", "127.0.0.1")

    def server(self, issued: Issued | None = None, **options: str) -> ServerSecurity:
        """Return how a server with that certificate encrypts."""
        shown = issued or self.issued
        return ServerSecurity(certificate=shown.certificate, key=shown.key, **options)

    def client(self, **options: str) -> ClientSecurity:
        """Return how a client encrypts, which trusts the CA unless the options say otherwise."""
        known = {"ca": self.authority.file} if not options.keys() & {"ca", "fingerprint"} else {}
        return ClientSecurity(**{**known, **options}, pins=self.pins)  # type: ignore[arg-type]

    @property
    def pins(self) -> Pins:
        """The servers that are known here."""
        return Pins(self.folder / "state")

    def channels(
        self, server: ServerSecurity | None = None, client: ClientSecurity | None = None
    ) -> tuple[Channel, Channel]:
        """Return two ends."""
        near = (server or self.server()).load().channel()
        return near, (client or self.client()).load().channel("localhost")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("tls"))


def exchange(one: Channel, other: Channel, cut: int = 1 << 20) -> None:
    """Carry what two ends have to say, ``cut`` bytes at a time, until both are silent."""
    for _ in range(20):
        said = False
        for speaker, hearer in ((one, other), (other, one)):
            words = speaker.outgoing()
            for start in range(0, len(words), cut):
                hearer.feed(words[start : start + cut])
                said = True
        if not said:
            return
    raise AssertionError("the two ends never fall silent")


def joined(server: Channel, client: Channel, cut: int = 1 << 20) -> None:
    """Let two ends shake hands."""
    client.begin()
    exchange(client, server, cut)


def old_context(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> ssl.SSLContext:
    """Return that of a client of the old days, who asks nothing about certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = version
    return context
