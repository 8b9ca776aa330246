"""What an application does at its end of a virtual port, and sees there."""

from __future__ import annotations

from portline.line import LineSettings, ModemLines
from portline.port.tty.termios2 import encode, read_attributes, write_attributes
from tests.ports import FarEnd

UP = ModemLines(cts=True, dsr=True, dcd=True)
"""What the far end of the cable reads while an application has DTR and RTS on."""


def set_line(far: FarEnd, settings: LineSettings) -> None:
    write_attributes(far.fd, encode(settings, read_attributes(far.fd)))
