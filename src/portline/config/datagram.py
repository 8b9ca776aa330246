"""The udp connection: datagrams to and from several hosts, groups, or everybody in a network."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, ClassVar, Final

from pydantic import BaseModel

from portline.config.connection import KIND, Common
from portline.config.kinds import Choice, Number, Switch
from portline.config.measures import Duration, Size
from portline.config.options import Group, Option
from portline.config.packets import PacketOptions
from portline.config.places import HostAddresses, Interface, ListenAddresses
from portline.config.signals import LevelOptions
from portline.config.transfer import Answers, KeepOptions, OpeningOptions, SelectionOptions
from portline.config.trust import NetworkOptions, PasswordOptions
from portline.config.values import Address, Place, Protocol
from portline.hub.policy import Overflow

__all__ = ["Accept", "DatagramOptions", "UdpConnection"]

LEARNED_MAX: Final = 1000
"""Peers; as many as a server may have."""

FORGET_MAX: Final = 24 * 3600
"""Seconds; a day, for devices that report seldom."""

DATAGRAM_MIN: Final = 64
"""Bytes; below that the headers are larger than the data."""

DATAGRAM_MAX: Final = 65507
"""Bytes; what the 16 bits of a length in IPv4 leave beside the headers (RFC 768)."""

DATAGRAM_SIZE: Final = 1452
"""Bytes: an Ethernet frame of 1500, less the headers of IPv6 (40) and UDP (8)."""


class Accept(Enum):
    """Whose datagrams are taken, beside those of the hosts that are sent to."""

    KNOWN = "known"
    LEARN = "learn"
    ANY = "any"


class DatagramOptions(BaseModel):
    """Where datagrams go to and come from."""

    connect: Annotated[
        tuple[Address, ...],
        Option(
            Group.NETWORK,
            HostAddresses(),
            "Where datagrams go: HOST:PORT or [IPV6]:PORT, which may be a multicast group or a "
            "broadcast address; each datagram goes to all of several (see send-to)",
            many=True,
        ),
    ] = ()
    listen: Annotated[
        tuple[Address, ...],
        Option(
            Group.NETWORK,
            ListenAddresses(),
            "The port to receive datagrams on, which they are also sent from: PORT (on 127.0.0.1), "
            "HOST:PORT, [IPV6]:PORT, or *:PORT for every address of this machine",
            "answers come back to the port that datagrams are sent from, and the system finds one",
            many=True,
        ),
    ] = ()
    interface: Annotated[
        str | None,
        Option(
            Group.NETWORK,
            Interface(),
            "Send by this network interface, and hear multicast groups there",
            "the system knows which way a host is",
        ),
    ] = None
    multicast_ttl: Annotated[
        int,
        Option(
            Group.NETWORK,
            Number(0, 255, "hops"),
            "How many networks a datagram for a multicast group may pass through: 0 stays in this "
            "machine, 1 in this network",
            "nobody elsewhere is reached by accident",
        ),
    ] = 1
    multicast_loop: Annotated[
        bool,
        Option(
            Group.NETWORK,
            Switch(),
            "Let programs on this machine hear what is sent to a multicast group; what comes back "
            "here is never taken for data",
            "a group is for the others",
        ),
    ] = False
    accept: Annotated[
        Accept,
        Option(
            Group.CONNECTION,
            Choice({item.value: item for item in Accept}),
            "Whose datagrams are taken: those of the hosts in connect, where a multicast group or "
            "a broadcast address stands for everybody (known); also those of anybody, who is then "
            "sent to as well until it is silent (learn), or is not (any)",
            "the sender of a datagram proves nothing",
        ),
    ] = Accept.KNOWN
    max_learned: Annotated[
        int,
        Option(
            Group.CONNECTION,
            Number(1, LEARNED_MAX, "peers"),
            "How many peers may be learned at the same time; the datagrams of further ones are "
            "turned away",
            "enough for a program, a logger and some people looking on",
        ),
    ] = 8
    forget_after: Annotated[
        float,
        Option(
            Group.CONNECTION,
            Duration(0.1, FORGET_MAX),
            "Forget a learned peer that has sent nothing for this long",
            "nobody is sent to for long who does not want it any more",
        ),
    ] = 60.0
    connect_when_open: Annotated[
        bool,
        Option(
            Group.CONNECTION,
            Switch(),
            "Send and receive only while an application has the virtual port open",
            "peers may send before the application is there",
        ),
    ] = False
    datagram_size: Annotated[
        int,
        Option(
            Group.PACKETS,
            Size(DATAGRAM_MIN, DATAGRAM_MAX),
            "Send at most this many bytes in one datagram, and fewer where the way to a host takes "
            "less; what is longer is divided",
            "it fits into an Ethernet frame, so nothing on the way has to divide it",
        ),
    ] = DATAGRAM_SIZE


class UdpConnection(
    # Pydantic puts the fields of the last base first, as in StreamOptions.
    NetworkOptions,
    DatagramOptions,
    LevelOptions,
    PasswordOptions,
    KeepOptions,
    SelectionOptions,
    OpeningOptions,
    PacketOptions,
    Common,
):
    """A local port whose peers are sent datagrams; nothing is connected, and nothing is spoken."""

    kind: Annotated[str, KIND] = "udp"

    # What the other kinds let people choose, and what makes no difference, or none but this, here.
    protocol: ClassVar[Protocol] = Protocol.RAW
    overflow: ClassVar[Overflow] = Overflow.DROP_OLDEST
    answers: ClassVar[Answers] = Answers.LENIENT
    nodelay: ClassVar[bool] = True
    keepalive: ClassVar[float] = 0.0
    keepalive_retry: ClassVar[float] = 0.0
    inactivity: ClassVar[float] = 0.0
    notify: ClassVar[bool] = False
    allow_settings: ClassVar[bool] = False
    allow_dtr: ClassVar[bool] = False
    allow_rts: ClassVar[bool] = False
    allow_break: ClassVar[bool] = False
    allow_cts: ClassVar[bool] = False
    allow_dsr: ClassVar[bool] = False
    allow_dcd: ClassVar[bool] = False
    allow_ri: ClassVar[bool] = False

    @property
    def hears_everybody(self) -> bool:
        """Tell whether datagrams of others are taken than of the hosts that are named."""
        return self.accept is not Accept.KNOWN or any(host.means_many for host in self.connect)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where to send, then where to receive."""
        return (*self.connect, *self.listen)

    @property
    def only_when_open(self) -> bool:
        """Tell whether the network is left alone while no application has the port open."""
        return self.connect_when_open

    def places(self) -> tuple[Place, ...]:
        """Return where to send, then where to receive."""
        return tuple(address.resolved(Protocol.RAW) for address in self.addresses)

    def protocols(self) -> frozenset[Protocol]:
        """Return what is sent: bytes as they are."""
        return frozenset({Protocol.RAW})
