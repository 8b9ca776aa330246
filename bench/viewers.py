"""Pages that look at a running Portline, as a program of their own: ``viewers.py PORT TOKEN NAME``.

Each is a WebSocket that wants the status; the last one watches the connection NAME, too.  What is
told is read at once and thrown away: how fast a browser shows it is not what is measured.  It
prints ``ready`` when all of them have heard something, and ends when its stdin does.
"""

from __future__ import annotations

import base64
import json
import os
import selectors
import socket
import struct
import sys

PAGES = 10
READ = 1024 * 1024


def frame(message: object) -> bytes:
    """Return a text of a client (RFC 6455, section 5.2), masked with zeros."""
    text = json.dumps(message).encode()
    return struct.pack("!BB", 0x81, 0x80 | len(text)) + bytes(4) + text


def opened(port: int, token: str, *messages: object) -> socket.socket:
    """Connect a page."""
    page = socket.create_connection(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    head = (
        f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\n"
        f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    )
    page.sendall(head.encode())
    answer = page.recv(READ)
    if b" 101 " not in answer.split(b"\r\n")[0]:
        raise SystemExit(f"no WebSocket: {answer[:200]!r}")
    page.sendall(b"".join(map(frame, messages)))
    page.setblocking(False)
    return page


def main() -> None:
    """Look until nobody wants it any more."""
    port, token, name = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    # As on another machine: not in the way of what is measured on this one.
    os.nice(10)
    status = {"subscribe": "status"}
    pages = [opened(port, token, status) for _ in range(PAGES - 1)]
    pages.append(opened(port, token, status, {"subscribe": "monitor", "name": name}))
    silent = set(pages)
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        for page in pages:
            selector.register(page, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin:
                    return
                page = key.fileobj
                assert isinstance(page, socket.socket)
                if not page.recv(READ):
                    raise SystemExit("a page was closed")
                if silent:
                    silent.discard(page)
                    if not silent:
                        print("ready", flush=True)


if __name__ == "__main__":
    main()
