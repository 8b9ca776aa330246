"""What is put right before anything is opened: what a killed Portline has left behind.

Links of virtual ports are not among it: a port that takes such a name replaces the link itself, and
nothing is hidden by one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from portline.port.names.overlap import is_private
from portline.port.names.repair import repair_overlaps

if TYPE_CHECKING:
    from portline.config.models import GatewayConfig

__all__ = ["recover"]

_LOG: Final = logging.getLogger("portline")


def recover(config: GatewayConfig) -> None:
    """Uncover devices over which dead virtual ports lie; warn of overlaps that nobody will see."""
    repairs = repair_overlaps()
    for path in repairs.done:
        _LOG.warning("%s: is the device again; a virtual port that was killed lay over it", path)
    for error in repairs.failed:
        _LOG.warning("%s", error)
    if any(each.overlap for each in config.connections.values()) and is_private():
        _LOG.warning(
            "overlap: only this program sees its virtual ports over their devices, because it has "
            "mounts of its own; take PrivateDevices, ProtectSystem and the like out of its "
            "service"
        )
