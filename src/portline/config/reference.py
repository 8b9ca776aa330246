"""The reference page of all options, made from the models.

``python -m portline.config.reference > docs/reference/options.md`` writes it; a test tells when it
is out of date.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from portline.config.kinds import Switch
from portline.config.models import ServerConnection, options
from portline.config.options import EXCLUSIONS, Combination, Group, applies_to, key_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portline.config.options import Option

__all__ = ["page"]

_HEAD: Final = """\
# Every option

<!-- Made by `python -m portline.config.reference`; change the models, not this page. -->

A configuration is a TOML file with one table for each connection; the table's name is the name of
the connection:

```toml
[connections.meter]
port = "/dev/ttyUSB0"
listen = ["127.0.0.1:4001", "rfc2217://127.0.0.1:4002"]
baudrate = 115200
keepalive = "30s"
```

`portline check` names every mistake in it. On the command line of `portline share` each option is a
flag of the same name (`--baudrate 115200`, `--no-nodelay`), and the port comes first.

- A connection has either `port` or `virtual`; all other options may be left out.
- A *time* is a number of seconds, or text like `"500ms"`, `"10s"`, `"5min"`, `"1h"`.
- A *size* is a number of bytes, or text like `"64kB"` (1000), `"64KiB"` (1024), `"1MB"`, `"1MiB"`.
- An *address* is a TCP port (then on 127.0.0.1), or `"HOST:PORT"`, where HOST is an IPv4 address,
  an IPv6 address in brackets, a host name, or `*` for every address of the machine, IPv4 and IPv6.
  `raw://` or `rfc2217://` before it sets the protocol of that one listener. Port 0 takes any port
  that is free.
- `max_connections` is read like `max-connections`.
"""

_MARKS: Final = {True: "yes", False: "no"}


def page() -> str:
    """Return the page."""
    known = options(ServerConnection)
    lines = [_HEAD]
    for group in Group:
        lines += [f"## {group.value}", ""]
        for field, option in known.items():
            if option.group is group:
                lines += _entry(field, option)
    lines += _table(known)
    return "\n".join(lines).rstrip("\n") + "\n"


def _entry(field: str, option: Option) -> Iterator[str]:
    default = ServerConnection.model_fields[field].default
    yield f"### `{key_of(field)}`"
    yield ""
    yield f"{option.text}."
    yield ""
    yield f"- Values: {option.kind.allowed}"
    if default is None:
        yield "- Default: none; exactly one of `port` and `virtual` is needed"
    else:
        why = f": {option.why}" if option.why else ""
        yield f"- Default: `{_toml(option, default)}`{why}"
    for item in EXCLUSIONS.get(field, ()):
        yield f"- Not with {item.where}: {item.reason}"
    yield ""


def _toml(option: Option, value: object) -> str:
    """Return a value as it is written in a file."""
    text = option.kind.show(value)
    bare = isinstance(option.kind, Switch) or text.isdecimal()
    return text if bare else f'"{text}"'


def _table(known: dict[str, Option]) -> Iterator[str]:
    yield "## Which option applies where"
    yield ""
    yield (
        "An option that is written for a connection to which it does not apply is refused, with "
        "the reason. With listeners of both protocols, it is enough that it applies to one of them."
    )
    yield ""
    yield "| option | " + " | ".join(item.value for item in Combination) + " |"
    yield "|---|" + "---|" * len(Combination)
    for field in known:
        marks = (_MARKS[item in applies_to(field)] for item in Combination)
        # These two choose the combination, and so apply to one half of the table each.
        if field in {"port", "virtual"}:
            virtual = field == "virtual"
            marks = (_MARKS[item.is_virtual is virtual] for item in Combination)
        yield f"| `{key_of(field)}` | " + " | ".join(marks) + " |"


if __name__ == "__main__":
    sys.stdout.write(page())
