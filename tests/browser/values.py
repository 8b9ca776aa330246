"""Forms that set every option to something else than its default, and what has to come of them.

Values are made from the description of the options that the form itself is made of, so an option
that is added is set, too; one of a new sort fails here until it is told what to write.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from portline.config.form import forms
from portline.config.options import Combination, applies_to
from portline.config.values import Protocol
from tests.authority import Authority
from tests.interop.server import free_port

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LEFT_OUT", "Filled", "filled_forms", "options_of"]

LEFT_OUT = {"enabled"}
"""Options that a person sets with a button, not in the form."""

RS485 = {
    "rs485",
    "rs485-rts-on-send",
    "rs485-delay-before",
    "rs485-delay-after",
    "rs485-rx-during-tx",
}
TLS = {
    "tls",
    "certificate",
    "key",
    "tls-minimum",
    "client-ca",
    "client-crl",
    "ca",
    "fingerprint",
    "tls-name",
}
TRUST = {"password", "password-file", "password-prompt", "allow", "deny"}


def options_of(kind: str) -> dict[str, Any]:
    """Return the entries of a kind's form by key, in order."""
    entries = {each.key: each for group in forms()[kind].groups for each in group.options}
    return {key: entry for key, entry in entries.items() if key not in LEFT_OUT}


def other_value(entry: Any) -> Any:
    """Return a value that is allowed and not the default."""
    match entry.value:
        case "flag":
            return not entry.default
        case "choice":
            default = entry.default
            if isinstance(default, bool):
                default = entry.choices[0 if default else 1]
            return next(word for word in reversed(entry.choices) if word != str(default))
        case "integer":
            return int(entry.low if entry.low != entry.default else entry.high)
        case "number":
            return 3.5
        case "duration":
            return "50ms" if entry.key.startswith("rs485") else "7s"
        case "size":
            return "128KiB" if entry.key == "backlog-size" else 512
        case "delimiter":
            return ["\\r\\n", "0x03"]
        case "network":
            return ["192.0.2.0/24", "2001:db8::/32"]
        case "interface":
            return "lo"
        case "proxy":
            return "socks5://127.0.0.1:9"
        case "name":
            return "meter.test"
        case "fingerprint":
            return "sha256:" + "ab" * 32
    raise AssertionError(
        f"{entry.key}: tell tests/browser/values.py what to write for {entry.value}"
    )


@dataclass
class Filled:
    """One form: the options that are filled in, as they have to arrive in the file."""

    name: str
    kind: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def virtual(self) -> bool:
        return "virtual" in self.options


def filled_forms(folder: Path, device: Path) -> list[Filled]:
    """Return forms that together set every option of every kind."""
    authority = Authority(folder)
    own = authority.issue("own", "localhost")
    password = folder / "password"
    password.write_text("correct horse battery\n")
    password.chmod(0o600)
    files = {
        "certificate": own.certificate,
        "key": own.key,
        "client-ca": authority.file,
        "client-crl": authority.revoke(authority.issue("lost")),
        "ca": authority.file,
        "password-file": str(password),
    }

    def form(
        name: str,
        kind: str,
        protocol: str = "raw",
        without: set[str] = frozenset(),
        only: set[str] | None = None,
        **given: Any,
    ) -> Filled:
        options = {key.replace("_", "-"): value for key, value in given.items()}
        combination = Combination.of(virtual="virtual" in options, protocol=Protocol(protocol))
        if protocol != "raw":
            options["protocol"] = protocol
        made = dict(options)
        for key, entry in options_of(kind).items():
            applies = combination in applies_to(key.replace("-", "_"))
            if (
                key in options
                or key in without
                or (only is not None and key not in only)
                or not applies
                or key in ("port", "virtual", "protocol")
            ):
                continue
            made[key] = files[key] if key in files else other_value(entry)
        return Filled(name, kind, made)

    def port() -> str:
        return f"127.0.0.1:{free_port()}"

    return [
        form(
            "server-real-raw",
            "server",
            port=f"{device}-absent",
            listen=[port(), port()],
            without={"password", "open", "rts-connected", "rts-disconnected"},
            flow_control="xon-xoff",
            when_full="replace-idle",
        ),
        form(
            "server-real-rfc2217",
            "server",
            "rfc2217",
            port=str(device),
            listen=port(),
            baudrate=19200,
            without=RS485 | TLS | TRUST | {"idle-after"},
        ),
        form(
            "server-virtual-raw",
            "server",
            virtual=str(folder / "ttyRAW"),
            listen=port(),
            without={"open", "password-file", "backend", "client-crl"},
            when_full="replace-idle",
        ),
        form(
            "server-virtual-rfc2217",
            "server",
            "rfc2217",
            virtual=str(folder / "ttyLINES"),
            listen=port(),
            backend="pty",
            without=TLS | TRUST | {"adapter", "idle-after", "overlap"},
        ),
        form(
            "client-real-raw",
            "client",
            port=f"{device}-elsewhere",
            connect=["192.0.2.7:4001", "[2001:db8::7]:4001"],
            without={"password", "ca", "tls-name", "rts-connected", "rts-disconnected"},
            flow_control="xon-xoff",
        ),
        form(
            "client-virtual-rfc2217",
            "client",
            "rfc2217",
            virtual=str(folder / "ttyFAR"),
            connect="127.0.0.1:9",
            without={"password-file", "fingerprint", "connect-to", "backend"},
        ),
        # What the forms above leave out, because it does not go with something else there.
        form(
            "client-real-rfc2217",
            "client",
            "rfc2217",
            port=f"{device}-third",
            connect="127.0.0.1:9",
            only={
                "reset-sequences",
                "cross-lines",
                "allow-settings",
                "rts-connected",
                "rts-disconnected",
            },
        ),
        form(
            "client-virtual-raw",
            "client",
            virtual=str(folder / "ttyFAR2"),
            connect="127.0.0.1:9",
            backend="pty",
            only=set(),
        ),
        form(
            "udp-real",
            "udp",
            port=f"{device}-fourth",
            connect="127.0.0.1:9",
            listen=port(),
            accept="learn",
            without={
                "password",
                "open",
                "multicast-ttl",
                "multicast-loop",
                "rts-connected",
                "rts-disconnected",
                "interface",
            },
            flow_control="xon-xoff",
        ),
        form(
            "udp-virtual",
            "udp",
            virtual=str(folder / "ttyUDP"),
            connect="239.1.2.3:5000",
            listen=f"*:{free_port()}",
            accept="any",
            backend="pty",
            without=TRUST | {"adapter", "overlap", "max-learned", "forget-after"},
        ),
        form(
            "udp-secret",
            "udp",
            port=f"{device}-fifth",
            connect="127.0.0.1:9",
            only={"password", "rts-connected", "rts-disconnected"},
        ),
        form(
            "udp-adapter",
            "udp",
            virtual=str(folder / "ttyUDP2"),
            connect="127.0.0.1:9",
            only={"adapter", "overlap"},
        ),
    ]
