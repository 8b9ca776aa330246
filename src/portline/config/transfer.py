"""The options of the network side: how long peers stay, who is heard, and what waits for whom."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Final

from pydantic import BaseModel

from portline.config.kinds import Choice, Number, Switch
from portline.config.measures import Duration, Size
from portline.config.options import Group, Option
from portline.hub.policy import BufferOverflow, Overflow, Selection, WhenFull

__all__ = [
    "AdmissionOptions",
    "Answers",
    "BufferOptions",
    "KeepOptions",
    "LivenessOptions",
    "OpeningOptions",
    "SelectionOptions",
    "TransferOptions",
    "WhenAbsent",
]

KEEPALIVE_MAX: Final = 32767
"""Seconds; the longest keepalive time that Linux takes (MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL)."""

INACTIVITY_MAX: Final = 30 * 24 * 3600
"""Seconds; 30 days, more than any device keeps silent on purpose."""

CONNECTIONS_MAX: Final = 1000
"""Peers of one connection: what one process serves on one core without falling behind."""

BUFFER_MAX: Final = 64 * 1024**2
"""Bytes; 64 MiB, four minutes of the fastest port, so that a slip cannot eat the memory."""

BACKLOG_MIN: Final = 64 * 1024
"""Bytes; one gathered read of a busy port, below which even a quick peer would lose data."""

_PEERS: Final = Choice({item.value: item for item in Selection})


class Answers(Enum):
    """How exactly the answers of a remote port are taken."""

    LENIENT = "lenient"
    STRICT = "strict"


class WhenAbsent(Enum):
    """What becomes of the peers while the real port is away."""

    KEEP = "keep"
    DISCONNECT = "disconnect"


class LivenessOptions(BaseModel):
    """How long a peer stays that says nothing, or whose port is away."""

    keepalive: Annotated[
        float,
        Option(
            Group.CONNECTION,
            Duration(1, KEEPALIVE_MAX, "off", whole=True),
            "Probe a peer that has been silent for this long",
            "a pulled plug is noticed within half a minute",
        ),
    ] = 10.0
    keepalive_retry: Annotated[
        float,
        Option(
            Group.CONNECTION,
            Duration(1, KEEPALIVE_MAX, whole=True),
            "Probe again after this long without an answer",
            "one lost packet is forgiven, a dead peer is not kept long",
        ),
    ] = 3.0
    inactivity: Annotated[
        float,
        Option(
            Group.CONNECTION,
            Duration(0.1, INACTIVITY_MAX, "off"),
            "Disconnect a peer after this long without data in either direction",
            "many devices are rightly silent for days",
        ),
    ] = 0.0
    when_absent: Annotated[
        WhenAbsent,
        Option(
            Group.CONNECTION,
            Choice({item.value: item for item in WhenAbsent}),
            "What becomes of the peers while the real port is away, pulled out or in use by "
            "another program: they stay connected and go on when it is back, or are disconnected, "
            "and nobody can connect until then",
            "a program need not notice that an adapter was replugged",
        ),
    ] = WhenAbsent.KEEP


class AdmissionOptions(BaseModel):
    """Who is let in, and when."""

    max_connections: Annotated[
        int,
        Option(
            Group.CONNECTION,
            Number(1, CONNECTIONS_MAX, "peers"),
            "How many peers may be connected at the same time",
            "enough for a program, a logger and some people looking on",
        ),
    ] = 8
    when_full: Annotated[
        WhenFull,
        Option(
            Group.CONNECTION,
            Choice({item.value: item for item in WhenFull}),
            "What a newcomer does to a connection that is full: it is refused and told who is "
            "there, or takes the place of the oldest peer, of one that is idle, or of one from its "
            "own address",
            "nobody loses a connection that works",
        ),
    ] = WhenFull.REFUSE
    idle_after: Annotated[
        float,
        Option(
            Group.CONNECTION,
            Duration(0.1, INACTIVITY_MAX),
            "How long a peer must have been without data to be replaced as idle",
            "a person at a console pauses for less",
        ),
    ] = 60.0
    listen_when_open: Annotated[
        bool,
        Option(
            Group.CONNECTION,
            Switch(),
            "Listen only while an application has the virtual port open",
            "peers may come before the application does",
        ),
    ] = False


class OpeningOptions(BaseModel):
    """When the local port is opened."""

    open_when_connected: Annotated[
        bool,
        Option(
            Group.CONNECTION,
            Switch(),
            "Open the real port only while at least one peer is connected, so that other programs "
            "can use it meanwhile",
            "faults of the device show at once, and the buffer can collect",
        ),
    ] = False


class SelectionOptions(BaseModel):
    """Who is heard and who hears."""

    receive_from: Annotated[
        Selection,
        Option(
            Group.TRANSFER,
            _PEERS,
            "From which peers data is accepted; last-active is the one that last sent something",
            "as if all were wired to the port",
        ),
    ] = Selection.ALL
    send_to: Annotated[
        Selection,
        Option(
            Group.TRANSFER,
            _PEERS,
            "To which peers data of the port is sent",
            "as if all were wired to the port",
        ),
    ] = Selection.ALL


class TransferOptions(SelectionOptions):
    """Data transfer, with peers that know settings."""

    notify: Annotated[
        bool,
        Option(
            Group.TRANSFER,
            Switch(),
            "Tell peers when settings or signal lines of the local port change",
            "it is what RFC 2217 is for",
        ),
    ] = True
    allow_settings: Annotated[
        bool,
        Option(
            Group.TRANSFER,
            Switch(),
            "Let the peer change baudrate, format and flow control",
            "it is what RFC 2217 is for",
        ),
    ] = True
    answers: Annotated[
        Answers,
        Option(
            Group.TRANSFER,
            Choice({item.value: item for item in Answers}),
            "What to do about a remote port that does not take a setting, or leaves it without an "
            "answer: warn and go on, or (strict) disconnect",
            "many servers leave something out, and data passes nevertheless",
        ),
    ] = Answers.LENIENT


class KeepOptions(BaseModel):
    """What waits for whom."""

    buffer_size: Annotated[
        int,
        Option(
            Group.BUFFER,
            Size(0, BUFFER_MAX),
            "Keep this much of what the port delivers while nobody is connected, for the next "
            "peer; 0 keeps nothing",
            "old data surprises more people than it helps",
        ),
    ] = 0
    buffer_overflow: Annotated[
        BufferOverflow,
        Option(
            Group.BUFFER,
            Choice({item.value: item for item in BufferOverflow}),
            "What happens to what exceeds buffer-size: the newest or the oldest is dropped, or it "
            "is left in the port (hold), so that an application has to wait",
            "a peer that comes late goes on where the last one stopped, and no program hangs",
        ),
    ] = BufferOverflow.DROP_NEWEST
    backlog_size: Annotated[
        int,
        Option(
            Group.BUFFER,
            Size(BACKLOG_MIN, BUFFER_MAX),
            "How far a peer that reads slowly may fall behind the others",
            "20 seconds at 115200 bit/s",
        ),
    ] = 256 * 1024


class BufferOptions(KeepOptions):
    """Data buffer of peers that are connected."""

    overflow: Annotated[
        Overflow,
        Option(
            Group.BUFFER,
            Choice({item.value: item for item in Overflow}),
            "What happens to a peer that fell further behind than that",
            "a slow reader loses old data, which is counted, and never its connection",
        ),
    ] = Overflow.DROP_OLDEST
    nodelay: Annotated[
        bool,
        Option(
            Group.BUFFER,
            Switch(),
            "Send data at once (no Nagle algorithm)",
            "serial protocols wait for short answers",
        ),
    ] = True
