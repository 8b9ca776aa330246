from __future__ import annotations

import errno
import socket
import struct

import pytest

from portline.net import tcp


def test_options_of_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = socket.create_connection(server.getsockname())
        near, _ = server.accept()
    tcp.configure(near, nodelay=True, keepalive=10, retry=0.4)
    assert near.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert near.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
    assert near.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 1
    tcp.configure(near, nodelay=False, keepalive=0, retry=1)
    assert not near.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert not near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    near.close()
    far.close()


class Refuser:
    """A socket of a kernel before Linux 6.15; ``asked`` is what it was asked to set."""

    family = socket.AF_INET

    def __init__(self) -> None:
        self.asked: dict[int, int] = {}

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self.asked[option] = value
        if option == tcp._RTO_MAX_MS:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")


@pytest.mark.parametrize(
    ("keepalive", "retry", "longest"), [(10, 3, 4_750), (1, 1, 1_000), (3600, 60, 120_000)]
)
def test_the_kernel_is_to_try_some_times_before_silence_is_death(
    keepalive: int, retry: int, longest: int
) -> None:
    refuser = Refuser()
    tcp.configure(refuser, nodelay=True, keepalive=keepalive, retry=retry)  # type: ignore[arg-type]
    assert refuser.asked[tcp._RTO_MAX_MS] == longest
    assert refuser.asked[socket.TCP_KEEPCNT] == tcp.KEEPALIVE_PROBES


def test_without_keepalive_the_kernel_keeps_its_own_times() -> None:
    refuser = Refuser()
    tcp.configure(refuser, nodelay=True, keepalive=0, retry=1)  # type: ignore[arg-type]  # a stand-in
    assert tcp._RTO_MAX_MS not in refuser.asked


def test_a_kernel_that_knows_the_option_takes_the_value() -> None:
    with socket.socket() as sock:
        tcp.configure(sock, nodelay=True, keepalive=10, retry=3)
        try:
            longest = sock.getsockopt(socket.IPPROTO_TCP, tcp._RTO_MAX_MS)
        except OSError:
            pytest.skip("older than Linux 6.15")
        assert longest == pytest.approx(4_750, abs=10)  # the kernel counts in its own ticks


def test_a_unix_socket_is_left_alone() -> None:
    one, other = socket.socketpair()
    with one, other:
        tcp.configure(one, nodelay=True, keepalive=10, retry=3)
        assert not tcp.is_dead(one, 1.0)


def test_silence_before_death() -> None:
    assert tcp.death_time(10, 3) == 19
    assert tcp.death_time(0, 3) == 0


class Books:
    """A socket whose TCP_INFO says what the test wants."""

    def __init__(self, **values: int) -> None:
        names = ["state", "_1", "retransmits", "probes", *(f"_{i}" for i in range(2, 6))]
        names += [f"word{i}" for i in range(24)]
        fields = {"unacked": "word4", "last_ack": "word12"}
        where = {fields.get(name, name): value for name, value in values.items()}
        self.info = struct.pack("=8B24I", *(where.get(name, 0) for name in names))

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        return self.info[:size]


def dead(silence: float, **values: int) -> bool:
    return tcp.is_dead(Books(state=1, **values), silence)  # type: ignore[arg-type]  # a stand-in


def test_a_peer_that_answers_is_alive_even_if_it_does_not_read() -> None:
    assert not dead(19, unacked=5, retransmits=4, last_ack=18_000)
    assert not dead(19, probes=0, last_ack=60_000)
    assert not dead(19, unacked=5, retransmits=0, last_ack=60_000)


def test_a_peer_that_owes_answers_for_too_long_is_dead() -> None:
    assert dead(19, unacked=5, retransmits=4, last_ack=19_000)
    assert dead(19, probes=3, last_ack=20_000)
    assert not dead(0, probes=3, last_ack=20_000)


def stuck(*, unacked: int, retransmits: int, window: int, known: int = 256) -> int | None:
    books = Books(state=1, unacked=unacked, retransmits=retransmits)
    books.info = books.info.ljust(256, b"\0")
    books.info = books.info[:120] + struct.pack("=Q", 7) + books.info[128:]
    books.info = books.info[:228] + struct.pack("=I", window)
    books.info = books.info[:known]
    return tcp.stuck_at(books)  # type: ignore[arg-type]  # a stand-in


def test_data_is_stuck_that_is_sent_in_vain_to_an_open_window() -> None:
    assert stuck(unacked=1, retransmits=2, window=1) == 7
    assert stuck(unacked=1, retransmits=1, window=1) is None
    assert stuck(unacked=0, retransmits=2, window=1) is None
    assert stuck(unacked=1, retransmits=2, window=0) is None
    assert stuck(unacked=1, retransmits=2, window=1, known=228) is None
    one, other = socket.socketpair()
    with one, other:
        assert tcp.stuck_at(one) is None


def test_what_the_kernel_has_closed_is_dead() -> None:
    assert tcp.is_dead(Books(state=7), 0)  # type: ignore[arg-type]  # a stand-in


def test_what_the_other_machine_has_got() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = socket.create_connection(server.getsockname())
        near, _ = server.accept()
    with near, far:
        assert tcp.acknowledged(near) == 0
        near.send(b"hello")
        assert far.recv(5) == b"hello"
        assert tcp.acknowledged(near) == 5
        tcp.give_up(near)
        near.close()
        assert tcp.acknowledged(near) is None
        tcp.give_up(near)
        with pytest.raises(ConnectionResetError):
            far.recv(5)


class Flight:
    """A socket of which five bytes are acknowledged; the round trip takes 100 microseconds."""

    def __init__(self, *, state: int = 1, retransmits: int = 0, unsent: int = 0) -> None:
        self.info = bytearray(256)
        self.info[0], self.info[2] = state, retransmits
        struct.pack_into("=Q", self.info, 120, 5)
        struct.pack_into("=II", self.info, 144, unsent, 100)

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        return bytes(self.info[:size])


def arrived(quiet: float, **flight: int) -> int | None:
    return tcp.arrived(Flight(**flight), 9, quiet)  # type: ignore[arg-type]  # a stand-in


def test_what_was_not_refused_in_time_has_arrived() -> None:
    assert arrived(0.0001) == 5
    assert arrived(0.0003) == 9
    assert arrived(1.0, state=7) == 5
    assert arrived(1.0, retransmits=1) == 5
    assert arrived(1.0, unsent=1) == 5


def test_what_has_arrived_is_not_known_of_other_sockets_and_old_kernels() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert tcp.arrived(one, 9, 1.0) is None
    short = Flight()
    del short.info[130:]
    assert tcp.arrived(short, 9, 1.0) == 5  # type: ignore[arg-type]  # a stand-in
