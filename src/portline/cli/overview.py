"""One connection as a few lines: what it is, does and has done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from portline.cli.layout import (
    INDENT,
    LABEL,
    clean,
    columns,
    entry,
    paragraph,
    quantity,
    together,
)
from portline.line import FlowControl, LineSettings, Parity, StopBits
from portline.plural import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["NUMBERS", "overview"]

NUMBERS: Final[Mapping[str, str]] = {
    "kept": "{bytes} kept for the next peer",
    "keep_discarded": "{bytes} not kept while nobody was connected (buffer-size)",
    "unheard": "{bytes} from the port went to no peer (send-to)",
    "unspoken": "{bytes} from peers not let through (receive-from)",
    "dropped": "{bytes} dropped for peers that read too slowly, went or were not there",
    "turned_away": "{count} turned away",
    "replaced": "{count} replaced by newcomers",
    "recognised": "{count} reset sequence{s} run here (reset-sequences)",
    "watchers": "{count} watching",
    "watch_skipped": "{bytes} skipped by who watches (monitor, record), too slow",
    "operators_dropped": "{bytes} not shown in terminals that were too slow",
    "divided": "{count} packet{s} sent as several datagrams",
    "returned": "{count} datagram{s} did not arrive (ICMP)",
    "strangers": "{count} datagram{s} of strangers not taken (accept)",
    "echoes": "{count} datagram{s} of our own came back",
    "overrun": "{count} datagram{s} came faster than they were read",
    "handshakes_plain_text": "{count} spoke plain text and not TLS",
    "handshakes_old_version": "{count} spoke no version of TLS that is allowed (tls-minimum)",
    "handshakes_bad_certificate": "{count} certificate{s} refused",
    "handshakes_no_certificate": "{count} showed no certificate (client-ca)",
    "handshakes_refused_by_peer": "{count} refused our certificate",
    "handshakes_timed_out": "{count} TLS handshake{s} not over in time",
    "handshakes_crowded_out": "{count} TLS handshake{s} gave way to others",
    "handshakes_given_up": "{count} went before TLS was agreed on",
    "handshakes_broken": "{count} TLS handshake{s} broken",
    "denied": "{count} not let in by their address (allow, deny)",
    "logins": "{count} login{s}",
    "wrong_password": "{count} login{s} with a wrong password",
    "other_certificate": "{count} login{s} through somebody in the middle (another certificate)",
    "no_binding": "{count} login{s} not bound to TLS",
    "no_login": "{count} did not log in, but said something else",
    "login_too_late": "{count} did not log in in time",
    "login_broken_off": "{count} came and went without a login",
    "login_crowded": "{count} not let in because too many logged in at the same time",
    "login_slowed": "{count} told to wait after wrong passwords from their address",
    "bad_login": "{count} login{s} not understood",
    "login_under_way": "{count} login{s} under way",
    "addresses_slowed": "{count} address{es} told to wait after wrong passwords",
    "truncated": "{count} TLS connection{s} cut off",
    "waiting": "{bytes} wait for the device",
    "discarded": "{bytes} for the port discarded (it was away or not open, or purged)",
    "refused": "{count} request{s} that the driver refused",
}
"""Counters of a connection and of its port, and what they tell a person.

One that is not in here is shown by its name, so that none is hidden."""

DRIVER_COUNTERS: Final[Mapping[str, str]] = {
    "framing": "framing error{s}",
    "overrun": "overrun{s} of the UART",
    "parity": "parity error{s}",
    "buffer_overrun": "overrun{s} of the driver",
}
"""What the driver counts, where the name of the counter says too little."""

TRAFFIC: Final = ("heard", "spoken")

_NETWORK: Final = {"server": "listens", "client": "calls", "udp": "datagrams"}
"""The label of where a kind of connection meets its peers."""

_OUT: Final = ("dtr", "rts")
_IN: Final = ("cts", "dsr", "dcd", "ri")

_Json = dict[str, Any]


def overview(connection: _Json, width: int, *, everything: bool = False) -> list[str]:
    """Return the lines, without the options; ``everything``: counters that are zero, too."""
    title = f"{clean(connection['name'])}: {clean(connection['state'])}"
    if connection["reason"]:
        title += f" - {clean(connection['reason'])}"
    lines = paragraph(title, width)
    lines += entry("port", _port(connection["port"]), width)
    where = clean(", ".join(connection["places"])) or "nowhere"
    lines += entry(_NETWORK[connection["options"]["kind"]], where, width)
    if connection.get("access"):
        lines += entry("access", clean(connection["access"]), width)
    if connection["port"]["open"]:
        lines += entry("lines", _lines(connection["port"]), width)
    if (hardware := connection["port"].get("hardware")) and (driver := _driver(hardware)):
        lines += entry("driver", driver, width)
    if connection.get("security"):
        lines += entry("security", _security(connection["security"]), width)
    if connection["port"].get("backend"):
        lines += entry("backend", _backend(connection["port"]), width)
    lines += entry("traffic", _traffic(connection), width)
    lines += _peers(connection["peers"])
    numbers = list(_numbers(connection, everything=everything))
    if everything:
        lines += ["", "  Counters", *(f"    {number}" for number in numbers)]
    elif numbers:
        lines += entry("counted", together(numbers), width)
    return lines


def _is_virtual(port: _Json) -> bool:
    return port["in_use"] is not None


def _port(port: _Json) -> str:
    where = port["path"]
    name = port["name"] if where in (None, port["name"]) else f"{port['name']} ({where})"
    if _is_virtual(port):
        use = "an application has it open" if port["in_use"] else "no application has it open"
    else:
        use = "open" if port["open"] else "not open"
    kind = "virtual, " if _is_virtual(port) else ""
    return f"{clean(name)}, {kind}{settings(port['settings'])}, {use}"


def settings(given: _Json) -> str:
    """Write settings in the usual notation."""
    inbound = given["inbound_flow"]
    return str(
        LineSettings(
            baudrate=int(given["baudrate"]),
            data_bits=int(given["data_bits"]),
            parity=Parity[given["parity"].upper()],
            stop_bits=StopBits(given["stop_bits"]),
            flow_control=FlowControl(given["flow_control"]),
            inbound_flow=None if inbound is None else FlowControl(inbound),
        )
    )


def _backend(port: _Json) -> str:
    kind = clean(port["backend"]) + (f" ({clean(port['adapter'])})" if port["adapter"] else "")
    return f"{kind}: {clean(', '.join(port['abilities']))}"


def _security(security: _Json) -> str:
    parts = [f"TLS {clean(security['minimum'])} or newer"]
    if security["certificate"]:
        parts.append(f"certificate {clean(security['certificate'])}")
    if security["handshakes"]:
        parts.append(f"{plural(security['handshakes'], 'handshake')} under way")
    return ", ".join(parts)


def _lines(port: _Json) -> str:
    if not port.get("has_lines", True):
        return "none: the device has no signal lines"
    read = _levels(_IN, port.get("inputs") or port["lines"])
    if _is_virtual(port):
        return f"{read} (as the application reads them)"
    return f"{_levels(_OUT, port)} (out), {read} (in)"


def _driver(hardware: _Json) -> str:
    """Write who drives the port and how, with what it has counted since it was loaded.

    "" where nothing is known of that, as of a pseudo terminal.
    """
    parts = list(hardware["features"])
    if hardware.get("stuck"):
        parts.append(f"{plural(hardware['stuck'], 'time')} stuck while sending")
    if hardware["lines"] != "none":  # that there are none is told where the lines are
        parts.append(f"lines {hardware['lines']}")
    for name, count in (hardware["counters"] or {}).items():
        if count:
            parts.append(_worded(f"{{count}} {DRIVER_COUNTERS.get(name, name)}", count))
    if hardware["driver"] or parts:
        parts.insert(0, hardware["driver"] or "unknown")
    return clean(", ".join(parts))


def _levels(names: tuple[str, ...], values: _Json) -> str:
    return ", ".join(f"{name.upper()} {'on' if values[name] else 'off'}" for name in names)


def _traffic(connection: _Json) -> str:
    counters, rates = connection["counters"], connection["rates"]
    parts = []
    for name, where in zip(TRAFFIC, ("from the port", "to the port"), strict=True):
        rate = "" if rates[name] is None else f" ({quantity(rates[name])}/s)"
        parts.append(f"{quantity(counters[name])} {where}{rate}")
    return ", ".join(parts)


def _numbers(connection: _Json, *, everything: bool) -> Iterator[str]:
    port = connection["port"]
    counters = {k: v for k, v in connection["counters"].items() if k not in TRAFFIC}
    ours = {k: v for k, v in port.items() if isinstance(v, int) and not isinstance(v, bool)}
    for name, value in (counters | ours).items():
        if value or everything:
            words = NUMBERS.get(name, f"{{count}} {clean(name).replace('_', ' ')}")
            yield _worded(words, value)


def _worded(words: str, count: int) -> str:
    """Fill in ``{count}`` or ``{bytes}``, and ``{s}`` or ``{es}`` at the end of the noun."""
    s, es = ("", "") if count == 1 else ("s", "es")
    return words.format(bytes=quantity(count), count=count, s=s, es=es)


def _peers(peers: list[_Json]) -> Iterator[str]:
    """Return a table; columns that say nothing are left out."""
    if not peers:
        return
    titles = ["ADDRESS", "PROTOCOL", "SINCE", "IN", "OUT"]
    shown = {"waiting": "WAITING", "dropped": "DROPPED", "malformed": "NOT UNDERSTOOD"}
    extra = [key for key in shown if any(peer[key] for peer in peers)]
    secured = any(peer.get("security") for peer in peers)
    titles += ["ENCRYPTION"] if secured else []
    proved = any(peer.get("login") for peer in peers)
    titles += ["LOGIN"] if proved else []
    rows = [[*titles, *(shown[key] for key in extra)]]
    for peer in peers:
        cells = [clean(peer["address"]), clean(peer["protocol"]), _since(peer["connected_for"])]
        cells += [quantity(peer["received"]), quantity(peer["sent"])]
        cells += [_protection(peer.get("security"))] if secured else []
        cells += [clean(peer.get("login") or "none")] if proved else []
        numbers = (str(peer[k]) if k == "malformed" else quantity(peer[k]) for k in extra)
        rows.append([*cells, *numbers])
    head, *rest = columns(rows)
    yield f"{'  peers':{INDENT + LABEL}}{head}"
    yield from (" " * (INDENT + LABEL) + line for line in rest)


def _protection(security: _Json | None) -> str:
    """Write what protects a peer, and who it is where a certificate tells."""
    if not security:
        return "none"
    who = security["subject"] or security["fingerprint"][: len("sha256:") + 16]
    return clean(" ".join(filter(None, (security["version"], who))))


def _since(seconds: float) -> str:
    now = time.time()
    then = time.localtime(now - seconds)
    today = time.localtime(now)[:3] == then[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M", then)
