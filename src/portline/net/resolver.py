"""The threads in which the names of hosts are looked up: few, for all of the process.

Theory of operation
-------------------
A name server that does not answer holds whoever asks it for many seconds, some name services for
ever, and nothing ends that early.  The threads of a loop are few and shared, and a loop that closes
waits for them; so there are daemon threads for look-ups alone, and a queue before them.

What is asked is asked once: who wants a place that is being looked up, or waits for it, joins.

A thousand names that nobody knows must not keep one from being found that is known.  So a look-up
that lasts for longer than SLOW is *slow*, and its name is until it is answered in less.  Slow
look-ups have SLOW_THREADS of the threads at most, and wait behind all others; a thread that turns
out to be held is no longer counted among the FAST_THREADS that the others have.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FAST_THREADS", "RESOLVER", "SLOW", "SLOW_NAMES", "SLOW_THREADS", "Resolver"]

Addresses: TypeAlias = list[tuple[Any, ...]]
"""What ``getaddrinfo`` returns, for stream sockets."""

Place: TypeAlias = tuple[str, int]

Tell: TypeAlias = "Callable[[Addresses | Exception], object]"

SLOW: Final = 2.0
"""Seconds; a name server that is there has answered by then, also after one lost datagram (glibc
asks again after five)."""

FAST_THREADS: Final = 32
"""Look-ups at the same time that are not slow: some thousand a second."""

SLOW_THREADS: Final = 96
"""Slow look-ups that are begun at the same time.  With a server that never answers glibc gives up
after 10 to 30 seconds, so a hundred names wait for half a minute and a thousand for five."""

SLOW_NAMES: Final = 4096
"""Names that are remembered as slow; the one that is so for longest is forgotten first."""


@dataclass(eq=False, slots=True)
class _Job:
    place: Place
    tells: list[Tell] = field(default_factory=list)
    began: float = 0.0


class Resolver:
    """Looks names up, with at most FAST_THREADS and SLOW_THREADS; for any thread to use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[Place, _Job] = {}
        self._fast: deque[_Job] = deque()
        self._behind: deque[_Job] = deque()
        self._running: set[_Job] = set()
        self._slow: dict[Place, None] = {}

    @property
    def running(self) -> int:
        """Look-ups under way, each in a thread."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Places that wait for a thread."""
        return len(self._fast) + len(self._behind)

    def ask(self, place: Place, tell: Tell) -> None:
        """Look a place up; ``tell`` is called once, in a thread, with what was found.

        That is an OSError (``socket.gaierror``) where it has no address, and a ValueError for what
        cannot be the name of a host.
        """
        with self._lock:
            job = self._jobs.get(place)
            if job is None:
                job = self._jobs[place] = _Job(place)
                (self._behind if place in self._slow else self._fast).append(job)
            job.tells.append(tell)
        self.advance()

    def advance(self) -> None:
        """Begin what there are threads for; to be called now and then while anybody waits."""
        while (job := self._next()) is not None:
            try:
                threading.Thread(
                    target=self._work, args=(job,), name="portline look-up", daemon=True
                ).start()
            except RuntimeError as error:  # the system has no thread left
                self._done(job, OSError(errno.EAGAIN, str(error)))

    def _next(self) -> _Job | None:
        """Take the next of the queue, if there is a thread for it."""
        with self._lock:
            now = time.monotonic()
            slow = sum(job.place in self._slow or now - job.began >= SLOW for job in self._running)
            fast = len(self._running) - slow
            room = len(self._running) < FAST_THREADS + SLOW_THREADS
            if self._fast and fast < FAST_THREADS and room:
                job = self._fast.popleft()
            elif self._behind and slow < SLOW_THREADS and room:
                job = self._behind.popleft()
            else:
                return None
            job.began = now
            self._running.add(job)
            return job

    def _work(self, first: _Job) -> None:
        """Look up one place after the other; runs in a thread."""
        job: _Job | None = first
        while job is not None:
            found: Addresses | Exception
            try:
                found = socket.getaddrinfo(*job.place, type=socket.SOCK_STREAM)
            except (OSError, ValueError) as error:
                found = error
            self._done(job, found)
            job = self._next()

    def _done(self, job: _Job, found: Addresses | Exception) -> None:
        with self._lock:
            self._running.discard(job)
            del self._jobs[job.place]
            self._slow.pop(job.place, None)
            if time.monotonic() - job.began >= SLOW:
                self._slow[job.place] = None
                if len(self._slow) > SLOW_NAMES:
                    del self._slow[next(iter(self._slow))]
        for tell in job.tells:
            tell(found)


RESOLVER: Final = Resolver()
"""The one of this process."""
