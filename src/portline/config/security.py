"""The options of encryption: whether, with which certificates, and who is trusted."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel

from portline.config.files import CaFile, FilePath, Fingerprint, HostName
from portline.config.kinds import Choice, Switch
from portline.config.options import Group, Option
from portline.net.tls.contexts import TlsVersion

__all__ = ["ClientSecurityOptions", "SecurityOptions", "ServerSecurityOptions"]

_MINIMUM: Final = Choice({word: word for word in TlsVersion})


class SecurityOptions(BaseModel):
    """Encryption, whoever connects to whom."""

    tls: Annotated[
        bool,
        Option(
            Group.SECURITY,
            Switch(),
            "Encrypt the traffic with TLS; peers have to do so, too. A server without certificate "
            "makes one on first use and keeps it",
            "every program that opens a TCP connection understands plain text",
        ),
    ] = False
    certificate: Annotated[
        str | None,
        Option(
            Group.SECURITY,
            FilePath(),
            "The file with our own certificate (PEM), and those of the CAs between it and the "
            "root, which the peer is shown",
        ),
    ] = None
    key: Annotated[
        str | None,
        Option(
            Group.SECURITY,
            FilePath(),
            "The file with the private key of certificate (PEM, without a password), if that does "
            "not have it",
        ),
    ] = None
    tls_minimum: Annotated[
        str,
        Option(
            Group.SECURITY,
            _MINIMUM,
            "The oldest version of TLS that is spoken",
            "every system of the last years knows it, and nothing of it can be chosen badly",
        ),
    ] = "1.3"


class ServerSecurityOptions(BaseModel):
    """Who is let in by certificate."""

    client_ca: Annotated[
        str | None,
        Option(
            Group.SECURITY,
            FilePath(),
            "Let in only peers with a certificate of a CA in this file (mutual TLS)",
        ),
    ] = None
    client_crl: Annotated[
        str | None,
        Option(
            Group.SECURITY,
            FilePath(),
            "Let no peer in whose certificate is in this revocation list; one in the file of "
            "client-ca counts, too",
        ),
    ] = None


class ClientSecurityOptions(BaseModel):
    """Which server is trusted."""

    ca: Annotated[
        str | None,
        Option(
            Group.SECURITY,
            CaFile(),
            "Trust only servers with a certificate of a CA in this file, or of those that the "
            "system trusts (system), which is for the host that is connected to",
        ),
    ] = None
    fingerprint: Annotated[
        str | None,
        Option(
            Group.SECURITY,
            Fingerprint(),
            "Trust only the server whose certificate has this fingerprint",
        ),
    ] = None
    tls_name: Annotated[
        str | None,
        Option(
            Group.SECURITY,
            HostName(),
            "The name that the certificate of the server has to be for, where that is not the host "
            "which is connected to",
        ),
    ] = None
