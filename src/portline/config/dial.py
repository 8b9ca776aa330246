"""The options of who is connected to, and how stubbornly."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Final

from pydantic import BaseModel

from portline.config.kinds import Choice, Switch
from portline.config.measures import Duration
from portline.config.options import Group, Option
from portline.config.places import HostAddresses, ProxyAddress
from portline.config.values import Address  # noqa: TC001 - pydantic reads annotations
from portline.net.proxy import Proxy  # noqa: TC001

__all__ = ["Attempt", "DialOptions"]

RETRY_MIN: Final = 0.05
"""Seconds; a host that refuses at once is then asked twenty times a second, which hurts nobody."""

RETRY_MAX: Final = 3600
"""Seconds; an hour, for a link that costs money."""

TIMEOUT_MAX: Final = 300
"""Seconds; longer than any dial that will still succeed (Linux gives up after 130 s)."""


class Attempt(Enum):
    """Which of several hosts are connected to."""

    FIRST = "first"
    ALL = "all"


class DialOptions(BaseModel):
    """Who is connected to."""

    connect: Annotated[
        tuple[Address, ...],
        Option(
            Group.NETWORK,
            HostAddresses(),
            "Which host to connect to: HOST:PORT or [IPV6]:PORT; raw:// or rfc2217:// before it "
            "overrides the protocol; several are tried in this order",
            many=True,
        ),
    ] = ()
    connect_to: Annotated[
        Attempt,
        Option(
            Group.NETWORK,
            Choice({item.value: item for item in Attempt}),
            "Which of several hosts: the first that answers, in their order, or all at once",
            "the others are there in case that one is not",
        ),
    ] = Attempt.FIRST
    proxy: Annotated[
        Proxy | None,
        Option(
            Group.NETWORK,
            ProxyAddress(),
            "Connect through this proxy, socks5://HOST:PORT or http://HOST:PORT (CONNECT), with "
            "USER:PASSWORD@ before the host where it wants a login",
        ),
    ] = None
    connect_timeout: Annotated[
        float,
        Option(
            Group.CONNECTION,
            Duration(0.1, TIMEOUT_MAX),
            "Give an attempt to connect up after this long: look-up, connection and proxy together",
            "a host that is there answers within a second, and the next one waits for its turn",
        ),
    ] = 5.0
    retry: Annotated[
        float,
        Option(
            Group.CONNECTION,
            Duration(RETRY_MIN, RETRY_MAX),
            "Connect again this long after a connection ended or could not be made; each further "
            "attempt waits twice as long",
            "most losses are over at once",
        ),
    ] = 0.2
    retry_max: Annotated[
        float,
        Option(
            Group.CONNECTION,
            Duration(RETRY_MIN, RETRY_MAX),
            "Wait no longer than this between two attempts",
            "a host that is back is used within seconds",
        ),
    ] = 5.0
    connect_when_open: Annotated[
        bool,
        Option(
            Group.CONNECTION,
            Switch(),
            "Connect only while an application has the virtual port open",
            "the connection is there before the application needs it",
        ),
    ] = False
