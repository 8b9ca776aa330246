"""What is worth a line in the log: troubles once, and their end wherever their beginning is seen.

A warning that is never taken back is the last thing that a person reads, and then it is wrong.  Its
end is a notice, so that whoever waits for warnings is not called for good news.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

from portline.config.models import UdpConnection
from portline.config.options import key_of
from portline.plural import plural
from portline.service.network.access import open_doors
from portline.service.process.log import NOTICE

if TYPE_CHECKING:
    from portline.config.models import ConnectionConfig
    from portline.errors import PortError
    from portline.hub.keep import Keep
    from portline.net.dial import Dialer
    from portline.net.listen import Listener
    from portline.net.udp.endpoint import Endpoint
    from portline.port.base import SerialPort

__all__ = ["News"]

_NUMBER: Final = re.compile(r"\d+")
_OUTPUT_OPTIONS: Final = ("dtr_connected", "rts_connected", "dtr_disconnected", "rts_disconnected")
_INPUT_OPTION: Final = re.compile(r"((cts|dsr|dcd|ri)_(dis)?connected|allow_(cts|dsr|dcd|ri))")


class News:
    """The log of one connection, with a memory of what it has said."""

    def __init__(self, log: logging.LoggerAdapter[logging.Logger]) -> None:
        self._log = log
        self._trouble: type[PortError] | None = None
        self._troubled: set[Listener] = set()
        self._unreached: set[Dialer] = set()
        self._refusals: dict[str, str] = {}  # of one connection's hosts
        self._missing: list[str] = []
        self._misunderstood: set[str] = set()  # of one connection's hosts
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

    def missing_lines(self, config: ConnectionConfig, port: SerialPort) -> None:
        """Tell who wants to drive the lines of a device that has none; once for each wish."""
        wishes = [] if port.has_lines else _outputs_driven(config)
        if wishes and wishes != self._missing:
            self._log.warning(
                "%s: has no signal lines, so %s cannot be done; leave that out, or use an adapter "
                "that has them",
                port.path,
                ", ".join(wishes),
            )
        self._missing = wishes

    def unheard_groups(self, config: ConnectionConfig) -> None:
        """Tell who listens at one address of this machine that groups are not heard there.

        Linux gives a socket that is bound to an address what is sent to that address only
        (ip(7), __udp_is_mcast_sock in net/ipv4/udp.c).
        """
        if not isinstance(config, UdpConnection):
            return
        hosts = [address for address in config.connect if address.means_many]
        doors = [address for address in config.listen if address.is_one]
        if hosts and doors and len(doors) == len(config.listen):
            self._log.warning(
                "listen: what is sent to %s is not heard at %s; to hear it, listen at *:%d",
                ", ".join(address.host for address in hosts),
                ", ".join(map(str, doors)),
                hosts[0].port,
            )

    def open_doors(self, config: ConnectionConfig) -> None:
        """Tell that nothing keeps anybody out."""
        if doors := open_doors(config):
            self._log.warning("open to everybody who reaches %s (open = true)", ", ".join(doors))

    def port_trouble(self, error: PortError) -> None:
        """Tell why the port is not open; another sentence about the same trouble is no news."""
        level = logging.INFO if type(error) is self._trouble else logging.WARNING
        self._trouble = type(error)
        self._log.log(level, "%s", error)

    def port_open(self, port: SerialPort) -> None:
        """Tell that the port is open, and what was lost while it should have been."""
        troubled = self._trouble is not None
        self._trouble = None
        level = NOTICE if troubled else logging.INFO
        if port.path is None:  # a port of the kernel's, which is being made
            self._log.log(level, "%s: is open, and will be there in a moment", port.name)
        else:
            self._log.log(level, "%s: is open with %s", port.path, port.state.settings)
        lost, self._discarded = port.discarded - self._discarded, port.discarded
        if troubled and lost:
            told = plural(lost, "byte")
            self._log.warning("discarded %s for the port while it was away", told)

    def listener_changed(self, listener: Listener) -> None:
        """Tell that an address is listened on, or why not."""
        if listener.error is not None:
            self._troubled.add(listener)
            self._log.warning("%s", listener.error)
        elif listener.listening:
            level = NOTICE if listener in self._troubled else logging.INFO
            self._troubled.discard(listener)
            self._log.log(level, "listening on %s", listener.address)

    def dialer_changed(self, dialer: Dialer) -> None:
        """Tell that no host answers, and why, and when one does."""
        if dialer.error is not None:
            self._unreached.add(dialer)
            self._log.warning("%s; trying again", dialer.error)
        elif dialer in self._unreached:
            self._unreached.discard(dialer)
            self._log.log(NOTICE, "%s: is connected", dialer.reached)

    def refused(self, peer: str, refusal: str) -> None:
        """Tell that a server has no place for us; the same words again are no news.

        Nor are other numbers in them: many servers tell the time, or who is there since when.
        """
        words = _NUMBER.sub("0", refusal)
        if self._refusals.get(peer) != words:
            self._refusals[peer] = words
            self._log.warning("%s: %s; trying again", peer, refusal)

    def misunderstood(self, peer: str) -> None:
        """Tell that a server speaks RFC 2217 and is called as a raw one; once for each."""
        if peer not in self._misunderstood:
            self._misunderstood.add(peer)
            self._log.warning(
                "%s: speaks RFC 2217, and is called as raw: its commands arrive as data; connect "
                "to rfc2217://%s",
                peer,
                peer,
            )

    def taken(self, peer: str) -> None:
        """Tell that a server takes us which did not."""
        if self._refusals.pop(peer, None) is not None:
            self._log.log(NOTICE, "%s: serves us now", peer)

    def endpoint_changed(self, endpoint: Endpoint) -> None:
        """Tell that datagrams cannot be received or sent somewhere, and when that is over."""
        if endpoint.error is not None:
            self._endpoint_troubled = True
            self._log.warning("%s; trying again", endpoint.error)
        elif self._endpoint_troubled:
            self._endpoint_troubled = False
            self._log.log(NOTICE, "datagrams are sent and received as they should be")

    def kept(self, keep: Keep) -> None:
        """Tell how much of what came while nobody was connected did not fit."""
        lost, self._not_kept = keep.discarded - self._not_kept, keep.discarded
        if keep.limit and lost:
            self._log.warning(
                "%s did not fit into buffer-size %d while nobody was connected",
                plural(lost, "byte"),
                keep.limit,
            )

    def ended(self, keep: Keep) -> None:
        """Tell at the end what nobody will get any more."""
        self.kept(keep)
        if keep:
            self._log.warning("lost %s kept for the next peer", plural(len(keep), "byte"))


def _outputs_driven(config: ConnectionConfig) -> list[str]:
    """Return the options that drive lines of a real port, as they are written."""
    levels = {name: getattr(config, name) for name in _OUTPUT_OPTIONS}
    wishes = [
        f"{key_of(name)} = {level.value}"
        for name, level in levels.items()
        if level.driven is not None
    ]
    if getattr(config, "cross_lines", False):
        wishes.append("cross-lines")
    return [] if config.is_virtual else wishes
