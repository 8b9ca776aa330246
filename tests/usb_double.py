"""A stand-in for a real serial port: a USB adapter whose far end of the line is the test.

It runs in a thread with a loop of its own, so a test may use its terminal as any program does, with
calls that block.  The test sees every setting, drives lines, sends breaks and characters with
faults, and decides when what was written has left.  Only in the lab: it takes the kernel.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

from portline.line import LineFault, LineSettings, ModemLines, SetInputs
from portline.port.usbip.port import UsbipPort
from tests.line_end import LineEnd
from tests.waiting import LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["UsbDouble"]


class UsbDouble(LineEnd):
    """One adapter, plugged in while the ``with`` lasts; ``path`` is its terminal's name.

    ``holds`` keeps what was written on the line until :meth:`let_go`; ``echo`` sends it back.
    """

    port: UsbipPort

    def __init__(
        self,
        path: str,
        adapter: str = "pl2303",
        *,
        strict: bool = False,
        holds: bool = False,
        echo: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(holds=holds, echo=echo)
        self.path = path
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = UsbipPort(
            path, owner=self, loop=self._loop, adapter=adapter, strict=strict, **more
        )

    def __enter__(self) -> UsbDouble:
        self._thread.start()
        self.call(self.port.open)
        self.until(lambda: self.port.path is not None or self.lost)
        assert not self.lost, self.lost
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self.port.close)
        self.stop()

    def stop(self) -> None:
        """End the thread, without closing the port."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Call something in the thread of the loop; return or raise what it does."""

        async def called() -> Any:
            return function(*arguments)

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result(LIMIT)

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.002)

    # --- what the test sees ---------------------------------------------------------------------

    @property
    def node(self) -> str:
        assert self.port.node is not None
        return self.port.node

    @property
    def settings(self) -> LineSettings:
        return self.port.application.settings

    @property
    def outputs(self) -> tuple[bool, bool]:
        """DTR and RTS."""
        return self.port.application.outputs.dsr, self.port.application.outputs.cts

    # --- what the test does ---------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        self.call(self.port.write, data)

    def lines(self, **lines: bool) -> None:
        """Drive the lines that the terminal reads; those not named are off."""
        self.call(self.port.submit, SetInputs(ModemLines(**lines)))

    def fault(self, **faults: bool) -> None:
        """Have the next character come with faults; a break is a character itself."""
        self.call(self.port.show_fault, LineFault(**faults))

    def let_go(self) -> None:
        """Let what was written so far have left."""
        self.call(self.release)
