from __future__ import annotations

import errno
import select
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from portline.net.udp import socket as udp
from portline.net.udp.socket import Returned, Settings
from tests.interop.server import free_port

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
GROUP = "239.255.11.7"
FAMILIES = [socket.AF_INET, socket.AF_INET6]
HERE = Settings(interface="lo", ttl=0, loop=True)


@pytest.fixture(params=FAMILIES, ids=["IPv4", "IPv6"])
def family(request: pytest.FixtureRequest) -> socket.AddressFamily:
    return socket.AddressFamily(request.param)


@pytest.fixture
def sock(family: socket.AddressFamily) -> Iterator[socket.socket]:
    with udp.make(family, (LOOPBACK[family], 0), HERE) as made:
        yield made


def told(sock: socket.socket) -> list[Returned]:
    poll = select.poll()
    poll.register(sock, 0)
    assert poll.poll(10_000)
    return list(udp.returned(sock))


def test_datagrams_go_from_one_to_another(sock: socket.socket) -> None:
    with udp.make(sock.family, None, Settings()) as other:
        other.sendto(b"data", sock.getsockname())
        assert select.select([sock], [], [], 10)[0]
        data, ancillary, _, source = sock.recvmsg(100, udp.ANCILLARY)
        assert (data, source[1]) == (b"data", other.getsockname()[1])
        assert udp.overrun(ancillary) == 0


def test_what_overran_is_counted(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    with udp.make(sock.family, None, Settings()) as other:
        for _ in range(20):
            other.sendto(bytes(1000), sock.getsockname())
        sock.recv(1000)
        while True:  # make room, so that one more comes with the count
            try:
                sock.recv(1000)
            except BlockingIOError:
                break
        other.sendto(b"x", sock.getsockname())
        assert select.select([sock], [], [], 10)[0]
        assert udp.overrun(sock.recvmsg(100, udp.ANCILLARY)[1]) > 0


def test_nobody_there_is_told_with_the_address(sock: socket.socket) -> None:
    address = (LOOPBACK[sock.family], free_port())
    sock.sendto(b"data", address)
    (only,) = told(sock)
    assert only.address[:2] == address
    assert (only.number, only.room, only.sent) == (errno.ECONNREFUSED, 0, True)
    assert list(udp.returned(sock)) == []


def test_what_is_too_large_is_told_with_what_fits(sock: socket.socket) -> None:
    address = (LOOPBACK[sock.family], 9)
    room = udp.room(sock.family, address)
    assert room == (65507 if sock.family == socket.AF_INET else 65536 - 48)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    with pytest.raises(OSError, match="too long") as raised:
        sock.sendto(bytes(room + 1), address)
    assert raised.value.errno == errno.EMSGSIZE


def test_an_error_tells_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    class Queue:
        family = socket.AF_INET6

        def __init__(self) -> None:
            error = udp._ERROR.pack(errno.EMSGSIZE, 1, 0, 0, 1400, 0)
            self.told: list[Any] = [(b"", [(0, 0, b"?"), (41, 25, error)], 0, ("::2", 9, 0, 0))]

        def recvmsg(self, *sizes: int) -> Any:
            if not self.told:
                raise BlockingIOError
            return self.told.pop()

    assert list(udp.returned(Queue())) == [  # type: ignore[arg-type]  # a stand-in
        Returned(("::2", 9, 0, 0), errno.EMSGSIZE, 1400 - 48, sent=False)
    ]


def test_where_no_way_is_known_the_least_is_taken() -> None:
    assert udp.room(socket.AF_INET, ("256.0.0.1", 9)) == 40


def test_a_group_is_heard_by_its_members() -> None:
    family = socket.AF_INET  # the loopback interface has no way to groups of IPv6
    with (
        udp.make(family, None, HERE, shared=True) as member,
        udp.make(family, ("", member.getsockname()[1]), HERE, shared=True) as other,
        udp.make(family, None, HERE) as sender,
    ):
        udp.join(member, GROUP, "lo")
        udp.join(member, GROUP, "lo")
        sender.sendto(b"data", (GROUP, member.getsockname()[1]))
        assert select.select([member], [], [], 10)[0]
        assert member.recv(100) == b"data"
        with pytest.raises(BlockingIOError):
            other.recv(100)


def test_what_is_no_group_cannot_be_joined(sock: socket.socket) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        udp.join(sock, LOOPBACK[sock.family], None)


def test_an_interface_that_is_not_there(family: socket.AddressFamily) -> None:
    with pytest.raises(OSError, match="there is no network interface none0; `ip link` lists them"):
        udp.make(family, None, Settings(interface="none0"))


def test_who_stands_for_many() -> None:
    assert udp.is_group("239.1.2.3")
    assert udp.covers_many(socket.AF_INET6, ("ff02::1", 9))
    assert udp.covers_many(socket.AF_INET, ("127.255.255.255", 9))
    assert not udp.covers_many(socket.AF_INET, ("127.0.0.1", 9))
    assert not udp.covers_many(socket.AF_INET6, ("fe80::1", 9))  # which network?
    assert not udp.covers_many(socket.AF_INET, ("0.0.0.1", 9))


def test_what_comes_back_is_known_by_its_source(family: socket.AddressFamily) -> None:
    here = LOOPBACK[family]
    with udp.make(family, None, Settings()) as wide:
        port = wide.getsockname()[1]
        assert udp.is_own(wide, (here, port))
        assert not udp.is_own(wide, (here, port - 1))
        elsewhere = "192.0.2.7" if family == socket.AF_INET else "2001:db8::7"
        assert not udp.is_own(wide, (elsewhere, port))
    with udp.make(family, (here, 0), Settings()) as narrow:
        port = narrow.getsockname()[1]
        assert udp.is_own(narrow, (here, port))
        other = "127.0.0.2" if family == socket.AF_INET else "::2"
        assert not udp.is_own(narrow, (other, port))


def test_a_group_of_ipv6_can_be_joined() -> None:
    with udp.make(socket.AF_INET6, None, HERE) as member:
        udp.join(member, "ff02::1107", "lo")


def test_a_kernel_that_does_not_tell_what_it_has_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert udp.dropped(sock) == 0
        monkeypatch.setattr(udp, "_SO_MEMINFO", 9999)
        assert udp.dropped(sock) == 0
