"""The protocol of /dev/cuse."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portline.port.cuse import wire

numbers = st.integers(0, 2**64 - 1)
words = st.integers(0, 2**32 - 1)


def request(opcode: int, body: bytes, unique: int = 2, user: int = 0, process: int = 1) -> bytes:
    size = wire.IN_HEADER.size + len(body)
    return wire.IN_HEADER.pack(size, opcode, unique, 0, user, 0, process, 0, 0) + body


@given(unique=numbers, handle=numbers, size=words, flags=words)
def test_a_read(unique: int, handle: int, size: int, flags: int) -> None:
    body = wire.TRANSFER_IN.pack(handle, 7, size, 0, 0, flags, 0)
    assert wire.parse(request(wire.READ, body, unique)) == wire.Read(unique, handle, size, flags)


@given(unique=numbers, handle=numbers, data=st.binary(max_size=100), flags=words)
def test_a_write(unique: int, handle: int, data: bytes, flags: int) -> None:
    body = wire.TRANSFER_IN.pack(handle, 7, len(data), 0, 0, flags, 0) + data
    assert wire.parse(request(wire.WRITE, body, unique)) == wire.Write(unique, handle, data, flags)


def test_opening_and_closing() -> None:
    asked = wire.parse(request(wire.OPEN, wire.OPEN_IN.pack(0o4002, 0), 4, 1000, 77))
    assert asked == wire.Open(4, 0o4002, 1000, 77)
    assert wire.parse(request(wire.RELEASE, wire.RELEASE_IN.pack(5, 2, 0, 0))) == wire.Release(2, 5)
    assert wire.opened(4, 9) == struct.pack("=IiQQII", 32, 0, 4, 9, 5, 0)
    assert wire.success(4) == struct.pack("=IiQ", 16, 0, 4)
    assert wire.failure(4, 16) == struct.pack("=IiQ", 16, -16, 4)


def test_an_ioctl_and_its_retry() -> None:
    first = wire.parse(request(wire.IOCTL, wire.IOCTL_IN.pack(1, 2, 0x5415, 0x7FFF0000, 0, 0)))
    assert first == wire.Ioctl(2, 1, 0x5415, 0x7FFF0000)
    assert wire.wanting(first, 0, 4) == struct.pack(
        "=IiQiIIIQQ", 48, 0, 2, 0, 4, 0, 1, 0x7FFF0000, 4
    )
    assert wire.wanting(first, 36, 0) == struct.pack(
        "=IiQiIIIQQ", 48, 0, 2, 0, 4, 1, 0, 0x7FFF0000, 36
    )
    again = wire.parse(request(wire.IOCTL, wire.IOCTL_IN.pack(1, 3, 0x5418, 8, 4, 6) + b"abcd"))
    assert again == wire.Ioctl(2, 1, 0x5418, 8, b"abcd", 6, compat=True)
    assert wire.controlled(2, b"abcd") == struct.pack("=IiQiIII4s", 36, 0, 2, 0, 0, 0, 0, b"abcd")


def test_a_poll_and_what_wakes_it() -> None:
    asked = wire.parse(request(wire.POLL, wire.POLL_IN.pack(1, 99, 1, 5)))
    assert asked == wire.Poll(2, 1, 99, True, 5)
    assert wire.polled(2, 5) == struct.pack("=IiQII", 24, 0, 2, 5, 0)
    assert wire.woken(99) == struct.pack("=IiQQ", 24, 1, 0, 99)


def test_the_first_question() -> None:
    asked = wire.parse(request(wire.CUSE_INIT, wire.INIT_IN.pack(7, 38, 0, 1)))
    assert asked == wire.Init(2, 38)
    answer = wire.made(asked, "serial/COM7")
    assert answer[16:48] == struct.pack("=8I", 7, 31, 0, 1, 16384, 16384, 0, 0)
    assert answer[16 + 72 :] == b"DEVNAME=serial/COM7\0"
    assert wire.made(wire.Init(2, 27), "x")[20:24] == struct.pack("=I", 27)


def test_what_is_not_known_can_be_answered() -> None:
    assert wire.parse(request(4711, b"", 6)) == wire.Unknown(6, 4711)
    assert wire.parse(request(wire.INTERRUPT, wire.NUMBER.pack(6), 7)) == wire.Interrupt(7, 6)


@settings(max_examples=300)
@given(opcode=st.sampled_from([14, 15, 16, 18, 36, 39, 40, 4096, 1]), body=st.binary(max_size=90))
def test_nothing_but_a_value_error_comes_of_garbage(opcode: int, body: bytes) -> None:
    with contextlib.suppress(ValueError):
        wire.parse(request(opcode, body))


@pytest.mark.parametrize("message", [b"", b"x" * 39, request(wire.READ, b"")[:-1]])
def test_what_is_cut_off_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match="request of"):
        wire.parse(message)
