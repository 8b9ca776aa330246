"""The reference page of all options, made from the models.

``python -m portline.config.reference > docs/reference/options.md`` writes it; a test tells when it
is out of date.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from portline.config.kinds import Switch
from portline.config.models import MODELS, ConnectionConfig, options
from portline.config.options import EXCLUSIONS, Combination, Group, applies_to, key_of
from portline.config.web import WebConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from portline.config.options import Option

__all__ = ["page"]

_HEAD: Final = """\
# Every option

<!-- Made by `python -m portline.config.reference`; change the models, not this page. -->

A configuration is a TOML file with one table for each connection; the table's name is the name of
the connection. A *server* waits for peers to connect, a *client* connects to them, and *udp*
exchanges datagrams with them:

```toml
[connections.meter]
port = "/dev/ttyUSB0"
listen = ["127.0.0.1:4001", "rfc2217://127.0.0.1:4002"]
baudrate = 115200
keepalive = "30s"

[connections.far]
kind = "client"
virtual = "ttyV0"
connect = "rfc2217://192.0.2.7:4001"

[connections.display]
kind = "udp"
port = "/dev/ttyUSB1"
connect = ["192.0.2.8:5000", "239.1.2.3:5000"]
listen = "*:5000"
allow = "192.0.2.0/24"
```

`portline check` names every mistake in it. On the command line of `portline share` (a server),
`portline attach` (a client) and `portline udp` each option but `enabled` is a flag of the same name
(`--baudrate 115200`, `--no-nodelay`); what comes first is the port to share, or the host to connect
or send to.

- A connection has either `port` or `virtual`; all other options may be left out.
- A *time* is a number of seconds, or text like `"500ms"`, `"10s"`, `"5min"`, `"1h"`.
- A *size* is a number of bytes, or text like `"64kB"` (1000), `"64KiB"` (1024), `"1MB"`, `"1MiB"`.
- An *address* is a TCP port, of udp a UDP port (then on 127.0.0.1), or `"HOST:PORT"`, where HOST is
  an IPv4 address, an IPv6 address in brackets, a host name, or `*` for every address of the
  machine, IPv4 and IPv6.
  `raw://` or `rfc2217://` before it sets the protocol of that one listener. Port 0 takes any port
  that is free.
- `max_connections` is read like `max-connections`.
"""

_MARKS: Final = {True: "yes", False: "no"}

_NEEDED: Final = {
    "connect": "none; at least one is needed, but not of a udp that has `listen`",
    "interface": "none: the system knows which way a host is",
    "port": "none; exactly one of `port` and `virtual` is needed",
    "virtual": "none; exactly one of `port` and `virtual` is needed",
    "proxy": "none; hosts are connected to directly",
    "certificate": "none; a server makes one on first use and keeps it, a client shows none",
    "key": "none; it is looked for in the file of the certificate",
    "client_ca": "none; no certificate is asked of peers",
    "client_crl": "none; no certificate is taken for revoked",
    "ca": "none; the certificate that a server shows at first is remembered, and has to stay",
    "fingerprint": "none; see ca",
    "tls_name": "none; the host that is connected to",
}
"""What is told instead of a default where there is none."""


def page() -> str:
    """Return the page."""
    known = _every_option()
    lines = [_HEAD]
    for group in Group:
        lines += [f"## {group.value}", ""]
        for field, models in known.items():
            if _option(models, field).group is group:
                lines += _entry(field, models)
    lines += _table(known)
    lines += ["", *_web()]
    return "\n".join(lines).rstrip("\n") + "\n"


def _every_option() -> dict[str, dict[str, type[ConnectionConfig]]]:
    """Return each option with the kinds of connection that have it, in order."""
    found: dict[str, dict[str, type[ConnectionConfig]]] = {}
    for kind, model in MODELS.items():
        for field in options(model):
            found.setdefault(field, {})[kind] = model
    return found


def _option(models: Mapping[str, type[ConnectionConfig]], field: str) -> Option:
    return options(next(iter(models.values())))[field]


def _entry(field: str, models: Mapping[str, type[ConnectionConfig]]) -> Iterator[str]:
    option = _option(models, field)
    yield f"### `{key_of(field)}`"
    yield ""
    yield from _texts(field, models)
    yield ""
    if len(models) < len(MODELS):
        yield f"- Only of a {' or a '.join(models)}"
    yield f"- Values: {option.kind.allowed}"
    if field in _NEEDED:
        yield f"- Default: {_NEEDED[field]}"
    elif field != "kind":
        yield from _defaults(field, models)
    for item in EXCLUSIONS.get(field, ()):
        yield f"- Not with {item.where}: {item.reason}"
    yield ""


def _texts(field: str, models: Mapping[str, type[ConnectionConfig]]) -> Iterator[str]:
    """Tell what an option does, of each kind where that differs."""
    texts: dict[str, list[str]] = {}
    for kind, model in models.items():
        texts.setdefault(f"{options(model)[field].text}.", []).append(kind)
    for number, (text, kinds) in enumerate(texts.items()):
        if number:
            yield ""
        yield text if len(texts) == 1 else f"Of a {' or a '.join(kinds)}: {text}"


def _defaults(field: str, models: Mapping[str, type[ConnectionConfig]]) -> Iterator[str]:
    """Tell the default, of each kind where they differ."""
    texts: dict[str, list[str]] = {}
    for kind, model in models.items():
        option = options(model)[field]
        why = f": {option.why}" if option.why else ""
        text = f"`{_toml(option, model.model_fields[field].default)}`{why}"
        texts.setdefault(text, []).append(kind)
    for text, kinds in texts.items():
        of = f" of a {' or a '.join(kinds)}" if len(texts) > 1 else ""
        yield f"- Default{of}: {text}"


def _toml(option: Option, value: object) -> str:
    """Return a value as it is written in a file."""
    text = option.kind.show(value)
    bare = isinstance(option.kind, Switch) or text.isdecimal()
    return text if bare else f'"{text}"'


def _table(known: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    yield "## Which option applies where"
    yield ""
    yield (
        "An option that is written for a connection to which it does not apply is refused, with "
        "the reason. Where both protocols are spoken, it is enough that it applies to one of them."
    )
    yield ""
    yield "| option | " + " | ".join([*MODELS, *(item.value for item in Combination)]) + " |"
    yield "|---|" + "---|" * (len(MODELS) + len(Combination))
    for field, models in known.items():
        marks = [kind in models for kind in MODELS]
        if field in {"port", "virtual"}:
            # These two choose the combination, and so apply to one half of the table each.
            marks += [item.is_virtual is (field == "virtual") for item in Combination]
        else:
            marks += [item in applies_to(field) for item in Combination]
        yield f"| `{key_of(field)}` | " + " | ".join(_MARKS[mark] for mark in marks) + " |"


_WEB: Final = """\
## The page

A table `[web]` gives Portline a page, on which the connections are seen, made, changed and used,
and an API for programs. With it there may be no connections at first. `portline serve --web` does
the same without the table.

```toml
[web]
listen = "0.0.0.0:8217"
tls = true
hosts = ["gateway.example"]
```
"""

_WEB_NEEDED: Final = {
    "certificate": "none; one is made on first use and kept",
    "key": "none; it is looked for in the file of the certificate",
    "hosts": "none; its addresses, localhost, and the name of this machine",
}


def _web() -> Iterator[str]:
    yield _WEB
    for field, option in options(WebConfig).items():
        yield f"### `web.{key_of(field)}`"
        yield ""
        yield f"{option.text}."
        yield ""
        yield f"- Values: {option.kind.allowed}"
        if field in _WEB_NEEDED:
            yield f"- Default: {_WEB_NEEDED[field]}"
        else:
            why = f": {option.why}" if option.why else ""
            yield f"- Default: `{_toml(option, WebConfig.model_fields[field].default)}`{why}"
        yield ""


if __name__ == "__main__":
    sys.stdout.write(page())
