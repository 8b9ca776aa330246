from __future__ import annotations

import errno
import os
import socket

import pytest

from portline.net.faults import address_fault, name_fault, seconds


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), "the host name is not known (Name"),
        (UnicodeError("label too long"), "this cannot be the name of a host"),
        (TimeoutError(), "no name server answers"),
        (OSError(errno.EACCES, "x"), "choose a port from 1024 up"),
        (OSError(errno.EADDRNOTAVAIL, "x"), "this machine has no such address"),
        (OSError(errno.ENODEV, os.strerror(errno.ENODEV)), "name the interface"),
        (OSError(errno.ENODEV, "there is no network interface x"), "there is no network interface"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
    ],
)
def test_each_fault_says_what_to_do(error: OSError | ValueError, words: str) -> None:
    assert words in address_fault(error, 99, "TCP")


def test_only_a_name_has_faults_of_a_name() -> None:
    assert name_fault(OSError(errno.ECONNREFUSED, "refused")) is None


def test_the_holder_is_looked_for_among_those_of_the_same_transport() -> None:
    error = OSError(errno.EADDRINUSE, "in use")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"(pid {os.getpid()})" in address_fault(error, port, "TCP")
        assert "UDP port is in use by another program" in address_fault(error, port, "UDP")


@pytest.mark.parametrize(
    ("limit", "shown"), [(4.992, "5"), (5, "5"), (9.9996, "10"), (2.345, "2.3"), (0.05, "0.05")]
)
def test_a_limit_is_written_as_people_mean_it(limit: float, shown: str) -> None:
    assert seconds(limit) == shown
