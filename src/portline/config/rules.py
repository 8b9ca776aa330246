"""What has to hold between the options of a connection.

The rules look at a table *as it was written*, because only there one can see what was set
explicitly, and because a mistake in one option must not hide a mistake in another.  They are
therefore tolerant: a value that is wrong by itself (its own mistake tells) is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portline.config.kinds import Choice
from portline.config.measures import Duration
from portline.config.networks import NetworkList
from portline.config.options import Combination, exclusion, key_of
from portline.config.places import HostAddresses, ListenAddresses
from portline.config.values import DEFAULT_LISTEN, Protocol
from portline.config.wording import nearest
from portline.hub.lines import Level
from portline.hub.policy import WhenFull
from portline.net.networks import Networks
from portline.port.ladder import Backend
from portline.port.tty.rs485 import Rs485Mode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from portline.config.kinds import Kind

__all__ = [
    "KINDS",
    "Fault",
    "certificate_contradictions",
    "combinations",
    "contradictions",
    "folded",
    "read",
    "unknown",
]

TLS_OPTIONS: Final = (
    "certificate",
    "key",
    "tls_minimum",
    "client_ca",
    "client_crl",
    "ca",
    "fingerprint",
    "tls_name",
)
"""Options that say something only while ``tls`` is true."""

_NO_DTLS: Final = (
    "does not apply to kind udp, because datagrams would need DTLS, which Python's ssl does not "
    "have; take it out and send them through a VPN (WireGuard), or use the kinds server and client"
)

KINDS: Final = ("server", "client", "udp")
"""What a connection may be."""

_ATTEMPTS: Final = Choice({"first": "first", "all": "all"})
_PROMPT: Final = Choice({word: word for word in ("off", "tls", "forced")})
_ACCEPT: Final = Choice({word: word for word in ("known", "learn", "any")})
_BACKENDS: Final = Choice({item.value: item for item in Backend})
_DELAYS: Final = Duration(0, 1e9)
_RS485: Final = Choice({item.value: item for item in Rs485Mode})
_FLOW: Final = Choice({"hardware": "hardware"})
_LEVELS: Final = Choice({item.value: item for item in Level})
_WHEN_FULL: Final = Choice({item.value: item for item in WhenFull})
_NO_TIME: Final = Duration(0, 0, "off")
"""Reads a time that is off, and nothing else."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A mistake at ``location``: the names of the fields that lead to it, or keys as written."""

    location: tuple[str, ...]
    text: str


def unknown(key: str, known: Iterable[str]) -> str:
    """Return the message for a key that does not exist."""
    meant = nearest(key, known)
    hint = f'; did you mean "{meant}"?' if meant else "; take it out"
    return f"unknown option{hint}"


def folded(
    table: Mapping[object, object],
    fields: Iterable[str],
    own: str = "",
    kinds: Mapping[str, Sequence[str]] | None = None,
) -> tuple[dict[str, object], list[Fault]]:
    """Return the table with the names of ``fields`` as keys, and what was wrong with the keys.

    ``max-connections`` and ``max_connections`` are both accepted; both at once is a mistake, and
    so is a key that is no field.  ``own`` is the kind of the connection, and ``kinds`` says which
    kinds have a field, for a key that another kind has.
    """
    known = list(fields)
    result: dict[str, object] = {}
    faults: list[Fault] = []
    for key, value in table.items():
        field = str(key).replace("-", "_")
        if field not in known:
            others = (kinds or {}).get(field)
            text = (
                _NO_DTLS
                if own == "udp" and field in ("tls", *TLS_OPTIONS)
                else (
                    f"is an option of kind {' or '.join(others)}, and this is of kind {own}; "
                    "take it out, or write another kind"
                    if others
                    else unknown(str(key), [key_of(name) for name in known])
                )
            )
            faults.append(Fault((str(key),), text))
        elif field in result:
            text = f'written twice, as "{key_of(field)}" and as "{field}"; keep one'
            faults.append(Fault((str(key),), text))
        else:
            result[field] = value
    return result, faults


def contradictions(table: Mapping[str, object]) -> list[Fault]:
    """Return what is wrong between the options of one connection, given by field names."""
    faults = []
    if "port" in table and "virtual" in table:
        text = "port and virtual exclude each other; keep one of them"
        faults.append(Fault(("virtual",), text))
    if "port" not in table and "virtual" not in table:
        text = (
            'needs a port: write port = "/dev/ttyUSB0" for a real one, '
            'or virtual = "ttyV0" for one that Portline makes'
        )
        faults.append(Fault((), text))
    if table.get("packet_strip") is True and not table.get("packet_delimiter"):
        text = "has nothing to leave out; give packet-delimiter too"
        faults.append(Fault(("packet_strip",), text))
    if table.get("overlap") is True and "/" not in str(table.get("virtual", "/")):
        text = 'needs the path of a device as the virtual port, like virtual = "/dev/ttyS1"'
        faults.append(Fault(("overlap",), text))
    faults += _rs485_contradictions(table)
    backend = read(_BACKENDS, table.get("backend", Backend.AUTO))
    if "adapter" in table and backend in (Backend.PTY, Backend.CUSE):
        text = f"is about the backend usbip, and {backend.value} has none; leave one of them out"
        faults.append(Fault(("adapter",), text))
    faults += _security_contradictions(table)
    if table.get("kind") == "client":
        faults += _client_contradictions(table)
    if table.get("kind") == "udp":
        faults += _udp_contradictions(table)
    faults += _tls_contradictions(table)
    when_full = read(_WHEN_FULL, table.get("when_full", WhenFull.REFUSE))
    if "idle_after" in table and when_full not in (WhenFull.REPLACE_IDLE, None):
        text = "says when a peer is idle, which only when-full = replace-idle asks; give that too"
        faults.append(Fault(("idle_after",), text))
    if "keepalive_retry" in table and read(_NO_TIME, table.get("keepalive")) == 0:
        text = "says when to probe again, but keepalive = off never probes; leave one of them out"
        faults.append(Fault(("keepalive_retry",), text))
    chosen = combinations(table)
    misplaced = ((field, exclusion(field, chosen)) for field in table)
    return [*faults, *(Fault((field,), str(why)) for field, why in misplaced if why)]


def certificate_contradictions(
    table: Mapping[str, object], about_tls: Collection[str]
) -> Iterable[Fault]:
    """Return what contradicts TLS: one of the options ``about_tls`` without it, a key alone."""
    if table.get("tls", False) is False:
        for field in table:
            if field in about_tls:
                text = "is about TLS, which is off; write tls = true too, or leave it out"
                yield Fault((field,), text)
    elif "key" in table and "certificate" not in table:
        yield Fault(("key",), "belongs to a certificate; give certificate too")


def _tls_contradictions(table: Mapping[str, object]) -> Iterable[Fault]:
    yield from certificate_contradictions(table, TLS_OPTIONS)
    if table.get("tls", False) is False:
        return
    if "client_crl" in table and "client_ca" not in table:
        text = "says who is not let in although the CA has signed; give client-ca too"
        yield Fault(("client_crl",), text)
    if "tls_name" in table and "ca" not in table:
        yield Fault(("tls_name",), "is what a CA has signed; give ca too, or leave it out")


def _rs485_contradictions(table: Mapping[str, object]) -> Iterable[Fault]:
    mode = read(_RS485, table.get("rs485", Rs485Mode.OFF))
    if mode is Rs485Mode.OFF:
        for field in table:
            if field.startswith("rs485_"):
                text = 'is about RS-485, which is off; write rs485 = "on" too, or leave it out'
                yield Fault((field,), text)
    elif mode is not None:
        if read(_FLOW, table.get("flow_control")) == "hardware":
            text = "hardware needs RTS, which RS-485 uses for the direction; leave one of them out"
            yield Fault(("flow_control",), text)
        if str(table.get("reset_sequences", "off")).strip().lower() != "off":
            text = "need RTS, which RS-485 uses for the direction; leave one of them out"
            yield Fault(("reset_sequences",), text)
        if table.get("cross_lines") is True:
            text = "drives RTS, which RS-485 uses for the direction; leave one of them out"
            yield Fault(("cross_lines",), text)
        for field in ("rts_connected", "rts_disconnected"):
            if read(_LEVELS, table.get(field, Level.LEAVE)) in (Level.HIGH, Level.LOW):
                text = "RTS is what switches the direction of RS-485; leave one of them out"
                yield Fault((field,), text)


def _security_contradictions(table: Mapping[str, object]) -> Iterable[Fault]:
    asks = table.get("password") is True or "password_file" in table
    if table.get("password") is True and "password_file" in table:
        yield Fault(("password",), "password and password-file exclude each other; keep one")
    prompt = read(_PROMPT, table.get("password_prompt", "off"))
    if prompt in ("tls", "forced") and not asks:
        text = "asks for a password, and there is none; give password-file too"
        yield Fault(("password_prompt",), text)
    elif prompt == "tls" and table.get("tls", False) is False:
        text = "asks inside TLS only, which is off; write tls = true too, or leave it out"
        yield Fault(("password_prompt",), text)
    keeps = ["a password"] if asks else []
    allow = read(NetworkList(), table["allow"]) if "allow" in table else ()
    everybody = isinstance(allow, tuple) and Networks(allow).everybody
    keeps += [
        key_of(field)
        for field in ("allow", "client_ca")
        if field in table and not (field == "allow" and everybody)
    ]
    if table.get("open") is True and keeps:
        text = f"says that everybody is let in, and {keeps[0]} keeps people out; leave one out"
        yield Fault(("open",), text)
    elif table.get("open") is not True and not keeps:
        yield from _open_doors(table, "allow keeps nobody out, so " if everybody else "")


def _open_doors(table: Mapping[str, object], why: str) -> Iterable[Fault]:
    """Return the addresses at which everybody would be let in without anybody having said so."""
    default = () if table.get("kind") == "udp" else DEFAULT_LISTEN
    doors = read(ListenAddresses(), table.get("listen", default))
    kind = table.get("kind", "server")
    if kind == "client" or not isinstance(doors, tuple):
        return
    if kind == "udp" and read(_ACCEPT, table.get("accept", "known")) == "known":
        hosts = read(HostAddresses(), table.get("connect"))
        if not isinstance(hosts, tuple) or not any(host.means_many for host in hosts):
            return  # only the hosts that are named are heard
    for address in doors:
        if not address.is_loopback:
            text = (
                f"{address}: {why}everybody who reaches it would be let in; give a password "
                "(password-file) or networks (allow), or write open = true if that is meant"
            )
            yield Fault(("listen",), text)


def _client_contradictions(table: Mapping[str, object]) -> Iterable[Fault]:
    if "connect" not in table:
        yield Fault((), 'needs a host to connect to: write connect = "HOST:PORT"')
    hosts = read(HostAddresses(), table.get("connect"))
    to_all = read(_ATTEMPTS, table.get("connect_to")) == "all"
    if to_all and isinstance(hosts, tuple) and Protocol.RFC2217 in _protocols(table):
        yield Fault(
            ("connect_to",),
            "all does not apply to protocol rfc2217, because one port has one set of settings; "
            "write first, or choose protocol raw",
        )
    shortest = read(_DELAYS, table.get("retry", 0.2))
    longest = read(_DELAYS, table.get("retry_max", 5.0))
    if isinstance(shortest, float) and isinstance(longest, float) and shortest > longest:
        yield Fault(
            ("retry_max" if "retry_max" in table else "retry",),
            f"retry {shortest:g} s is longer than retry-max {longest:g} s; make it shorter",
        )


def _udp_contradictions(table: Mapping[str, object]) -> Iterable[Fault]:
    accept = read(_ACCEPT, table.get("accept", "known"))
    hosts = read(HostAddresses(), table.get("connect")) if "connect" in table else ()
    doors = read(ListenAddresses(), table.get("listen")) if "listen" in table else ()
    if "connect" not in table and "listen" not in table:
        yield Fault((), 'needs a host to send to, like connect = "HOST:PORT", or listen = PORT')
    elif accept == "known" and "connect" not in table:
        text = (
            "nobody's datagrams would be taken, because connect names no host; name one there, or "
            'write accept = "learn" or "any"'
        )
        yield Fault(("accept" if "accept" in table else "listen",), text)
    if table.get("password") is True or "password_file" in table:
        yield from _udp_password(accept, hosts)
    for field, addresses in (("connect", hosts), ("listen", doors)):
        for address in addresses if isinstance(addresses, tuple) else ():
            if address.protocol is Protocol.RFC2217:
                text = f"{address}: there is no RFC 2217 in datagrams; leave rfc2217:// out"
                yield Fault((field,), text)
    for field in ("max_learned", "forget_after"):
        if field in table and accept in ("known", "any"):
            yield Fault((field,), "is about peers that are learned; give accept = learn too")
    known = [*hosts, *doors] if isinstance(hosts, tuple) and isinstance(doors, tuple) else None
    if known is not None and not any(address.may_be_group for address in known):
        for field in ("multicast_ttl", "multicast_loop"):
            if field in table:
                text = "is about multicast groups, and none is sent to; leave it out"
                yield Fault((field,), text)


def _udp_password(accept: object, hosts: object) -> Iterable[Fault]:
    if accept == "any":
        text = (
            "any takes datagrams of those who are not answered, and a password has to be proved; "
            "write learn"
        )
        yield Fault(("accept",), text)
    for host in hosts if isinstance(hosts, tuple) else ():
        if host.means_many:
            text = (
                f"{host}: a password is proved by one end to one other, and this is a group; leave "
                "the password out, or name each host"
            )
            yield Fault(("connect",), text)


def combinations(table: Mapping[str, object]) -> set[Combination]:
    """Return the combinations in use; all that may be meant where something is wrong."""
    virtual = {"virtual" in table} if ("port" in table) != ("virtual" in table) else {True, False}
    protocols = _protocols(table)
    return {Combination.of(virtual=v, protocol=p) for v in virtual for p in protocols}


def _protocols(table: Mapping[str, object]) -> set[Protocol]:
    try:
        common = Protocol(str(table.get("protocol", "raw")).strip().lower())
    except ValueError:
        if not isinstance(table["protocol"], Protocol):
            return set(Protocol)
        common = table["protocol"]
    if table.get("kind") == "udp":
        return {Protocol.RAW}
    if table.get("kind") == "client":
        addresses = read(HostAddresses(), table.get("connect"))
    else:
        addresses = read(ListenAddresses(), table.get("listen", DEFAULT_LISTEN))
    if not isinstance(addresses, tuple):
        return set(Protocol)
    return {address.resolved(common).protocol for address in addresses}


def read(kind: Kind, value: object) -> object:
    """Return what the kind reads, None for a value that is wrong (its own mistake tells)."""
    try:
        return kind.read(value)
    except ValueError:
        return None
