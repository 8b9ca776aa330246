"""Line faults in the input: what PARMRK writes, read back.

Theory of operation
-------------------
With PARMRK and INPCK the kernel's line discipline (n_tty.c) puts faults between the bytes:

==============  ==========================================  ==================
in the input    meaning                                     data
==============  ==========================================  ==================
``FF FF``       the byte FF                                 ``FF``
``FF 00 00``    a break (or a NUL with a fault)             ``00``
``FF 00 x``     the byte x, with a parity or framing fault  ``x``
``FF`` other    not marked: it was received before marking  both, as they are
==============  ==========================================  ==================

The data is the same as without marks, where a break also reads as NUL: watching a line does not
change what the peers get.  The kernel does not tell parity from framing; with parity off it can
only be framing, and the owner of the decoder knows that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portline.line import LineFault

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Marks"]

MARK: Final = b"\xff"
PAIR: Final = b"\xff\xff"
UNFINISHED: Final = (b"\xff", b"\xff\x00")


class Marks:
    """The decoder of one port's input.

    ``parity_in_use`` says how a faulty byte is reported: as a parity fault where the line has
    parity, as a framing fault where it has none.
    """

    def __init__(self, *, parity_in_use: bool = False) -> None:
        self.parity_in_use = parity_in_use
        self._rest = b""

    def feed(self, chunk: bytes) -> Sequence[bytes | LineFault]:
        """Return data and faults in their order; the same for any division into chunks.

        Data comes in non-empty pieces, never two in a row.  A fault comes before its byte.
        """
        if self._rest:
            chunk = self._rest + chunk
            self._rest = b""
        marks = chunk.count(MARK)
        if marks == 0:
            return (chunk,) if chunk else ()
        # A chunk starts between marks, so the first mark that is no pair makes a run of odd length.
        if marks == 2 * chunk.count(PAIR):
            return (chunk.replace(PAIR, MARK),)
        return self._marked(chunk)

    def flush(self) -> bytes:
        """Return an unfinished mark as the data that it is, when marking has been switched off."""
        rest, self._rest = self._rest, b""
        return rest

    def _marked(self, chunk: bytes) -> list[bytes | LineFault]:
        events: list[bytes | LineFault] = []
        data = bytearray()
        start = position = 0
        while (position := chunk.find(MARK, position)) >= 0:
            mark = chunk[position : position + 3]
            if mark in UNFINISHED:
                self._rest = mark
                chunk = chunk[:position]
                break
            if mark[1] == 0xFF:
                data += chunk[start : position + 1]
                start = position = position + 2
            elif mark[1] == 0:
                data += chunk[start:position]
                if data:
                    events.append(bytes(data))
                    data.clear()
                events.append(self._fault(mark[2]))
                start = position + 2
                position += 3
            else:
                position += 1
        data += chunk[start:]
        if data:
            events.append(bytes(data))
        return events

    def _fault(self, byte: int) -> LineFault:
        if byte == 0:
            return LineFault(break_received=True)
        if self.parity_in_use:
            return LineFault(parity=True)
        return LineFault(framing=True)
