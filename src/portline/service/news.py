"""What is worth a line in the log: troubles once, and their end as loudly as their beginning.

A warning that is never taken back is the last thing that a person reads, and then it is wrong.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

from portline.config.options import key_of

if TYPE_CHECKING:
    from portline.config.models import ConnectionConfig
    from portline.errors import PortError
    from portline.hub.keep import Keep
    from portline.net.dial import Dialer
    from portline.net.endpoint import Endpoint
    from portline.net.listen import Listener
    from portline.port.base import SerialPort

__all__ = ["News"]

_INPUT_OPTION: Final = re.compile(r"((cts|dsr|dcd|ri)_(dis)?connected|allow_(cts|dsr|dcd|ri))")


class News:
    """The log of one connection, with a memory of what it has said."""

    def __init__(self, log: logging.LoggerAdapter[logging.Logger]) -> None:
        self._log = log
        self._trouble: type[PortError] | None = None
        self._troubled: set[Listener] = set()
        self._endpoint_troubled = False
        self._discarded = 0
        self._not_kept = 0

    def unreadable_lines(self, config: ConnectionConfig) -> None:
        """Tell who wants to see lines at a virtual port which programs can see them."""
        fields = type(config).model_fields
        asked = [name for name in fields if name in config.model_fields_set]
        chosen = [key_of(name) for name in asked if _INPUT_OPTION.fullmatch(name)]
        if chosen and config.is_virtual:
            self._log.warning(
                "%s: only programs that `portline run` starts can read these lines; for others the "
                "kernel has none at a pseudo terminal (ENOTTY)",
                ", ".join(chosen),
            )

    def port_trouble(self, error: PortError) -> None:
        """Tell why the port is not open; another sentence about the same trouble is no news."""
        level = logging.INFO if type(error) is self._trouble else logging.WARNING
        self._trouble = type(error)
        self._log.log(level, "%s", error)

    def port_open(self, port: SerialPort) -> None:
        """Tell that the port is open, and what was lost while it should have been."""
        troubled = self._trouble is not None
        self._trouble = None
        level = logging.WARNING if troubled else logging.INFO
        if port.path is None:  # a port of the kernel's, which is being made
            self._log.log(level, "%s: is open, and will be there in a moment", port.name)
        else:
            self._log.log(level, "%s: is open with %s", port.path, port.state.settings)
        lost, self._discarded = port.discarded - self._discarded, port.discarded
        if troubled and lost:
            self._log.warning("%d bytes for the port were discarded while it was away", lost)

    def listener_changed(self, listener: Listener) -> None:
        """Tell that an address is listened on, or why not."""
        if listener.error is not None:
            self._troubled.add(listener)
            self._log.warning("%s", listener.error)
        elif listener.listening:
            level = logging.WARNING if listener in self._troubled else logging.INFO
            self._troubled.discard(listener)
            self._log.log(level, "listening on %s", listener.address)

    def dialer_changed(self, dialer: Dialer) -> None:
        """Tell that no host answers, and why; that one does is told with the peer."""
        if dialer.error is not None:
            self._log.warning("%s; trying again", dialer.error)

    def endpoint_changed(self, endpoint: Endpoint) -> None:
        """Tell that datagrams cannot be received or sent somewhere, and when that is over."""
        if endpoint.error is not None:
            self._endpoint_troubled = True
            self._log.warning("%s; trying again", endpoint.error)
        elif self._endpoint_troubled:
            self._endpoint_troubled = False
            self._log.warning("datagrams are sent and received as they should be")

    def kept(self, keep: Keep) -> None:
        """Tell how much of what came while nobody was connected did not fit."""
        lost, self._not_kept = keep.discarded - self._not_kept, keep.discarded
        if keep.limit and lost:
            self._log.warning(
                "%d bytes did not fit into buffer-size %d while nobody was connected",
                lost,
                keep.limit,
            )
