"""The secrets and other files that a configuration names.  They are never part of it."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

from portline.auth.password import Password
from portline.auth.secret import VARIABLE, Secret, read_secret
from portline.config.models import ServerConnection, UdpConnection
from portline.config.rules import Fault
from portline.errors import ConfigError
from portline.net.tls.contexts import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from portline.config.models import ConnectionConfig, GatewayConfig

_LOG: Final = logging.getLogger("portline.connection")

__all__ = ["TLS_FILES", "file_faults", "secrets"]

TLS_FILES: Final = ("certificate", "key", "client_ca", "client_crl", "ca")
"""Fields that name a file of encryption."""


def secrets(
    config: GatewayConfig, ask: Callable[[], str] | None = None
) -> Mapping[str, Secret | None]:
    """Return the secret of each connection, None for one that wants none; may take long.

    Where the environment has no password, ``ask`` is called for it, once.  Raises ConfigError with
    every mistake.  What it returns for a server has been salted.
    """
    found: dict[str, Secret | None] = {}
    mistakes: list[str] = []
    known: dict[str, Secret] = {}
    for name, connection in config.connections.items():
        try:
            found[name] = _secret(connection, ask, known)
        except ValueError as error:
            field = "password-file" if connection.password_file is not None else "password"
            mistakes.append(f"connections.{name}.{field}: {error}")
    if mistakes:
        raise ConfigError(mistakes)
    _advise(config, known)
    return found


def _advise(config: GatewayConfig, known: Mapping[str, Secret]) -> None:
    """Say once of each file that it holds a password which nobody here needs."""
    needed = {each.password_file for each in config.connections.values() if not _recognises(each)}
    for name, connection in config.connections.items():
        path = connection.password_file
        secret = None if path is None else known.get(path)
        if path in needed or secret is None or secret.password is None or path in _advised:
            continue
        _advised.add(str(path))
        _LOG.warning(
            "%s holds the password itself, and a server needs it only salted, with which nobody "
            "can log in: `portline password --force %s` stores it so",
            *(path, path),
            extra={"connection": name},
        )


_advised: Final[set[str]] = set()
"""Files about which that was said in this process; as many as configurations have named."""


def _secret(
    connection: ConnectionConfig, ask: Callable[[], str] | None, known: dict[str, Secret]
) -> Secret | None:
    """Return a secret; ``known`` are those by file, so that all of one have the same salt."""
    path = connection.password_file
    if path is not None:
        secret = read_secret(path, salted_will_do=_recognises(connection))
        secret = known[path] if known.get(path) == secret else secret
        known[path] = secret
    elif connection.password:
        if "" not in known:
            known[""] = Secret(_from_environment(ask))
        secret = known[""]
    else:
        return None
    if isinstance(connection, ServerConnection):
        # Its password is not needed any more, and what is not there cannot get lost.
        return Secret(verifier=secret.salted())
    if isinstance(connection, UdpConnection):  # it may be the one who asks
        return Secret(secret.password, secret.salted())
    return secret


def _from_environment(ask: Callable[[], str] | None) -> Password:
    text = os.environ.get(VARIABLE)
    if text is None:
        if ask is None:
            raise ValueError(f"there is no environment variable {VARIABLE}; set it, or name a file")
        return Password(ask())
    try:
        return Password(text)
    except ValueError as error:
        raise ValueError(f"what is in {VARIABLE} {error}") from None


def _recognises(connection: ConnectionConfig) -> bool:
    """Tell whether a connection only has to recognise who knows the password."""
    return isinstance(connection, ServerConnection) or (
        isinstance(connection, UdpConnection) and not connection.connect
    )


def file_faults(config: GatewayConfig) -> list[Fault]:
    """Return what is wrong with the files that are named: bad passwords, what cannot be read.

    Certificates that can be read and not be used are told of when they are, because they may be
    renewed at any time.
    """
    faults = []
    for name, connection in config.connections.items():
        if connection.password_file is not None:
            try:
                read_secret(connection.password_file, salted_will_do=_recognises(connection))
            except ValueError as error:
                faults.append(Fault(("connections", name, "password_file"), str(error)))
        for field in TLS_FILES:
            path = getattr(connection, field, None)
            if path not in (None, SYSTEM) and (fault := _unreadable(path)):
                faults.append(Fault(("connections", name, field), fault))
    for field in ("certificate", "key"):
        path = getattr(config.web, field, None)
        if path is not None and (fault := _unreadable(path)):
            faults.append(Fault(("web", field), fault))
    return faults


def _unreadable(path: str) -> str:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))  # a pipe would wait for its writer
    except OSError as error:
        return (
            f"{path} cannot be read: {error.strerror}; check the path, and whether this user may "
            "read the file"
        )
    return ""
