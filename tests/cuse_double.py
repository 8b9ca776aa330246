"""A CUSE port in a process of its own, whose far end of the line is the test.

Never in the test's own process: the kernel waits for the port with every call on the device, and
not all that Python calls lets the port's thread run meanwhile.  Such a process cannot be killed.
Only in the lab: it takes the kernel's module.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from portline.line import LineFault, ModemLines, SetInputs
from portline.port.cuse.port import CusePort
from tests.line_end import LineEnd
from tests.waiting import LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from portline.line import LineSettings

__all__ = ["CuseDouble", "Refused"]


class Refused(Exception):
    """What went wrong in the other process."""


class _Serving(LineEnd):
    """The process: the port's owner, which does what the test says."""

    port: CusePort

    def __init__(self, pipe: Connection, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        super().__init__(holds=options.pop("holds"), echo=options.pop("echo"))
        self.pipe = pipe
        self.loop = loop
        self.port = CusePort(owner=self, loop=loop, **options)

    def serve(self) -> None:
        try:
            words = self.pipe.recv()
        except EOFError:
            self.loop.stop()
            return
        try:
            self.pipe.send(getattr(self, f"do_{words[0]}")(*words[1:]))
        except Exception as error:
            self.pipe.send(Refused(f"{type(error).__name__}: {error}"))

    def do_open(self) -> str | None:
        self.port.open()
        return self.port.path

    def do_close(self) -> None:
        self.port.close()

    def do_look(self) -> dict[str, Any]:
        application = self.port.application
        return {
            "settings": application.settings,
            "outputs": (application.outputs.dsr, application.outputs.cts),
            "breaks": self.breaks,
            "seen": self.seen,
            "received": bytes(self.received),
            "used": self.used,
            "lost": list(map(str, self.lost)),
            "draining": len(self.held),
            "held": self.port._front.held if self.port._front else 0,
        }

    def do_send(self, data: bytes) -> None:
        self.port.write(data)

    def do_lines(self, lines: dict[str, bool]) -> None:
        self.port.submit(SetInputs(ModemLines(**lines)))

    def do_fault(self, faults: dict[str, bool]) -> None:
        self.port.show_fault(LineFault(**faults))

    def do_set(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def do_pause(self, paused: bool) -> None:
        (self.port.pause_reading if paused else self.port.resume_reading)()

    def do_let_go(self) -> None:
        self.release()


def _run(pipe: Connection, test: Connection, options: dict[str, Any]) -> None:
    test.close()
    loop = asyncio.new_event_loop()
    serving = _Serving(pipe, loop, **options)
    loop.add_reader(pipe.fileno(), serving.serve)
    loop.run_forever()
    serving.port.close()


class CuseDouble:
    """One port, there while the ``with`` lasts.

    ``holds`` keeps what was written on the line until :meth:`let_go`; ``echo`` sends it back.
    """

    def __init__(
        self, name: str, *, holds: bool = False, echo: bool = False, **options: Any
    ) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        options |= {"name": name, "holds": holds, "echo": echo}
        context = multiprocessing.get_context("fork")
        self.process = context.Process(target=_run, args=(theirs, self._pipe, options), daemon=True)
        self.process.start()
        theirs.close()
        self.path = ""

    def __enter__(self) -> CuseDouble:
        try:
            self.path = self._ask("open")
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.is_alive():
            self._ask("close")
        self.end()

    def end(self) -> None:
        """End the process."""
        self._pipe.close()
        self.process.join(LIMIT)
        assert not self.process.is_alive()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process; wait for its end when it kills."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)
        if number is signal.SIGKILL:
            self.process.join(LIMIT)

    def _ask(self, *words: object) -> Any:
        self._pipe.send(words)
        assert self._pipe.poll(LIMIT), f"no answer to {words[0]}"
        answer = self._pipe.recv()
        if isinstance(answer, Refused):
            raise answer
        return answer

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < deadline, f"it did not happen: {self.look()}"
            time.sleep(0.01)

    # --- what the test sees and does ------------------------------------------------------------

    def look(self) -> dict[str, Any]:
        """Return everything."""
        found: dict[str, Any] = self._ask("look")
        return found

    @property
    def settings(self) -> LineSettings:
        found: LineSettings = self.look()["settings"]
        return found

    @property
    def outputs(self) -> tuple[bool, bool]:
        """DTR and RTS."""
        found: tuple[bool, bool] = self.look()["outputs"]
        return found

    @property
    def received(self) -> bytes:
        return bytes(self.look()["received"])

    def send(self, data: bytes) -> None:
        self._ask("send", data)

    def lines(self, **lines: bool) -> None:
        """Drive the lines that the device reads; those not named are off."""
        self._ask("lines", lines)

    def fault(self, **faults: bool) -> None:
        """Have the next character come with faults; a break is a character itself."""
        self._ask("fault", faults)

    def hold(self, on: bool) -> None:
        """Keep on the line what is written from now on."""
        self._ask("set", "holds", on)

    def pause(self, on: bool) -> None:
        """Have the port take nothing."""
        self._ask("pause", on)

    def let_go(self) -> None:
        """Let what was written so far have left."""
        self._ask("let_go")
