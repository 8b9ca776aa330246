"""The kind of a value that lists networks."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portline.config.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from portline.net.networks import Network

__all__ = ["NetworkList"]

NETWORKS_MAX: Final = 256
"""Networks in one list; each newcomer is compared with all of them."""


@dataclass(frozen=True, slots=True)
class NetworkList:
    """Networks of IPv4 and IPv6 in the notation of CIDR; an address alone is a network of one."""

    @property
    def metavar(self) -> str:
        """A network."""
        return "NETWORK"

    @property
    def allowed(self) -> str:
        """The shapes."""
        return (
            'a network like "192.168.1.0/24" or "fd00::/8", or one address; or a list of 1 to '
            f"{NETWORKS_MAX} of them"
        )

    @property
    def choices(self) -> tuple[str, ...]:
        """None: a network is not listed."""
        return ()

    def read(self, value: object) -> tuple[Network, ...]:
        """Return the networks; a ValueError tells of every one that cannot be used."""
        items = list(value) if isinstance(value, list | tuple) else [value]
        if not items:
            raise ValueError("an empty list; write at least one network, or leave it out")
        if len(items) > NETWORKS_MAX:
            raise ValueError(f"a list of {len(items)} must be 1 to {NETWORKS_MAX} networks")
        found: list[Network] = []
        wrong: list[str] = []
        for item in items:
            try:
                found.append(_network(item))
            except ValueError as error:
                wrong.append(str(error))
        if wrong:
            raise ValueError("; ".join(wrong))
        return tuple(found)

    def show(self, value: object) -> str:
        """Write the networks with commas; none where nothing was written."""
        networks: Iterable[object] = self.read(value) if value else ()
        return ", ".join(map(str, networks)) or "none"


def _network(item: object) -> Network:
    if isinstance(item, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return item
    if not isinstance(item, str):
        raise ValueError(f'{quoted(item)} must be a network like "192.168.1.0/24"')  # noqa: TRY004
    text = item.strip()
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        try:
            meant = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError(
                f'{quoted(item)} must be a network like "192.168.1.0/24" or "fd00::/8", or an '
                "address; names of hosts and of interfaces are none"
            ) from None
        host = text.partition("/")[0]
        raise ValueError(
            f"{quoted(item)} is an address in a network; write {meant} for the network, or {host} "
            "for that address alone"
        ) from None
    if isinstance(network, ipaddress.IPv6Network):
        mapped = network.network_address.ipv4_mapped
        if mapped is not None and network.prefixlen >= 96:
            return ipaddress.ip_network((mapped, network.prefixlen - 96))
    return network
