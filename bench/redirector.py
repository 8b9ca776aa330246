"""A redirector between a tty and TCP, built as tcp_serial_redirect.py of pyserial's examples is.

``redirector.py TTY --listen PORT`` serves one peer; ``redirector.py LINK --connect PORT`` makes a
pty, puts the link there for applications, and connects.  One thread reads the serial side and
sends, the other one receives and writes.  Only 127.0.0.1.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import socket
import struct
from pathlib import Path
from typing import Final

import serial
import serial.threaded

BAUDRATE: Final = 115200
RECEIVE: Final = 1024
"""Bytes, as in the example."""

TIOCGPTN: Final = 0x80045430
TIOCSPTLCK: Final = 0x40045431


class SerialToNet(serial.threaded.Protocol):  # type: ignore[misc]  # pyserial has no types
    """Sends what the serial side reads."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer

    def data_received(self, data: bytes) -> None:
        """Pass a chunk on."""
        self.peer.sendall(data)


def virtual(link: Path) -> serial.Serial:
    """Make a pty, and a link to the end that is for the application."""
    master = serial.Serial("/dev/ptmx", BAUDRATE)
    fcntl.ioctl(master.fd, TIOCSPTLCK, struct.pack("i", 0))
    (number,) = struct.unpack("I", fcntl.ioctl(master.fd, TIOCGPTN, bytes(4)))
    terminal = f"/dev/pts/{number}"
    os.open(terminal, os.O_RDWR | os.O_NOCTTY)  # stays open: otherwise the master reads EIO
    link.symlink_to(terminal)
    return master


def accepted(port: int) -> socket.socket:
    """Listen, and return the first peer."""
    with socket.create_server(("127.0.0.1", port), backlog=1) as listener:
        return listener.accept()[0]


def redirect(port: serial.Serial, peer: socket.socket) -> None:
    """Carry bytes until the peer ends."""
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    serial.threaded.ReaderThread(port, lambda: SerialToNet(peer)).start()
    while data := peer.recv(RECEIVE):
        port.write(data)


def main() -> None:
    """Take the command line's word for which end this is."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", metavar="TTY|LINK")
    role = parser.add_mutually_exclusive_group(required=True)
    role.add_argument("--listen", type=int)
    role.add_argument("--connect", type=int)
    arguments = parser.parse_args()
    if arguments.listen is not None:
        port = serial.Serial(arguments.port, BAUDRATE)
        redirect(port, accepted(arguments.listen))
    else:
        peer = socket.create_connection(("127.0.0.1", arguments.connect))
        redirect(virtual(Path(arguments.port)), peer)


if __name__ == "__main__":
    main()
