"""How many files this process may have open: every port, listener and peer is one.

Most systems give a process a soft limit of 1024, which is for old programs that use ``select()``,
and let it raise that to a hard limit, often half a million.  Portline does not use ``select()``.
"""

from __future__ import annotations

import logging
import resource
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from portline.config.models import GatewayConfig

__all__ = ["OWN_FILES", "files_needed", "raise_file_limit"]

OWN_FILES: Final = 64
"""Files beside those of the connections: the loop's, the log, what is read for a moment, and a few
newcomers who are told that there is no room."""

_LOG: Final = logging.getLogger("portline")


def files_needed(config: GatewayConfig) -> int:
    """Return the files that a configuration needs with one peer on each connection."""
    # One for the port, one for a peer; a client has one for each host, which is enough.
    return OWN_FILES + sum(2 + len(each.places()) for each in config.connections.values())


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
