"""Every operation that there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portline.control.operations.configuration import CONFIGURATION
from portline.control.operations.form import FORM
from portline.control.operations.machine import MACHINE
from portline.control.operations.panel import PANEL
from portline.control.operations.process import PROCESS
from portline.control.operations.running import RUNNING
from portline.control.operations.streams import STREAMS
from portline.control.operations.terminal import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portline.control.operations.operation import Operation

__all__ = ["OPERATIONS"]

OPERATIONS: Final[Mapping[str, Operation]] = {
    operation.name: operation
    for operation in (
        *PROCESS,
        *CONFIGURATION,
        *RUNNING,
        *PANEL,
        *MACHINE,
        *FORM,
        *STREAMS,
        *TERMINAL,
    )
}
"""Every operation by its name."""
