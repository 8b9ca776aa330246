"""The example server of pyserial (examples/rfc2217_server.py), for one client after the other.

What it does with the protocol is all in ``serial.rfc2217.PortManager``; this is the two threads
around it.  A pseudo terminal has no signal lines, so those are played: DSR and DCD follow DTR, CTS
follows RTS, as with a loopback plug.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
import threading

import serial
import serial.rfc2217

__all__: list[str] = []


class Looped(serial.Serial):
    """A port on a pseudo terminal, with lines."""

    cts = property(lambda self: self._rts_state)
    dsr = cd = property(lambda self: self._dtr_state)
    ri = property(lambda self: False)

    def _update_dtr_state(self) -> None:
        print(f"dtr {self._dtr_state}", file=sys.stderr, flush=True)

    def _update_rts_state(self) -> None:
        print(f"rts {self._rts_state}", file=sys.stderr, flush=True)

    def _update_break_state(self) -> None:
        print(f"break {self._break_state}", file=sys.stderr, flush=True)


class Redirector:
    """Joins the port and one peer."""

    def __init__(self, port: Looped, peer: socket.socket, manager: type) -> None:
        self.port = port
        self.peer = peer
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.manager = manager(port, self)
        threads = [threading.Thread(target=each) for each in (self.read, self.poll)]
        for thread in threads:
            thread.start()
        with contextlib.suppress(OSError):
            self.write_port()
        self.ended.set()
        for thread in threads:
            thread.join()

    def write(self, data: bytes) -> None:
        """Send to the peer; the manager calls this."""
        with self.lock:
            self.peer.sendall(data)

    def read(self) -> None:
        while not self.ended.is_set():
            if data := self.port.read(self.port.in_waiting or 1):
                self.write(b"".join(self.manager.escape(data)))

    def poll(self) -> None:
        while not self.ended.wait(1):
            with contextlib.suppress(OSError):
                self.manager.check_modem_lines()

    def write_port(self) -> None:
        while data := self.peer.recv(1024):
            self.port.write(b"".join(self.manager.filter(data)))


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("device")
    words.add_argument("port", type=int)
    words.add_argument("--silent-lines", action="store_true")
    given = words.parse_args()
    port = Looped(given.device, timeout=0.1)
    before = port.get_settings()
    with socket.create_server(("127.0.0.1", given.port)) as listener:
        while True:
            peer, _ = listener.accept()
            with peer:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                Redirector(
                    port, peer, SilentLines if given.silent_lines else serial.rfc2217.PortManager
                )
            port.apply_settings(before)


class SilentLines(serial.rfc2217.PortManager):
    """As esptool's esp_rfc2217_server does: DTR and RTS are its own business, without an answer."""

    def _telnet_process_subnegotiation(self, suboption: bytes) -> None:
        if suboption[1:2] == b"\x05" and suboption[2:3] in b"\x08\x09\x0b\x0c":
            print(f"lines {suboption[2]}", file=sys.stderr, flush=True)
        else:
            super()._telnet_process_subnegotiation(suboption)


if __name__ == "__main__":
    main()
