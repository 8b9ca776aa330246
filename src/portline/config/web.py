"""The table ``[web]``: where the page of a Portline is, and how it is reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, model_validator

from portline.config.files import FilePath, HostName
from portline.config.kinds import Switch
from portline.config.options import Group, Option
from portline.config.places import ListenAddresses
from portline.config.refusal import collected, refusal
from portline.config.rules import Fault, certificate_contradictions, folded
from portline.config.values import DEFAULT_LISTEN, Address
from portline.config.wording import quoted

__all__ = ["DEFAULT_PAGE", "HOSTS_MAX", "WebConfig", "page_clashes"]

_Model = TypeVar("_Model", bound=BaseModel)

DEFAULT_PAGE: Final = Address("127.0.0.1", 8217)
"""Where the page is that names no address: this machine only, and no port that others use much."""

HOSTS_MAX: Final = 32
"""Names in ``hosts``; each request is compared with all of them."""


@dataclass(frozen=True, slots=True)
class _PageAddresses(ListenAddresses):
    """One address of a page, or a list of them: those of a port, without a protocol."""

    @property
    def allowed(self) -> str:
        """The shapes of an address."""
        return 'PORT (on 127.0.0.1), "HOST:PORT", "[IPV6]:PORT" or "*:PORT" (every address)'

    def fault(self, address: Address, others: Iterable[Address]) -> str:
        """Say why a page cannot be at an address, or not together with the others."""
        if address.protocol is not None:
            return (
                f"{address} names a protocol of serial ports, and a page has none; leave "
                f"{address.protocol.value}:// out"
            )
        return ListenAddresses.fault(self, address, list(others))


@dataclass(frozen=True, slots=True)
class _HostNames:
    """Names of hosts, one or a list."""

    @property
    def metavar(self) -> str:
        """A name."""
        return "NAME"

    @property
    def allowed(self) -> str:
        """The shapes."""
        return f"the name of a host, or a list of 1 to {HOSTS_MAX} of them"

    @property
    def choices(self) -> tuple[str, ...]:
        """None: names are not listed."""
        return ()

    def read(self, value: object) -> tuple[str, ...]:
        """Return the names in small letters."""
        items = list(value) if isinstance(value, list | tuple) else [value]
        if not 1 <= len(items) <= HOSTS_MAX:
            raise ValueError(f"a list of {len(items)} must be {self.allowed}")
        return tuple(HostName().read(item) for item in items)

    def show(self, value: object) -> str:
        """Write the names with commas; none where nothing was written."""
        return ", ".join(self.read(value)) if value else "none"


_ADDRESSES: Final = _PageAddresses()


class WebConfig(BaseModel):
    """The page: where it is, and who can reach it."""

    model_config = ConfigDict(frozen=True)

    listen: Annotated[
        tuple[Address, ...],
        Option(
            Group.NETWORK,
            _ADDRESSES,
            "Where browsers reach the page: PORT (on 127.0.0.1), HOST:PORT, [IPV6]:PORT, or *:PORT "
            "for every address of this machine",
            "only programs on this machine can connect until you say otherwise",
            many=True,
        ),
    ] = (DEFAULT_PAGE,)
    tls: Annotated[
        bool,
        Option(
            Group.SECURITY,
            Switch(),
            "Encrypt the page with TLS (https). Without certificate one is made on first use, of "
            "which browsers warn once",
            "on this machine nobody is on the way",
        ),
    ] = False
    certificate: Annotated[
        str | None,
        Option(
            Group.SECURITY,
            FilePath(),
            "The file with the certificate of the page (PEM), and those of the CAs between it and "
            "the root",
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
    hosts: Annotated[
        tuple[str, ...] | None,
        Option(
            Group.SECURITY,
            _HostNames(),
            "Further names by which browsers may call the page. Its addresses, localhost and the "
            "name of this machine always are taken; under any other name a foreign page could ask "
            "in its place (DNS rebinding)",
            many=True,
        ),
    ] = None
    open: Annotated[
        bool,
        Option(
            Group.SECURITY,
            Switch(),
            "Let the page be reached beyond this machine without TLS, because whoever is on the "
            "way is trusted, or a proxy on another machine encrypts it",
            "who is on the way would read the password, and everything else",
        ),
    ] = False

    @model_validator(mode="wrap")
    @classmethod
    def _with_rules(cls, data: Any, handler: ModelWrapValidatorHandler[_Model]) -> _Model:
        """Add what the rules between options say to what the values say."""
        if not isinstance(data, Mapping):
            if isinstance(data, cls):
                return handler(data)
            raise refusal([Fault((), f"must be a table of options, not {quoted(data)}")])
        table, faults = folded(data, cls.model_fields)
        return collected(table, [*faults, *_contradictions(table)], handler)

    @property
    def scheme(self) -> str:
        """What stands before the address of the page."""
        return "https" if self.tls else "http"


def _contradictions(table: Mapping[str, object]) -> Iterable[Fault]:
    encrypted = table.get("tls", False) is not False
    yield from certificate_contradictions(table, ("certificate", "key"))
    if table.get("open") is True and encrypted:
        text = "says that nothing has to be encrypted, and tls is on; leave one of them out"
        yield Fault(("open",), text)
    if table.get("open", False) is False and not encrypted:
        for address in _addresses(table):
            if not address.is_loopback:
                text = (
                    f"{address}: whoever is on the way would read the password; write tls = true "
                    "to [web] in the file, or open = true if the network is trusted"
                )
                yield Fault(("listen",), text)


def _addresses(table: Mapping[str, object]) -> tuple[Address, ...]:
    """Return where the page is to be; nothing where that is wrong (its own mistake tells)."""
    try:
        return _ADDRESSES.read(table.get("listen", DEFAULT_PAGE))
    except ValueError:
        return ()


def page_clashes(
    web: Mapping[str, object] | WebConfig, connections: Mapping[str, Mapping[str, object]]
) -> Iterable[Fault]:
    """Return where servers are to listen on an address of the page."""
    table = {"listen": web.listen} if isinstance(web, WebConfig) else web
    for address in _addresses(table):
        for name, connection in connections.items():
            if connection.get("kind", "server") != "server":
                continue
            try:
                taken = ListenAddresses().read(connection.get("listen", DEFAULT_LISTEN))
            except ValueError:
                continue
            for other in taken:
                if address.overlaps(other):
                    default = "" if "listen" in connection else " (the default)"
                    text = (
                        f"{other}{default} is already listened on by the page, as {address} "
                        "(web.listen); choose another TCP port"
                    )
                    yield Fault(("connections", name, "listen"), text)
