from __future__ import annotations

import os
import socket
from pathlib import Path

from portline.net.address import (
    display,
    display_sockaddr,
    host_of,
    tcp_holder,
    udp_holder,
)


def test_addresses_as_people_write_them() -> None:
    assert display("127.0.0.1", 4001) == "127.0.0.1:4001"
    assert display("::1", 4001) == "[::1]:4001"
    assert display("::ffff:10.0.0.7", 4001) == "10.0.0.7:4001"
    assert display_sockaddr(("::1", 4001, 0, 0)) == "[::1]:4001"
    assert display_sockaddr("") == "unix"
    assert display_sockaddr(("fe80::1", 9, 0, 1)) == f"[fe80::1%{socket.if_indextoname(1)}]:9"
    assert display_sockaddr(("fe80::1", 9, 0, 10**6)) == "[fe80::1%1000000]:9"


def test_the_host_is_the_same_for_each_port_and_both_writings_of_ipv4() -> None:
    assert host_of(display("10.0.0.7", 4001)) == host_of(display("::ffff:10.0.0.7", 50000))
    assert host_of(display("fe80::1", 1)) == host_of(display("fe80::1", 2)) == "[fe80::1]"
    assert host_of(display("10.0.0.7", 1)) != host_of(display("10.0.0.70", 1))
    assert host_of(display_sockaddr("")) == "unix"


def test_it_finds_the_program_that_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert f"(pid {os.getpid()})" in str(tcp_holder(port))
    assert tcp_holder(port) is None


def test_what_cannot_be_seen_is_not_named(tmp_path: Path) -> None:
    net = tmp_path / "net"
    net.mkdir()
    (net / "tcp").write_text("sl\n 0: 0100007F:0FA1 00000000:0000 0A 0:0 00:0 0 0 0 4711 1\n")
    assert tcp_holder(4001, tmp_path) is None
    process = tmp_path / "77" / "fd"
    process.mkdir(parents=True)
    (tmp_path / "77" / "comm").write_text("ser2net\n")
    (process / "3").symlink_to("socket:[4711]")
    assert tcp_holder(4001, tmp_path) == "ser2net (pid 77)"
    assert tcp_holder(4002, tmp_path) is None


def test_who_receives_on_a_udp_port_is_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        holder = udp_holder(sock.getsockname()[1])
    assert holder is not None
    assert holder.endswith(f"(pid {os.getpid()})")
