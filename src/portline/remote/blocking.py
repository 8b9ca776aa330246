"""A remote port for programs of pyserial: ``serial.serial_for_url("portline://host:4001")``.

Theory of operation
-------------------
The port itself is that of :mod:`portline.remote.port`, in an event loop that has a thread of its
own.  Data crosses between that thread and the program's through a buffer and a condition, so a read
wakes up in the moment when data has come, and a write returns when the kernel has taken all of it.
Everything else - opening, settings, lines - is a call into the loop that waits for its answer.

What differs from pyserial's own ``rfc2217://``: nothing is polled, ``write_timeout``,
``cancel_read`` and ``cancel_write`` work, all requests of one call travel together, and a server
that confirms a setting with another value, or not at all, is a warning in the log (logger
``portline.remote``) and not an error, unless the URL says ``?strict``.

The wheel puts the module that pyserial looks for, ``serial.urlhandler.protocol_portline``, beside
pyserial's own (``packaging/pyserial``).
"""

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING, Any, Final

from serial import serialutil

from portline.errors import PortlineError, SettingRefused, UsageError
from portline.line import FlowControl, Item, ModemLines, Purge, Query, SetBreak, SetModem
from portline.remote.inbox import RECEIVE_LIMIT
from portline.remote.opening import connect
from portline.remote.place import Place, wanted
from portline.remote.thread import LoopThread
from portline.remote.url import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from portline.line import Request, SetLine
    from portline.remote.port import RemotePort

__all__ = ["WRITE_SIZE", "Serial"]

WRITE_SIZE: Final = 64 * 1024
"""Bytes handed over at a time: what a write whose time is over may leave behind at most."""


class Serial(serialutil.SerialBase):  # type: ignore[misc]  # pyserial has no types
    """A remote port with the interface of :class:`serial.Serial`, for one thread or several."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._thread: LoopThread | None = None
        self._remote: RemotePort | None = None
        self._life = threading.RLock()  # opening and closing, one at a time
        self._news = threading.Condition()  # guards all that follows
        self._received = bytearray()
        self._handed = self._reached = self._taken = 0
        """Bytes written; those that the loop has got; those that the kernel has taken."""
        self.is_open = False
        self._fault: PortlineError | None = None
        self._ended = False
        self._cancelled: set[str] = set()
        self._in_force: SetLine | None = None
        super().__init__(*arguments, **options)

    # --- opening and closing --------------------------------------------------------------------

    def open(self) -> None:
        """Open the port with the settings as they are; SerialException where that fails."""
        with self._life:
            self._begin()

    def _begin(self) -> None:
        if self._port is None:
            raise serialutil.SerialException("Port must be configured before it can be used.")
        if self.is_open:
            raise serialutil.SerialException("Port is already open.")
        try:
            place, options = parse(self.portstr)
        except ValueError as error:
            raise serialutil.SerialException(str(error)) from None
        line = self._line()
        requests: tuple[Request, ...] = (
            line,
            SetModem(
                dtr=None if self._dsrdtr else self._dtr_state,
                rts=None if self._rtscts else self._rts_state,
            ),
            Query(Item.MODEM_LINES),
            Purge(received=True, unsent=True),
        )
        thread: LoopThread | None = None
        try:
            thread = LoopThread(f"portline {place}")
            remote = thread.call(self._connect(place, requests, options))
        except BaseException as error:
            if thread is not None:
                thread.stop()
            if isinstance(error, PortlineError):
                raise _translated(error) from None
            raise
        self._thread, self._remote, self._in_force = thread, remote, line
        self.is_open = True
        atexit.register(self.close)

    async def _connect(
        self, place: Place, requests: tuple[Request, ...], options: dict[str, Any]
    ) -> RemotePort:
        """Connect; what came before the purge was carried out is old."""
        remote = await connect(place, *requests, **options)
        if place.protocol == "rfc2217":
            remote.take(remote.waiting)
        self._received.clear()
        self._handed = self._reached = self._taken = 0
        self._fault, self._ended = None, False
        remote.happened = lambda: self._happened(remote)
        self._happened(remote)
        return remote

    def close(self) -> None:
        """Send what was written, and close; may be called twice, and while others read."""
        with self._life:
            self.is_open = False
            thread, remote, self._thread, self._remote = self._thread, self._remote, None, None
            if thread is None or remote is None:
                return
            atexit.unregister(self.close)
            try:
                thread.call(remote.close())
            finally:
                thread.stop()
        with self._news:
            self._news.notify_all()

    def _happened(self, remote: RemotePort) -> None:
        """Note what has changed; called in the thread of the loop."""
        with self._news:
            if remote.waiting and len(self._received) < RECEIVE_LIMIT:
                self._received += remote.take(RECEIVE_LIMIT)
            if not remote.unsent:
                self._taken = self._reached
            self._fault, self._ended = remote.error, remote.ended
            self._news.notify_all()

    # --- data -----------------------------------------------------------------------------------

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read without waiting."""
        self._open_port()
        return len(self._received)

    @property
    def out_waiting(self) -> int:
        """Bytes that were written and that the kernel has not taken."""
        self._open_port()
        return self._handed - self._taken

    def read(self, size: int = 1) -> bytes:
        """Return ``size`` bytes, or fewer when ``timeout`` or ``inter_byte_timeout`` is over.

        Raises SerialException when nothing came and the connection has ended.
        """
        thread, remote = self._open_port()
        whole = serialutil.Timeout(self._timeout)
        data = bytearray()

        def there() -> bool:
            return bool(self._received) or (self._ended and not remote.waiting)

        with self._news:
            self._cancelled.discard("read")
            while True:
                missing = size - len(data)
                data += self._received[:missing]
                del self._received[:missing]
                if remote.waiting:
                    thread.soon(self._happened, remote)
                left, gap = whole.time_left(), self._inter_byte_timeout
                if data and gap is not None:
                    left = gap if left is None else min(left, gap)
                if len(data) == size or not self._wait("read", there, left) or not self._received:
                    break
            if size and not data and self._ended:
                self._check()
        return bytes(data)

    def write(self, data: Any) -> int:
        """Send all of ``data``; return when the kernel has taken it.

        Raises SerialTimeoutException when that lasts longer than ``write_timeout``.  With a timeout
        of 0 it takes what fits and returns how much that was.
        """
        thread, remote = self._open_port()
        data = serialutil.to_bytes(data)
        timeout = serialutil.Timeout(self._write_timeout)
        with self._news:
            self._cancelled.discard("write")
            self._check()
            if timeout.is_non_blocking:
                data = b"" if self._handed > self._taken else data[:WRITE_SIZE]
            for start in range(0, len(data), WRITE_SIZE):
                thread.soon(self._hand_over, remote, data[start : start + WRITE_SIZE])
                self._handed += len(data[start : start + WRITE_SIZE])
                if timeout.is_non_blocking:
                    break
                taken = self._all_taken(timeout.time_left())
                if "write" in self._cancelled:
                    return min(start + WRITE_SIZE, len(data))
                if not taken:
                    raise serialutil.SerialTimeoutException("Write timeout")
        return len(data)

    def _hand_over(self, remote: RemotePort, data: bytes) -> None:
        """Write; called in the thread of the loop."""
        if not remote.ended:
            remote.write(data)
        self._reached += len(data)
        self._happened(remote)

    def flush(self) -> None:
        """Wait until the kernel has taken all that was written."""
        self._open_port()
        with self._news:
            self._all_taken(None)

    def _all_taken(self, limit: float | None) -> bool:
        """Wait, at most ``limit`` seconds; tell whether all that was written is taken."""
        done = self._wait("write", lambda: self._taken == self._handed or self._ended, limit)
        self._check()
        return done

    def _wait(self, what: str, condition: Callable[[], bool], limit: float | None) -> bool:
        """Wait for a condition, a cancellation, or the end; tell whether it has come true."""
        self._news.wait_for(
            lambda: condition() or what in self._cancelled or not self.is_open, limit
        )
        return condition() and what not in self._cancelled and self.is_open

    def cancel_read(self) -> None:
        """Have a read that waits in another thread return what it has."""
        self._cancel("read")

    def cancel_write(self) -> None:
        """Have a write that waits in another thread return."""
        self._cancel("write")

    def _cancel(self, what: str) -> None:
        with self._news:
            self._cancelled.add(what)
            self._news.notify_all()

    def reset_input_buffer(self) -> None:
        """Throw away what was received, here and at the remote port."""
        self._ask(Purge(received=True))
        thread, remote = self._open_port()

        async def forget() -> None:
            remote.take(remote.waiting)
            with self._news:
                self._received.clear()

        thread.call(forget())

    def reset_output_buffer(self) -> None:
        """Throw away what the remote port has not sent yet."""
        self._ask(Purge(unsent=True))

    # --- settings and lines ---------------------------------------------------------------------

    def _line(self) -> SetLine:
        """Return the settings as they are to be."""
        if self._rtscts and self._xonxoff:
            raise ValueError("xonxoff and rtscts together are not supported")
        flow = FlowControl.XON_XOFF if self._xonxoff else FlowControl.NONE
        try:
            return wanted(
                baudrate=self._baudrate,
                data_bits=self._bytesize,
                parity=self._parity,
                stop_bits=self._stopbits,
                flow_control=FlowControl.HARDWARE if self._rtscts else flow,
            )
        except UsageError as error:
            raise ValueError(str(error)) from None

    def _reconfigure_port(self) -> None:
        """Give the port the settings of this object; called for timeouts too, which stay here."""
        line = self._line()
        if line != self._in_force:
            self._in_force = None
            self._ask(line)
            self._in_force = line

    def _update_dtr_state(self) -> None:
        self._ask(SetModem(dtr=bool(self._dtr_state)))

    def _update_rts_state(self) -> None:
        self._ask(SetModem(rts=bool(self._rts_state)))

    def _update_break_state(self) -> None:
        self._ask(SetBreak(bool(self._break_state)))

    @property
    def cts(self) -> bool:
        """Clear to send."""
        return self._lines().cts

    @property
    def dsr(self) -> bool:
        """Data set ready."""
        return self._lines().dsr

    @property
    def ri(self) -> bool:
        """Ring indicator."""
        return self._lines().ri

    @property
    def cd(self) -> bool:
        """Carrier detect."""
        return self._lines().dcd

    def _lines(self) -> ModemLines:
        """Return the lines as the server told them last; all on where it cannot tell (raw)."""
        _, remote = self._open_port()
        return ModemLines(True, True, True, True) if remote.raw else remote.lines

    # --- into the loop --------------------------------------------------------------------------

    def _open_port(self) -> tuple[LoopThread, RemotePort]:
        thread, remote = self._thread, self._remote  # another thread may close it meanwhile
        if thread is None or remote is None:
            raise serialutil.PortNotOpenError
        return thread, remote

    def _check(self) -> None:
        """Raise what keeps data from moving."""
        if not self.is_open:
            raise serialutil.PortNotOpenError
        if self._fault is not None:
            raise serialutil.SerialException(str(self._fault))
        if self._ended:
            raise serialutil.SerialException(
                f"{self.portstr}: the server closed the connection; open it again"
            )

    def _ask(self, request: Request) -> None:
        """Have the remote port do something; a raw one has no ears for it."""
        thread, remote = self._open_port()
        if remote.raw:
            return
        try:
            thread.call(remote.ask(request))
        except PortlineError as error:
            raise _translated(error) from None


def _translated(error: PortlineError) -> Exception:
    """Return the error that pyserial's programs expect."""
    if isinstance(error, SettingRefused):
        return ValueError(str(error))
    return serialutil.SerialException(str(error))  # type: ignore[no-any-return]
