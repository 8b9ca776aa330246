"""The load generator (load.c) as an object: the devices on one side, the peers on the other."""

from __future__ import annotations

import json
import select
from typing import TYPE_CHECKING, Any, Final

from bench.compile import compile_program
from bench.process import BridgeError, Process

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Load"]

ANSWER_MAX: Final = 90.0
"""Seconds to wait for an answer: the longest run and every bound inside the generator."""


class Load(Process):
    """A running load generator; ``ttys`` are what the bridges are to open, one a port.

    Each method waits for the answer, described in load.c, and raises :class:`BridgeError` when
    the generator ends (a bridge that closed its connection ends it) or does not answer.
    ``prefix`` is a program that starts the generator.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ports: int = 1,
        telnet: bool = False,
        tls: bool = False,
        prefix: Sequence[str] = (),
    ) -> None:
        program = str(compile_program("load-tls" if tls else "load"))
        argv = [*prefix, program, "--ports", str(ports)]
        argv += ["--telnet"] * telnet + ["--tls"] * tls
        super().__init__(argv, folder / "load.log", pipes=True)
        try:
            self.ttys = tuple(self._line().removeprefix("pty ").strip() for _ in range(ports))
        except BaseException:
            self.stop()
            raise

    def connect(self, peers: int, endpoints: Sequence[int | str]) -> None:
        """Connect ``peers`` to each TCP port or tty, and wait until bytes get through both ways."""
        answer = self._ask("connect", peers, *endpoints)
        if answer["closed_ways"]:
            raise BridgeError(f"nothing gets through on {answer['closed_ways']} ways")

    def stall(self) -> None:
        """Never read the first peer again."""
        self._ask("stall")

    def transfer(self, direction: str, seconds: float, pattern: str) -> dict[str, Any]:
        """Measure throughput: ``dn``, ``nd`` or ``both``, of ``random`` data or ``ff``."""
        return self._ask("transfer", direction, seconds, pattern)

    def trip(self, size: int, seconds: float) -> dict[str, Any]:
        """Measure the round trip of messages of ``size`` bytes (1 to 256)."""
        return self._ask("trip", size, seconds)

    def busy(self, seconds: float, baudrate: int) -> dict[str, Any]:
        """Let every device send at the pace of ``baudrate``."""
        return self._ask("busy", seconds, baudrate)

    def _ask(self, *words: object) -> dict[str, Any]:
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        try:
            self.popen.stdin.write(" ".join(map(str, words)) + "\n")
            self.popen.stdin.flush()
        except OSError as error:
            raise BridgeError(f"the load generator is gone: {self.last_words()}") from error
        # One line an answer: nothing can wait in Python's buffer while select() looks below it.
        if not select.select([self.popen.stdout], [], [], ANSWER_MAX)[0]:
            raise BridgeError(f"the load generator does not answer after {ANSWER_MAX:.0f} s")
        answer: dict[str, Any] = json.loads(self._line())
        return answer

    def _line(self) -> str:
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        if not line:
            raise BridgeError(f"the load generator ended: {self.last_words()}")
        return line
