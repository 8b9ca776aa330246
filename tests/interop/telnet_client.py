"""A minimal RFC 2217 client, written from the RFCs and independent of Portline's own codec.

It sends any octets with any segmentation, answers nothing by itself, and collects what comes:
``data``, ``options`` (each DO, DONT, WILL, WONT), ``replies`` (codes 100 to 105 and 110 to 112) and
``notices`` (106 to 109, which a server may send at any time), each in the order of arrival.
"""

from __future__ import annotations

import contextlib
import random
import re
import select
import socket
import struct
import time
from typing import TYPE_CHECKING

from tests.interop.device import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "BINARY",
    "BREAK",
    "COM_PORT",
    "DO",
    "DONT",
    "ECHO",
    "IAC",
    "NOP",
    "SB",
    "SE",
    "SEGMENTATIONS",
    "SGA",
    "WILL",
    "WONT",
    "TelnetClient",
    "baudrate",
    "command",
    "escape",
    "option",
]

SE, NOP, BREAK, SB, WILL, WONT, DO, DONT, IAC = 240, 241, 243, 250, 251, 252, 253, 254, 255
BINARY, ECHO, SGA, COM_PORT = 0, 1, 3, 44

SIGNATURE = 0
NOTICES = range(106, 110)
SEGMENTATIONS = ("whole", "bytes", "random")
_PAUSE = 0.0003  # seconds between segments, so that the receiver mostly sees each by itself

_COMMAND = re.compile(
    rb"\xff(?:"
    rb"(?P<iac>\xff)"
    rb"|(?P<verb>[\xfb-\xfe])(?P<option>.)"
    rb"|\xfa(?P<suboption>(?:[^\xff]|\xff[^\xf0])*)\xff\xf0"
    rb"|(?P<other>[^\xfa-\xff])"
    rb")",
    re.DOTALL,
)


def escape(data: bytes) -> bytes:
    """Double each IAC, as data and values travel."""
    return data.replace(b"\xff", b"\xff\xff")


def option(verb: int, code: int) -> bytes:
    return bytes((IAC, verb, code))


def command(code: int, value: bytes | int = b"") -> bytes:
    """Return a COM-PORT-OPTION command; an int is a one-byte value."""
    payload = bytes((value,)) if isinstance(value, int) else value
    return bytes((IAC, SB, COM_PORT)) + escape(bytes((code,)) + payload) + bytes((IAC, SE))


def baudrate(value: int) -> bytes:
    """Return SET-BAUDRATE in its four-byte form."""
    return command(1, struct.pack("!I", value))


def cut(octets: bytes, segmentation: str) -> Iterator[bytes]:
    """Divide octets as ``segmentation`` says; "random" is the same for the same octets."""
    if segmentation == "whole":
        yield octets
        return
    dice = random.Random(octets)
    start = 0
    while start < len(octets):
        length = 1 if segmentation == "bytes" else dice.randint(1, 7)
        yield octets[start : start + length]
        start += length


class TelnetClient:
    """One connection.  What waits raises AssertionError, with what came, instead of hanging."""

    signature_keeps_its_place = True
    """False for ser2net, whose answer to SIGNATURE overtakes others: silence is the fence then."""

    def __init__(self, port: int, segmentation: str = "whole") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.segmentation = segmentation
        self.data = bytearray()
        self.options: list[tuple[int, int]] = []
        self.replies: list[tuple[int, bytes]] = []
        self.notices: list[tuple[int, bytes]] = []
        self.others: list[int] = []
        self.closed = False
        self._undecoded = b""

    def __enter__(self) -> TelnetClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """End with a RST instead of a FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def finish(self) -> None:
        """Say that nothing more will be sent; go on receiving."""
        self.socket.shutdown(socket.SHUT_WR)

    def send(self, octets: bytes) -> None:
        """Send octets as they are, divided as the client's segmentation says."""
        for index, piece in enumerate(cut(octets, self.segmentation)):
            if index:
                time.sleep(_PAUSE)
            self.socket.sendall(piece)

    def send_while_reading(self, octets: bytes, patience: float = PATIENCE) -> None:
        """Send octets in one piece, taking in what comes meanwhile."""
        view = memoryview(octets)
        deadline = time.monotonic() + patience
        self.socket.setblocking(False)
        while view and not self.closed:
            assert time.monotonic() < deadline, f"{len(view)} bytes are not taken: {self!r}"
            readable, writable, _ = select.select([self.socket], [self.socket], [], 0.1)
            if writable:
                with contextlib.suppress(BlockingIOError):
                    view = view[self.socket.send(view) :]
            if readable:
                self.pump(0)
        self.socket.settimeout(PATIENCE)

    def pump(self, patience: float) -> bool:
        """Take in what comes next; False when nothing came in time or the server has closed."""
        if self.closed or not select.select([self.socket], [], [], max(0.0, patience))[0]:
            return False
        try:
            octets = self.socket.recv(1 << 20)
        except ConnectionResetError:
            octets = b""
        self.closed = not octets
        self._decode(self._undecoded + octets)
        return not self.closed

    def _decode(self, octets: bytes) -> None:
        start = 0
        while (at := octets.find(b"\xff", start)) >= 0:
            match = _COMMAND.match(octets, at)
            if match is None:
                break
            self.data += octets[start:at]
            self._take(match)
            start = match.end()
        else:
            at = len(octets)
        self.data += octets[start:at]
        self._undecoded = octets[at:]

    def _take(self, match: re.Match[bytes]) -> None:
        if match["iac"]:
            self.data += b"\xff"
        elif match["verb"]:
            self.options.append((match["verb"][0], match["option"][0]))
        elif match["suboption"] is not None:
            content = match["suboption"].replace(b"\xff\xff", b"\xff")
            assert content[:1] == bytes((COM_PORT,)), f"a suboption that nobody knows: {content!r}"
            assert len(content) > 1, "an empty suboption"
            kind = self.notices if content[1] in NOTICES else self.replies
            kind.append((content[1], content[2:]))
        else:
            self.others.append(match["other"][0])

    def until(self, condition: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Take in what comes until ``condition`` holds."""
        deadline = time.monotonic() + patience
        while not condition():
            came = self.pump(deadline - time.monotonic())
            assert came or condition(), f"waited in vain: {self!r}"

    @classmethod
    def when_free(cls, port: int, segmentation: str = "whole") -> TelnetClient:
        """Return a client that has agreed, also when the one before it is not quite gone."""
        deadline = time.monotonic() + PATIENCE
        while True:
            client = cls(port, segmentation)
            try:
                client.agree()
            except (AssertionError, ConnectionError):
                client.close()
                if time.monotonic() > deadline or not (client.closed and client.data):
                    raise
                time.sleep(0.05)
            else:
                return client

    def agree(self) -> None:
        """Agree on COM-PORT-OPTION and wait until commands are answered."""
        self.send(option(WILL, COM_PORT))
        self.until(lambda: (DO, COM_PORT) in self.options)
        self.exchange(b"")

    def exchange(self, octets: bytes) -> list[tuple[int, bytes]]:
        """Send octets and return the replies to them.

        A request for the signature behind them is the fence: replies come in order, so when it is
        answered, everything before it has been, and what has not been answered never will be.
        """
        self.replies.clear()
        if not self.signature_keeps_its_place:
            self.send(octets)
            while self.pump(0.2):
                pass
            return list(self.replies)
        self.send(octets + command(SIGNATURE))
        self.until(lambda: bool(self.replies) and self.replies[-1][0] == 100)
        return self.replies[:-1]

    def ask(self, code: int, value: bytes | int = b"") -> bytes:
        """Send one command; return the value of its one reply."""
        replies = self.exchange(command(code, value))
        assert [reply[0] for reply in replies] == [code + 100], replies
        return replies[0][1]

    def read(self, count: int) -> bytes:
        """Return the next ``count`` bytes of data."""
        self.until(lambda: len(self.data) >= count)
        data = bytes(self.data[:count])
        del self.data[:count]
        return data

    def nothing_for(self, seconds: float) -> bool:
        """Tell whether no data comes for so long."""
        deadline = time.monotonic() + seconds
        while not self.data and (left := deadline - time.monotonic()) > 0:
            self.pump(left)
        return not self.data

    def until_closed(self, patience: float = PATIENCE) -> None:
        self.until(lambda: self.closed, patience)

    def __repr__(self) -> str:
        return (
            f"<data={bytes(self.data[-200:])!r} options={self.options[-20:]}"
            f" replies={self.replies[-20:]} notices={self.notices[-20:]}"
            f" closed={self.closed} undecoded={self._undecoded[-50:]!r}>"
        )
