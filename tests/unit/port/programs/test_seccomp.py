"""Filters, run by a small machine here and by the kernel, and calls that wait for an answer."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import select
import signal
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.errors import PortlineError
from portline.port.programs import seccomp
from portline.port.programs.seccomp import (
    MACHINES,
    REQUESTS_LIMIT,
    Call,
    CallGone,
    assemble,
    borrow_descriptor,
    install,
    machine,
    read_memory,
    write_memory,
)
from tests.filtered import PATIENCE, FilteredThread, filtered_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

TIOCMGET, TIOCMSET, FIONREAD = 0x5415, 0x5418, 0x541B
ALLOW, ASK = 0x7FFF0000, 0x7FC00000

words = st.integers(0, 2**32 - 1)


def decide(code: bytes, arch: int, number: int, request: int) -> int:
    """Run a filter as the kernel does."""
    data = {0: number, 4: arch, 24: request}
    at, accumulator = 0, 0
    while True:
        operation, jump, other, k = seccomp.INSTRUCTION.unpack_from(code, 8 * at)
        match operation:
            case 0x20:
                accumulator = data[k]
            case 0x15:
                at += jump if accumulator == k else other
            case 0x06:
                return int(k)
        at += 1


# --- filters --------------------------------------------------------------------------------------


@given(
    st.sets(words, max_size=REQUESTS_LIMIT), st.sampled_from(sorted(MACHINES)), words, words, words
)
def test_only_the_listed_requests_of_ioctl_are_asked_about(
    requests: set[int], name: str, arch: int, number: int, request: int
) -> None:
    target = MACHINES[name]
    code = assemble(requests, target)
    assert all(decide(code, target.arch, target.ioctl, each) == ASK for each in requests)
    for seen in ((arch, target.ioctl, request), (target.arch, number, request)):
        ours = seen[0] == target.arch and seen[1] == target.ioctl and request in requests
        assert decide(code, *seen) == (ASK if ours else ALLOW)


def test_x32_and_32_bit_calls_are_allowed() -> None:
    code = assemble([TIOCMGET], MACHINES["x86_64"])
    assert decide(code, 0x40000003, 54, TIOCMGET) == ALLOW
    assert decide(code, 0xC000003E, 0x40000000 | 514, TIOCMGET) == ALLOW


def test_a_filter_has_an_end() -> None:
    with pytest.raises(ValueError, match="201 requests"):
        assemble(range(REQUESTS_LIMIT + 1), MACHINES["x86_64"])


def test_other_machines_are_refused_in_words() -> None:
    assert machine("aarch64").ioctl == 29
    with pytest.raises(PortlineError, match="x86_64 and aarch64, and this machine is riscv64"):
        machine("riscv64")


def test_a_kernel_that_does_not_do_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kernel:
        def prctl(self, *words: object) -> int:
            ctypes.set_errno(errno.EINVAL)
            return -1

    monkeypatch.setattr(seccomp, "_LIBC", Kernel())
    with pytest.raises(OSError, match="prctl: Invalid argument"):
        install(b"", MACHINES["x86_64"])


# --- calls ----------------------------------------------------------------------------------------


@pytest.fixture
def thread() -> Iterator[FilteredThread]:
    with filtered_thread((TIOCMGET, TIOCMSET, FIONREAD)) as made:
        yield made


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def received(thread: FilteredThread) -> Call:
    poll = select.poll()
    poll.register(thread.listener.fileno(), select.POLLIN)
    assert poll.poll(PATIENCE * 1000)
    call = thread.listener.receive()
    assert call is not None
    return call


def test_a_call_says_who_asks_what(thread: FilteredThread, pipe: tuple[int, int]) -> None:
    result = thread.ioctl(pipe[0], TIOCMGET, 4711)
    call = received(thread)
    assert (call.descriptor, call.request, call.argument) == (pipe[0], TIOCMGET, 4711)
    assert os.path.samefile(f"/proc/{call.pid}/fd/{call.descriptor}", f"/proc/self/fd/{pipe[0]}")
    assert thread.listener.valid(call)
    assert thread.listener.answer(call, 17)
    assert result.result(PATIENCE) == 17
    assert not thread.listener.valid(call)
    assert not thread.listener.answer(call, 17)
    assert not thread.listener.pass_on(call)


def test_an_error_is_the_callers_errno(thread: FilteredThread, pipe: tuple[int, int]) -> None:
    result = thread.ioctl(pipe[0], TIOCMGET)
    thread.listener.answer(received(thread), 1, error=errno.EBUSY)
    with pytest.raises(OSError, match="busy"):
        result.result(PATIENCE)


def test_what_is_passed_on_is_done_by_the_kernel(
    thread: FilteredThread, pipe: tuple[int, int]
) -> None:
    os.write(pipe[1], b"12345")
    result = thread.ioctl(pipe[0], FIONREAD, bytes(4))
    thread.listener.pass_on(received(thread))
    assert int.from_bytes(result.result(PATIENCE), "little") == 5


def test_other_requests_are_not_asked_about(thread: FilteredThread, pipe: tuple[int, int]) -> None:
    assert thread.does(lambda: fcntl.fcntl(pipe[0], fcntl.F_GETFD)).result(PATIENCE) == 1
    with pytest.raises(OSError, match="Inappropriate ioctl"):
        thread.ioctl(pipe[0], 0x5416, bytes(4)).result(PATIENCE)


def test_memory_is_read_and_written(thread: FilteredThread, pipe: tuple[int, int]) -> None:
    memory = bytearray(b"question")
    result = thread.ioctl(pipe[0], TIOCMSET, memory)
    call = received(thread)
    assert read_memory(thread.listener, call, 8) == b"question"
    write_memory(thread.listener, call, b"answer!!")
    thread.listener.answer(call)
    assert result.result(PATIENCE) == 0
    assert memory == b"answer!!"
    with pytest.raises(CallGone):
        read_memory(thread.listener, call, 8)
    with pytest.raises(CallGone):
        write_memory(thread.listener, call, b"too late")
    assert memory == b"answer!!"


@pytest.mark.parametrize("address", [0, 1, -1])
def test_a_bad_address_is_one(thread: FilteredThread, pipe: tuple[int, int], address: int) -> None:
    result = thread.ioctl(pipe[0], TIOCMSET, address)
    call = received(thread)
    with pytest.raises(OSError, match="Bad address"):
        read_memory(thread.listener, call, 4)
    with pytest.raises(OSError, match="Bad address"):
        write_memory(thread.listener, call, b"1234")
    thread.listener.answer(call)
    assert result.result(PATIENCE) == 0


def test_memory_that_ends_too_early_is_a_bad_address(
    thread: FilteredThread, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = thread.ioctl(pipe[0], TIOCMSET, bytearray(8))
    call = received(thread)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", lambda fd, size, at: b"123")
        patch.setattr(os, "pwrite", lambda fd, data, at: 3)
        with pytest.raises(OSError, match="Bad address"):
            read_memory(thread.listener, call, 4)
        with pytest.raises(OSError, match="Bad address"):
            write_memory(thread.listener, call, b"1234")
    thread.listener.answer(call)
    assert result.result(PATIENCE) == 0


def test_other_troubles_with_memory_keep_their_names(
    thread: FilteredThread, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = thread.ioctl(pipe[0], TIOCMSET, 1)
    call = received(thread)

    def refuse(*_arguments: object) -> bytes:
        raise PermissionError(errno.EPERM, "no")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", refuse)
        with pytest.raises(PermissionError):
            read_memory(thread.listener, call, 4)
    thread.listener.answer(call)
    assert result.result(PATIENCE) == 0


def test_a_descriptor_is_borrowed(thread: FilteredThread, pipe: tuple[int, int]) -> None:
    result = thread.ioctl(pipe[1], TIOCMGET)
    call = received(thread)
    borrowed = borrow_descriptor(thread.listener, call)
    os.write(borrowed, b"same")
    os.close(borrowed)
    assert os.read(pipe[0], 10) == b"same"
    thread.listener.answer(call)
    assert result.result(PATIENCE) == 0
    with pytest.raises(CallGone):
        borrow_descriptor(thread.listener, call)


def test_a_process_that_is_gone_lends_nothing(thread: FilteredThread) -> None:
    nobody = Call(id=1, pid=2**22 + 1, descriptor=0, request=TIOCMGET, argument=8)
    for ask in (
        lambda: borrow_descriptor(thread.listener, nobody),
        lambda: read_memory(thread.listener, nobody, 4),
    ):
        with pytest.raises(CallGone):
            ask()


def test_a_signal_takes_the_caller_away(thread: FilteredThread, pipe: tuple[int, int]) -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        result = thread.ioctl(pipe[0], TIOCMGET)
        call = received(thread)
        signal.pthread_kill(thread.ident, signal.SIGUSR1)
        with pytest.raises(InterruptedError):
            result.result(PATIENCE)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not thread.listener.valid(call)
    assert not thread.listener.answer(call)


def test_a_call_that_was_interrupted_before_is_none(thread: FilteredThread) -> None:
    # Nothing waits, and the kernel would; the alarm stands for the signal in between.
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    try:
        main = threading.main_thread().ident
        assert main is not None
        timer = threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGALRM))
        timer.start()
        assert thread.listener.receive() is None
        timer.join()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_the_listener_hangs_up_with_the_last_caller(thread: FilteredThread) -> None:
    poll = select.poll()
    poll.register(thread.listener.fileno(), select.POLLIN)
    assert poll.poll(0) == []
    thread.does(lambda: None).result(PATIENCE)
    thread.end()
    assert poll.poll(PATIENCE * 1000)[0][1] & select.POLLHUP


def test_troubles_of_the_listener_itself_are_raised(thread: FilteredThread) -> None:
    nobody = Call(id=1, pid=1, descriptor=0, request=TIOCMGET, argument=8)
    thread.listener.close()
    thread.listener.close()
    with pytest.raises(ValueError, match="negative"):
        thread.listener.receive()
    assert thread.listener.fileno() == -1
    reading, writing = os.pipe()
    os.close(writing)
    wrong = seccomp.Listener(reading, machine())
    with pytest.raises(OSError, match="Inappropriate"):
        wrong.receive()
    with pytest.raises(OSError, match="Inappropriate"):
        wrong.answer(nobody)
    assert not wrong.valid(nobody)
    wrong.close()
