"""What the machine's serial ports are wired to.

=============  ==================  ==============================================================
port           chip                other end
=============  ==================  ==============================================================
/dev/ttyS0     16550A on ISA       the kernel's console, kept in a file of the run
/dev/ttyS1     16550A on ISA       the channel ``ttyS1``: a file in the guest without any terminal
/dev/ttyS2     16550A on ISA       /dev/ttyS3
/dev/ttyS3     16550A on ISA       /dev/ttyS2
/dev/ttyS4     16550A on PCI       /dev/ttyS5
/dev/ttyS5     16550A on PCI       /dev/ttyS4
=============  ==================  ==============================================================

A channel is a virtio port: ``/sys/class/virtio-ports/*/name`` tells its name.  The channel
``monitor`` speaks QMP with the machine, so that a test can send a break into a port, and
``output`` is what the command writes.  A channel holds its writer back as a network does; a UART
without flow control loses what its reader does not take, as on any desk.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PAIRS", "UARTS", "Wiring"]

UARTS: Final = 6
"""Serial ports of the machine; the kernel makes only four unless it is told."""

CHANNEL: Final = "virtserialport"

PAIRS: Final = (
    (("isa-serial,index=1", "ttyS1"), (CHANNEL, "ttyS1-far")),
    (("isa-serial,index=2", "ttyS2"), ("isa-serial,index=3", "ttyS3")),
    (("pci-serial", "ttyS4"), ("pci-serial", "ttyS5")),
)
"""The two ends of each wire: a device and the name that the monitor has for its line."""


class Wiring:
    """The wires as pairs of sockets that QEMU inherits; close them once it has started.

    ``output`` is the runner's end of what the command writes, not inherited.
    """

    def __init__(self) -> None:
        self.output, self._far_output = socket.socketpair()
        self._pairs = [socket.socketpair() for _ in range(len(PAIRS) + 1)]

    @property
    def descriptors(self) -> list[int]:
        """What QEMU has to inherit."""
        return [each.fileno() for pair in self._pairs for each in pair] + [
            self._far_output.fileno()
        ]

    def arguments(self) -> Iterator[str]:
        """Give the part of the command line that describes it."""
        yield from ("-device", "virtio-serial-pci")
        yield from _end(self._far_output, CHANNEL, "output")
        for sockets, ends in zip(self._pairs[1:], PAIRS, strict=True):
            for each, (device, name) in zip(sockets, ends, strict=True):
                yield from _end(each, device, name)
        monitor, channel = self._pairs[0]
        yield from ("-chardev", f"socket,id=qmp,fd={monitor.fileno()}", "-qmp", "chardev:qmp")
        yield from _end(channel, CHANNEL, "monitor")

    def close_inherited(self) -> None:
        """Close all that QEMU has of its own by now, so that its end is seen."""
        for pair in self._pairs:
            for each in pair:
                each.close()
        self._far_output.close()

    def close(self) -> None:
        """Close everything."""
        self.close_inherited()
        self.output.close()


def _end(line: socket.socket, device: str, name: str) -> Iterator[str]:
    yield from ("-chardev", f"socket,id={name},fd={line.fileno()}")
    channel = f",name={name.removesuffix('-far')}" if device == CHANNEL else ""
    yield from ("-device", f"{device},chardev={name}{channel}")
