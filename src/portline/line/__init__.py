"""The vocabulary of every layer: what can be said about, to and by a serial line.

Theory of operation
-------------------
An RFC 2217 suboption, a ``tcsetattr`` on a virtual port and a change of a modem line on real
hardware are turned into the same few frozen values here.  Ports and protocols know these values
and nothing of each other; the hub decides who hears and who may speak.

*Data* is plain ``bytes``: it is by far the most frequent event, and a wrapper would cost more than
the rest of the way from the device to the socket.

Two directions, two kinds of word:

* A :data:`Request` goes towards the serial port: :class:`SetLine`, :class:`SetModem`,
  :class:`SetBreak`, :class:`SendBreak`, :class:`Purge`, :class:`Query`, and from nobody but us
  :class:`Hold` and :class:`SetInputs`.  A port carries requests out in the order in which they
  and the data arrived, and answers each one exactly once with the :class:`PortState` that is in
  force afterwards - also when it could not or would not do it.
* A :data:`Report` comes from the serial side or tells about it: :class:`ModemChange`,
  :class:`LineChange`, :class:`BreakChange`, :class:`LineFault`, and from a remote access server
  :class:`Told`.

Everything is a value: equal when the contents are equal, never changed, without I/O.
"""

from portline.line.events import (
    BreakChange,
    Event,
    Flow,
    Gone,
    LineChange,
    LineFault,
    ModemChange,
    Report,
    Told,
    Watch,
)
from portline.line.requests import (
    BREAK_PULSE,
    Hold,
    Item,
    Purge,
    Query,
    Request,
    SendBreak,
    SetBreak,
    SetInputs,
    SetLine,
    SetModem,
)
from portline.line.state import (
    BAUDRATE_MAX,
    BAUDRATE_MIN,
    DATA_BITS,
    FlowControl,
    LineSettings,
    ModemLines,
    Parity,
    PortState,
    StopBits,
    shown,
)

__all__ = [
    "BAUDRATE_MAX",
    "BAUDRATE_MIN",
    "BREAK_PULSE",
    "DATA_BITS",
    "BreakChange",
    "Event",
    "Flow",
    "FlowControl",
    "Gone",
    "Hold",
    "Item",
    "LineChange",
    "LineFault",
    "LineSettings",
    "ModemChange",
    "ModemLines",
    "Parity",
    "PortState",
    "Purge",
    "Query",
    "Report",
    "Request",
    "SendBreak",
    "SetBreak",
    "SetInputs",
    "SetLine",
    "SetModem",
    "StopBits",
    "Told",
    "Watch",
    "shown",
]
