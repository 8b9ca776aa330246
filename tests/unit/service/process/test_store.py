"""What is left to the next process: by a service manager played here, and over exec."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from portline.line import LineSettings, ModemLines
from portline.port.usbip.device import Pending
from portline.port.usbip.handover import Saved
from portline.port.usbip.journal import Journal
from portline.service.process.store import FIRST, Store
from tests.manager import Manager
from tests.waiting import LIMIT


def names(manager: Manager) -> dict[str, int]:
    """Return how many descriptors are kept under each name."""
    manager.listen()
    return {name: len(kept) for name, kept in manager.kept.items()}


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with Manager(str(tmp_path / "notify")) as made:
        yield made


@pytest.fixture
def pair() -> Iterator[tuple[int, int]]:
    one, two = socket.socketpair()
    with one, two:
        yield one.fileno(), two.fileno()


def test_a_service_manager_gets_copies_under_a_name(
    manager: Manager, pair: tuple[int, int]
) -> None:
    store = Store(manager.environment())
    assert store.outlives
    shelf = store.shelf("/dev/plc")
    shelf.keep(pair)
    [label] = names(manager)
    assert label.startswith("usbip-dev_plc-")
    assert names(manager) == {label: 2}
    assert store.shelf("/dev/plc").take() == []  # what is kept is for the next process
    store.shelf("other").keep(pair[:1])
    assert len(names(manager)) == 2
    shelf.forget()
    assert list(names(manager)) != [label]
    assert len(names(manager)) == 1
    store.close()


@pytest.mark.parametrize("name", ["", ":", "a:b", "größe", "x" * 500, "a b\n", "\udcff"])
def test_every_name_of_a_port_makes_one_that_systemd_takes(
    manager: Manager, pair: tuple[int, int], name: str
) -> None:
    store = Store(manager.environment())
    store.shelf(name).keep(pair)
    store.shelf(name + "2").keep(pair)
    labels = list(names(manager))
    assert len(labels) == 2
    for label in labels:
        assert len(label) < 256
        assert label.isascii()
        assert label.isprintable()
        assert ":" not in label
    store.close()


def test_an_abstract_socket_is_one_too(pair: tuple[int, int]) -> None:
    with Manager(f"@portline-test-{os.getpid()}") as manager:
        store = Store(manager.environment())
        store.shelf("plc").keep(pair)
        assert list(names(manager).values()) == [2]
        store.close()


def test_a_service_manager_that_does_not_listen_is_told_of_once(
    pair: tuple[int, int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    for _ in range(2):
        store.shelf("plc").keep(pair)
        store.shelf("plc").forget()
    [record] = caplog.records
    assert "does not take what it is told" in record.message


def test_a_service_manager_is_told_that_all_has_begun(manager: Manager) -> None:
    store = Store(manager.environment())
    for text in ("2 connections", "1 connection"):
        assert manager.status != text
        store.ready(text)
        manager.listen()
        assert (manager.ready, manager.status) == (True, text)
    assert manager.kept == {}


def test_without_one_nobody_is_told(caplog: pytest.LogCaptureFixture) -> None:
    Store({}).ready("1 connection")
    assert caplog.records == []


def test_without_one_nothing_outlives_the_process() -> None:
    assert not Store({}).outlives


CHILD = """
import json, os
from portline.service.process.store import Store
store = Store()
taken = store.shelf("plc").take(), store.shelf("other").take(), store.shelf("third").take()
left = [name for name in os.environ if name.startswith("LISTEN")]
print(json.dumps([[os.read(each[0], 9).decode() for each in taken[:2]], len(taken[2]), left,
    [os.get_inheritable(each) for taken in taken for each in taken]]))
"""

PARENT = f"""
import os, sys
from portline.service.process.store import Store
store = Store()
for name in ("plc", "other"):
    reader, writer = os.pipe()
    os.write(writer, name.encode())
    store.shelf(name).keep([reader, writer])
    os.close(reader), os.close(writer)
os.execve(sys.executable, [sys.executable, "-c", {CHILD!r}], os.environ | store.handed_on())
"""


def test_a_program_that_executes_another_hands_everything_on() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PARENT], capture_output=True, text=True, timeout=LIMIT, check=True
    )
    assert json.loads(done.stdout) == [["plc", "other"], 0, [], [False] * 4]


def environment(count: object, labels: str = "", pid: object = None) -> dict[str, str]:
    return {
        "LISTEN_PID": str(os.getpid() if pid is None else pid),
        "LISTEN_FDS": str(count),
        "LISTEN_FDNAMES": labels,
    }


@pytest.mark.parametrize(
    "given",
    [
        environment("x"),
        environment("-1"),
        environment("\u00b2"),
        environment(10**9),
        environment("1025"),
        environment(3, pid=1),
        environment(3, pid="x"),
        environment(""),
        environment(0),
    ],
)
def test_nonsense_hands_nothing_over(
    given: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    before = set(os.listdir("/proc/self/fd"))
    store = Store(given)
    store.drop_untaken()
    assert given == {}
    assert set(os.listdir("/proc/self/fd")) == before
    assert len(caplog.records) <= 1
    assert "\n" not in caplog.text.strip()


HOSTILE = f"""
import os, sys
from portline.service.process.store import Store
from portline.service.process.log import start_logging
start_logging(0)
os.dup2(os.memfd_create("one"), {FIRST})
os.dup2(os.open("/dev/null", os.O_RDWR), {FIRST + 1})
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=sys.argv[1], LISTEN_FDNAMES=sys.argv[2])
store = Store()
store.drop_untaken()
for number in ({FIRST}, {FIRST + 1}):
    try:
        os.fstat(number)
    except OSError:
        print("closed")
"""


@pytest.mark.parametrize(
    ("count", "labels", "told"),
    [
        ("2", "a:b", 2),
        ("2", "usbip-x:usbip-x", 1),
        ("2", "", 2),
        ("2", ":::::", 1),
        ("1", "a", 1),
    ],
)
def test_what_is_no_port_is_closed_and_told_in_a_line(count: str, labels: str, told: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE, count, labels],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=True,
    )
    assert done.stdout.splitlines().count("closed") >= int(count)
    lines = done.stderr.splitlines()
    assert len(lines) == told, lines
    assert all("are of no use and closed" in line for line in lines)


def test_a_port_that_no_connection_makes_is_unplugged(
    manager: Manager, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The name that it had goes, too."""
    caplog.set_level(logging.WARNING)
    link = tmp_path / "plc"
    link.symlink_to("/dev/./ttyUSB77")
    saved = Saved(
        name="plc",
        adapter="pl2303",
        slot=0,
        path=str(link),
        node="/dev/ttyUSB77",
        settings=LineSettings(),
        lines=ModemLines(),
        dtr=False,
        rts=False,
        break_on=False,
        registers={},
        pending=Pending(),
        rest=b"",
        unsent=b"",
        writes=(),
        held=None,
    )
    kernel, ours = socket.socketpair()
    journal = Journal.create()
    journal.checkpoint(saved.to_json(), unsent=0, lines=ModemLines())
    store = Store(manager.environment())
    store.shelf("plc").keep((ours.fileno(), journal.descriptor))
    [label] = names(manager)
    store.close()
    store._left = {label: [ours.detach(), os.dup(journal.descriptor)]}
    journal.close()
    with kernel:
        store.drop_untaken()
        assert names(manager) == {}
        assert kernel.recv(1) == b""
    assert not os.path.lexists(link)
    [record] = caplog.records
    assert record.message.startswith("plc: no connection makes this port any more")
    store.drop_untaken()
