"""How many files this process may have open, and that its memory is written to none.

Every port, listener and peer is a file.  Most systems give a process a soft limit of 1024, which is
for old programs that use ``select()``, and let it raise that to a hard limit, often half a million.
Portline does not use ``select()``.

What a client proves itself with, the keys of TLS and the data of ports are in the memory, and so in
a core dump (core(5)).
"""

from __future__ import annotations

import logging
import resource
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from portline.config.models import GatewayConfig

__all__ = ["OWN_FILES", "files_needed", "forbid_cores", "raise_file_limit"]

OWN_FILES: Final = 64
"""Files beside those of the connections: the loop's, the log, what is read for a moment, and a few
newcomers who are told that there is no room."""

_LOG: Final = logging.getLogger("portline")


def files_needed(config: GatewayConfig) -> int:
    """Return the files that a configuration needs with one peer on each connection."""
    # One for the port, one for a peer; a client has one for each host, which is enough.
    return OWN_FILES + sum(2 + len(each.places()) for each in config.connections.values())


def forbid_cores(config: GatewayConfig) -> None:
    """Have no core dump of this process kept, if it has secrets; never fails.

    Only the soft limit is lowered (systemd-coredump keeps to it, too), so that who looks for a
    fault may raise it again: ``prlimit --core=unlimited --pid PID``.  PR_SET_DUMPABLE would hide
    from other programs of the same user which ports this one holds (proc(5)), and is left alone.
    """
    connections = config.connections.values()
    if any(each.wants_password or getattr(each, "tls", False) for each in connections):
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def raise_file_limit(needed: int) -> None:
    """Allow this process as many open files as it may have; warn if ``needed`` are more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:  # macOS: more than kern.maxfilesperproc
            _LOG.debug("the limit of open files stays at %d: %s", soft, error)
        else:
            soft = hard
    if soft != resource.RLIM_INFINITY and soft < needed:
        _LOG.warning(
            "these connections need about %d open files, and %d are allowed; raise the limit "
            "(ulimit -n %d, or LimitNOFILE=%d in the systemd unit)",
            needed,
            soft,
            needed,
            needed,
        )
