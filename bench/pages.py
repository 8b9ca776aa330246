"""What pages that look cost the data: a busy connection with them and without, in turns."""

from __future__ import annotations

import select
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from bench.bridges import Task
from bench.load import Load
from bench.process import BridgeError, Process, free_ports
from bench.viewers import PAGES
from portline.web.credentials import Credentials

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.bridges import Bridge

__all__ = ["PAGES", "TURNS", "measure_pages"]

TURNS: Final = 8
"""Looks at each of the two in one round, A B A B: what else the machine does hits both."""

TRIP: Final = 64
"""Bytes of the messages."""

LONGER: Final = 2.0
"""How much longer than other round trips: what happens once a second has to happen in it."""

READY_MAX: Final = 20.0
"""Seconds until all pages have heard something."""

SETTLE: Final = 1.0
"""Seconds between the last page and the look at the memory."""

MB: Final = 1e6


def measure_pages(bridge: Bridge, trip: float) -> tuple[dict[str, float], list[str]]:
    """Return the figures by their keys, and what went wrong; ``trip`` seconds for each trip."""
    faults: list[str] = []
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="portline-bench-") as name:
        folder = Path(name)
        state = folder / "state"
        state.mkdir(mode=0o700)
        credentials = Credentials(state)
        credentials.generate()
        token = credentials.add_token("bench")
        line, page = free_ports(2)
        with Load(folder) as load:
            task = Task(((load.ttys[0], line),), folder, service=True, page=page, state=state)
            with bridge.start(task) as process:
                process.wait_listening([page])
                load.connect(1, [line])
                for turn in range(TURNS):
                    with _looking(folder, page, token) if turn % 2 else _nobody():
                        answer = load.trip(TRIP, LONGER * trip)
                        if turn == TURNS - 1:
                            time.sleep(SETTLE)
                            found["page-memory"] = [process.resident_bytes() / MB]
                    if answer["lost"]:
                        faults.append("a message lost")
                    key = "page-seen" if turn % 2 else "page-unseen"
                    for part in ("p50", "p99"):
                        found.setdefault(f"{key}-{part}", []).append(answer[part])
    return {key: median(values) for key, values in found.items()}, faults


@contextmanager
def _nobody() -> Iterator[None]:
    yield


@contextmanager
def _looking(folder: Path, page: int, token: str) -> Iterator[None]:
    """Have pages look at the connection."""
    program = str(Path(__file__).with_name("viewers.py"))
    argv = [sys.executable, "-S", program, str(page), token, "line0"]
    with Process(argv, folder / "viewers.log", pipes=True) as viewers:
        assert viewers.popen.stdout is not None
        if not select.select([viewers.popen.stdout], [], [], READY_MAX)[0]:
            raise BridgeError(f"the pages hear nothing: {viewers.last_words()}")
        if viewers.popen.stdout.readline().strip() != "ready":
            raise BridgeError(f"the pages have ended: {viewers.last_words()}")
        yield
        if viewers.popen.poll() is not None:
            raise BridgeError(f"the pages have ended: {viewers.last_words()}")
