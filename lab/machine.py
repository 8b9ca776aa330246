"""One run of the machine: QEMU with a command in it, its output, its exit code, nothing left over.

Theory of operation
-------------------
QEMU emulates the processor, so neither /dev/kvm nor any privilege is needed.  The guest sees the
host's files through 9p read-only under an overlay in its memory, so that whatever it writes is gone
with it; only the folder of the run, at /lab, is the host's.  It holds the command (``command``,
``environment``, ``guest``) and takes the exit code (``exit``) and the times (``times``).

QEMU has a session of its own and dies with the runner (PR_SET_PDEATHSIG), however that ends.  The
folder is removed by the runner, or when it was killed, by a process that waits for its end.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Final, Self

from lab.kernel import program
from lab.wiring import UARTS, Wiring

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from lab.image import Image

__all__ = ["LIMIT", "LOST", "TIMED_OUT", "Ended", "Job", "Outcome", "arguments", "run"]

LIMIT: Final = 1200.0
"""Seconds that a run may take unless told otherwise: three times what ``.ci/run`` has for it."""

TIMED_OUT: Final = 124
"""Exit code of a run that its limit ended; that of ``timeout``."""

LOST: Final = 125
"""Exit code when the machine ended before the command did."""

END_MAX: Final = 10.0
"""Seconds that QEMU may take to end once its output has ended."""

CONSOLE_TAIL: Final = 15
"""Lines of the kernel's console that are shown when the machine ended early."""

MEMORY: Final = 1024
"""MiB of the guest: Python, a few Portlines, and what the tests write."""

KERNEL_WORDS: Final = (
    "console=ttyS0 quiet loglevel=4 panic=-1 reboot=t"
    # What takes its time at boot and guards nothing here:
    " mitigations=off nokaslr audit=0 apparmor=0 selinux=0 nowatchdog cryptomgr.notests"
    " random.trust_cpu=on no_timer_check tsc=reliable rcupdate.rcu_expedited=1"
    f" 8250.nr_uarts={UARTS}"
)

PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)

CLEANER: Final = 'read -r word || { sleep 0.5; rm -rf -- "$0"; }'
"""Removes the folder when its input ends without a word: the runner was killed."""


class Ended(Exception):
    """A signal asks the runner to end; ``number`` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass(frozen=True, slots=True)
class Job:
    """What to do in the machine.

    ``command`` is for the guest's /bin/sh, in ``folder``; an empty one opens a shell on the
    terminal.  ``limit`` is in seconds, from the start of QEMU.
    """

    command: str
    folder: Path
    limit: float = LIMIT
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: ``code`` is the command's, or TIMED_OUT or LOST.

    ``boot`` is the guest's clock when the command began, ``ended`` that when it ended, ``whole``
    the host's time from the start to the end of QEMU, ``work`` the processor time of that: what it
    takes where nothing else runs.  All in seconds.
    """

    code: int
    whole: float
    work: float
    boot: float | None = None
    ended: float | None = None
    console: str = ""

    def summary(self) -> str:
        """One line for people."""
        if self.boot is None:
            return f"lab: no shell in {self.whole:.1f} s; exit code {self.code}"
        ran = "did not end" if self.ended is None else f"took {self.ended - self.boot:.1f} s"
        return (
            f"lab: shell after {self.boot:.1f} s, command {ran}, whole run {self.whole:.1f} s"
            f" ({self.work:.1f} s of processor time); exit code {self.code}"
        )


def arguments(image: Image, folder: Path, wiring: Wiring, *, shell: bool = False) -> list[str]:
    """Return QEMU's command line; ``folder`` is that of the run, with the folder ``job`` in it."""
    share = "local,security_model=none,multidevs=remap"
    words = [
        program("qemu-system-x86_64"),
        *("-machine", "pc", "-accel", "tcg,tb-size=512", "-cpu", "max"),
        # A second processor doubles what the run costs the host and gives nothing back.
        *("-smp", "1", "-m", str(MEMORY)),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-kernel", str(image.kernel.image), "-initrd", str(image.initramfs)),
        *("-append", KERNEL_WORDS),
        *("-fsdev", f"{share},id=host,path=/,readonly=on"),
        *("-device", "virtio-9p-pci,fsdev=host,mount_tag=host"),
        *("-fsdev", f"{share},id=job,path={folder / 'job'}"),
        *("-device", "virtio-9p-pci,fsdev=job,mount_tag=job"),
        *("-chardev", f"file,id=ttyS0,path={folder / 'console'}"),
        *("-device", "isa-serial,index=0,chardev=ttyS0"),
        *wiring.arguments(),
    ]
    if shell:
        words += ["-chardev", "stdio,id=shell,signal=off", "-device", "virtconsole,chardev=shell"]
    return words


def run(image: Image, job: Job) -> Outcome:
    """Run a job; its output goes to standard output as it comes.

    Raises LabError without QEMU, and Ended when SIGINT, SIGTERM or SIGHUP came meanwhile; nothing
    is left over then either.
    """
    shell = not job.command
    with _Folder() as folder, _signals(), contextlib.closing(Wiring()) as wiring, _terminal(shell):
        _write_job(folder / "job", image, job)
        argv = arguments(image, folder, wiring, shell=shell)
        started, worked = time.monotonic(), _work()
        process = _start(argv, wiring, folder / "errors", shell=shell)
        try:
            wiring.close_inherited()
            in_time = _pass_on(wiring, started + job.limit)
            if in_time:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(END_MAX)
        finally:
            process.kill()
            process.wait()
        return _outcome(folder, in_time, time.monotonic() - started, _work() - worked)


def _work() -> float:
    """Seconds of processor time of all that this process has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _start(
    argv: Sequence[str], wiring: Wiring, errors: Path, *, shell: bool
) -> subprocess.Popen[bytes]:
    runner = os.getpid()

    def die_with_runner() -> None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != runner:  # it was too late for that
            os._exit(1)

    with errors.open("wb") as sink:
        return subprocess.Popen(
            argv,
            stdin=None if shell else subprocess.DEVNULL,
            stdout=None if shell else sink,
            stderr=sink,
            start_new_session=True,
            pass_fds=wiring.descriptors,
            preexec_fn=die_with_runner,
        )


def _pass_on(wiring: Wiring, deadline: float) -> bool:
    """Copy the command's output until the machine ends; return False when the time was over."""
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([wiring.output], [], [], left)[0]:
            continue
        try:
            data = wiring.output.recv(65536)
        except ConnectionResetError:
            return True
        if not data:
            return True
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    return False


def _outcome(folder: Path, in_time: bool, whole: float, work: float) -> Outcome:
    times = dict[str, float]()
    with contextlib.suppress(OSError):
        for line in (folder / "job" / "times").read_text("ascii").splitlines():
            name, _, up = line.partition(" ")
            times[name] = float(up)
    code = LOST if in_time else TIMED_OUT
    with contextlib.suppress(OSError, ValueError):
        code = int((folder / "job" / "exit").read_text("ascii"))
    console = ""
    if code in (LOST, TIMED_OUT):
        for name in ("errors", "console"):
            with contextlib.suppress(OSError):
                lines = (folder / name).read_text("utf-8", "replace").splitlines()
                console += "\n".join(lines[-CONSOLE_TAIL:])
    return Outcome(code, whole, work, times.get("ready"), times.get("done"), console.strip())


def _write_job(folder: Path, image: Image, job: Job) -> None:
    folder.mkdir()
    shutil.copy(Path(__file__).with_name("guest"), folder / "guest")
    (folder / "command").write_text(job.command + "\n", "utf-8")
    environment = job.environment | {
        "LAB_FOLDER": str(job.folder),
        "LAB_MODULES": str(image.kernel.modules),
        "LAB_SHELL": "" if job.command else "yes",
        "TERM": "dumb" if job.command else os.environ.get("TERM", "dumb"),
    }
    if not job.command:
        size = shutil.get_terminal_size()
        environment |= {"COLUMNS": str(size.columns), "LINES": str(size.lines)}
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()]
    (folder / "environment").write_text("".join(lines), "utf-8")


class _Folder:
    """A folder that is gone after ``with``, and also when this process is killed."""

    def __enter__(self) -> Path:
        self._folder = Path(mkdtemp(prefix="portline-lab-"))
        self._cleaner = subprocess.Popen(
            ["/bin/sh", "-c", CLEANER, self._folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self._folder

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._cleaner.communicate(b"done\n")


class _signals:  # noqa: N801  # used as a function
    """Turn the signals that end a process into Ended, within ``with``."""

    NUMBERS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __enter__(self) -> Self:
        self._before = [signal.signal(number, self._end) for number in self.NUMBERS]
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in zip(self.NUMBERS, self._before, strict=True):
            signal.signal(number, before)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        for each in self.NUMBERS:
            signal.signal(each, signal.SIG_IGN)  # what is left to do is short
        raise Ended(number)


@contextlib.contextmanager
def _terminal(shell: bool) -> Iterator[None]:
    """Give the terminal back as it was; QEMU makes it raw for a shell."""
    if not shell or not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
