"""Descriptors that outlive this process: what ports leave there, the next process takes up.

Theory of operation
-------------------
A descriptor lives on while somebody has a copy.  Two may have one:

==============  ==================================  ==============================================
keeper          outlives                            takes
==============  ==================================  ==============================================
systemd         every end of the process,           FileDescriptorStoreMax= in the unit: then
                also SIGKILL; not that the          there is $NOTIFY_SOCKET, to which copies are
                service is stopped                  sent with a name (sd_notify(3), FDSTORE)
this program    a restart in place (exec)           nothing: copies that exec does not close
==============  ==================================  ==============================================

Both hand them to the next process in the same way: descriptors from 3 on, their number in
$LISTEN_FDS, their names in $LISTEN_FDNAMES, and in $LISTEN_PID whom they are for
(sd_listen_fds(3)).  The name says which port left them; several belong to one port.

What no port takes up is let go of: with the last copy the kernel unplugs an adapter.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping, Sequence

    from portline.port.shelf import Shelf

__all__ = ["FIRST", "GIVEN_MAX", "Store"]

FIRST: Final = 3
"""The first descriptor that is handed over (SD_LISTEN_FDS_START)."""

GIVEN_MAX: Final = 1024
"""Descriptors that are taken from whoever has started us: more than four times what all adapters of
a kernel leave; more is a mistake."""

SHOWN_MAX: Final = 64
"""Characters of a port's name in that of its descriptors; systemd allows 255."""

LOG: Final = logging.getLogger("portline")


class Store:
    """All that is kept; ``environment`` is what the process before, or systemd, says to us.

    It is read at once, and the variables are removed: they are not for our children.
    """

    def __init__(self, environment: MutableMapping[str, str] | None = None) -> None:
        variables = os.environ if environment is None else environment
        self._notify = _Notify(variables.get("NOTIFY_SOCKET", ""))
        self._left: dict[str, list[int]] = {}
        self._kept: dict[str, list[int]] = {}
        for name, descriptor in _given(variables):
            self._left.setdefault(name, []).append(descriptor)

    @property
    def outlives(self) -> bool:
        """Whether what is kept outlives this process however it ends."""
        return self._notify.there

    def ready(self, status: str) -> None:
        """Tell a service manager that all has begun (READY), and what to show of it (STATUS).

        It may be told again, with another ``status`` of one line.
        """
        self._notify.send(f"READY=1\nSTATUS={status}")

    def shelf(self, name: str) -> Shelf:
        """Return the part of the virtual port ``name``."""
        return _Part(self, _label(name))

    def drop_untaken(self) -> None:
        """Let go of what no port has taken up, and say so."""
        left, self._left = self._left, {}
        if not left:
            return
        from portline.port.usbip.handover import taken_over
        from portline.port.usbip.naming import abandon

        for label, descriptors in left.items():
            self.forget(label)
            try:
                handover = taken_over(descriptors)
            except ValueError as error:
                LOG.warning(
                    "%s: descriptors of this name are of no use and closed: %s", label, error
                )
                continue
            LOG.warning(
                "%s: no connection makes this port any more; its adapter is unplugged",
                handover.saved.name,
            )
            abandon(handover)

    def handed_on(self) -> dict[str, str]:
        """Let everything kept survive exec in this process; return the variables that say so."""
        kept = [(label, each) for label, descriptors in self._kept.items() for each in descriptors]
        # They have to be those from FIRST on, in this order: first out of the way, then there.
        beyond = FIRST + len(kept)
        moved = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, beyond) for _, each in kept]
        for number, descriptor in enumerate(moved, FIRST):
            os.dup2(descriptor, number, inheritable=True)
        return {
            "LISTEN_PID": str(os.getpid()),
            "LISTEN_FDS": str(len(kept)),
            "LISTEN_FDNAMES": ":".join(label for label, _ in kept),
        }

    def close(self) -> None:
        """Let go of our own copies."""
        for label in list(self._kept):
            _close(self._kept.pop(label))
        for label in list(self._left):
            _close(self._left.pop(label))

    # --- for the parts --------------------------------------------------------------------------

    def take(self, label: str) -> list[int]:
        """Return what was left under a name, once."""
        return self._left.pop(label, [])

    def keep(self, label: str, descriptors: Sequence[int]) -> None:
        """Keep copies."""
        copies: list[int] = []
        try:
            copies.extend(fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, FIRST) for each in descriptors)
        except OSError as error:
            _close(copies)
            LOG.warning("%s: a restart will unplug the adapter: %s", label, error.strerror)
            return
        self._kept.setdefault(label, []).extend(copies)
        self._notify.send(f"FDSTORE=1\nFDNAME={label}", copies)

    def forget(self, label: str) -> None:
        """Keep nothing under this name any more."""
        _close(self._kept.pop(label, []))
        self._notify.send(f"FDSTOREREMOVE=1\nFDNAME={label}")


class _Part:
    """The shelf of one port."""

    def __init__(self, store: Store, label: str) -> None:
        self._store = store
        self._label = label

    def take(self) -> list[int]:
        return self._store.take(self._label)

    def keep(self, descriptors: Sequence[int]) -> None:
        self._store.keep(self._label, descriptors)

    def forget(self) -> None:
        self._store.forget(self._label)


class _Notify:
    """The socket of a service manager (sd_notify(3)); nothing happens where there is none."""

    def __init__(self, address: str) -> None:
        self.there = address.startswith(("/", "@"))
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._warned = False

    def send(self, text: str, descriptors: Sequence[int] = ()) -> None:
        """Tell something; a service manager that does not listen is told of once."""
        if not self.there:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.connect(self._address)
                socket.send_fds(sock, [text.encode()], list(descriptors))
        except OSError as error:
            if not self._warned:
                LOG.warning("the service manager does not take what it is told: %s", error)
            self._warned = True


def _given(variables: MutableMapping[str, str]) -> Iterable[tuple[str, int]]:
    """Yield the name and the descriptor of everything that was handed over."""
    given = {
        name: variables.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
    }
    count = given["LISTEN_FDS"]
    if not count or given["LISTEN_PID"] != str(os.getpid()):
        return
    names = given["LISTEN_FDNAMES"].split(":")
    if not count.isascii() or not count.isdigit() or not 0 <= int(count) <= GIVEN_MAX:
        LOG.warning("what was handed over is not taken: LISTEN_FDS=%.20r is no number", count)
        return
    for number in range(int(count)):
        descriptor = FIRST + number
        try:
            os.set_inheritable(descriptor, False)
        except OSError:
            LOG.warning("what was handed over is not whole: there is no descriptor %d", descriptor)
            return
        yield (names[number] if number < len(names) else "unknown"), descriptor


def _label(name: str) -> str:
    """Return the name of a port as that of its descriptors: ASCII, no colon, and no other's."""
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_")[-SHOWN_MAX:]
    return f"usbip-{readable}-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:8]}"


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)
