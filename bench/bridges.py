"""The bridges that are compared: how each is started, and what it can do."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.compile import compile_program
from bench.process import BridgeError, Process, free_ports

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BRIDGES", "PORTLINE", "Bridge", "Kind", "Task", "portline_by"]

TUNED: Final = (
    "  options:\n"
    "    chardelay: false\n"
    "    dev-to-net-bufsize: 65536\n"
    "    net-to-dev-bufsize: 65536\n"
)
TRIAL_MAX: Final = 20.0
"""Seconds that a program may take to say that it is there."""


class Kind(Enum):
    """What a work asks of a bridge."""

    RAW = "raw TCP, one peer"
    TELNET = "telnet with RFC 2217"
    TLS = "raw TCP encrypted by TLS, one peer"
    FAN_OUT = "several peers"
    MANY = "several ports in one process"
    PAGE = "a page that is looked at, beside one port"
    PAIR = "a virtual port, raw TCP, and a server"
    PAIR_TELNET = "a virtual port, telnet with RFC 2217, and a server"


@dataclass(frozen=True, slots=True)
class Task:
    """What a bridge is to carry: pairs of a tty and a TCP port of 127.0.0.1, all alike."""

    lines: tuple[tuple[str, int], ...]
    folder: Path
    """For configuration files; empty at the start."""
    telnet: bool = False
    peers: int = 1
    """That may be connected to one port at a time."""
    service: bool = False
    """Start it as the service with a configuration file, also for one port."""
    certificate: str = ""
    """A file with a key and a certificate, where the peers are encrypted."""
    page: int = 0
    """The TCP port of a page, where there is to be one."""
    state: Path = Path()
    """The folder with the passwords of the page."""

    @property
    def virtual(self) -> Path:
        """Where the client of a pair is to put its virtual port."""
        return self.folder / "virtual"


@dataclass(frozen=True, slots=True)
class Bridge:
    """A program that carries bytes between ttys and TCP."""

    name: str
    kinds: frozenset[Kind]
    command: Callable[[Task], list[str]]
    missing: Callable[[], str]
    """Why it cannot be run here; an empty string when it can."""
    client: Callable[[Task], list[str]] | None = None
    """What makes a virtual port and connects it to the one that ``command`` serves."""

    def start(self, task: Task) -> Process:
        """Start it and wait until it listens; raises :class:`BridgeError`."""
        process = Process(self.command(task), task.folder / "bridge.log")
        try:
            process.wait_listening([port for _, port in task.lines])
        except BaseException:
            process.stop()
            raise
        return process

    def start_client(self, task: Task) -> Process:
        """Start the other half of a pair, and wait until the virtual port is there."""
        if self.client is None:
            raise BridgeError("has no client")
        process = Process(self.client(task), task.folder / "client.log")
        try:
            process.wait_path(task.virtual)
        except BaseException:
            process.stop()
            raise
        return process


PAIRS: Final = frozenset({Kind.PAIR, Kind.PAIR_TELNET})
TLS: Final = frozenset({Kind.TLS})
PAGE: Final = frozenset({Kind.PAGE})
ALL: Final = frozenset(Kind) - PAIRS - TLS - PAGE
"""What one bridge by itself can do."""


def portline_by(program: list[str]) -> Bridge:
    """Portline, started by the given words, such as ``python -m portline``."""

    def command(task: Task) -> list[str]:
        protocol = "rfc2217" if task.telnet else "raw"
        if len(task.lines) == 1 and not task.service:
            tty, port = task.lines[0]
            words = ["share", tty, "--listen", f"127.0.0.1:{port}", "--protocol", protocol]
            if task.certificate:
                words += ["--tls", "--certificate", task.certificate]
            if task.peers > 1:
                words += ["--max-connections", str(task.peers)]
            return [*program, *words, "--baudrate", "115200"]
        config = task.folder / "portline.toml"
        page = f'[web]\nlisten = "127.0.0.1:{task.page}"\n' if task.page else ""
        config.write_text(
            page
            + "\n".join(
                f'[connections.line{index}]\nport = "{tty}"\nlisten = "127.0.0.1:{port}"\n'
                f'protocol = "{protocol}"\nbaudrate = 115200\n'
                for index, (tty, port) in enumerate(task.lines)
            ),
            encoding="utf-8",
        )
        beside = ["env", f"STATE_DIRECTORY={task.state}"] if task.page else []
        return [*beside, *program, "serve", "--config", str(config)]

    def client(task: Task) -> list[str]:
        protocol = "rfc2217" if task.telnet else "raw"
        virtual = str(task.virtual)
        return [*program, "attach", _peer(task), "--virtual", virtual, "--protocol", protocol]

    def missing() -> str:
        argv = [*program, "--help"]
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, timeout=TRIAL_MAX, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        words = done.stderr.strip().splitlines() or ["it does not start"]
        return words[-1] if done.returncode else ""

    return Bridge("portline", ALL | PAIRS | TLS | PAGE, command, missing, client)


def _peer(task: Task) -> str:
    return f"127.0.0.1:{task.lines[0][1]}"


def _relay(task: Task) -> list[str]:
    lines = [f"{tty}={port}" for tty, port in task.lines]
    return [str(compile_program("relay")), *(["--telnet"] if task.telnet else []), *lines]


def _relay_missing() -> str:
    try:
        compile_program("relay")
    except BridgeError as error:
        return str(error)
    return ""


def _socat(task: Task) -> list[str]:
    tty, port = task.lines[0]
    return ["socat", f"TCP-LISTEN:{port},bind=127.0.0.1,nodelay", f"FILE:{tty},b115200,rawer"]


def _socat_tls(task: Task) -> list[str]:
    tty, port = task.lines[0]
    keys = f"cert={task.certificate},verify=0"
    listen = f"OPENSSL-LISTEN:{port},bind=127.0.0.1,nodelay,{keys}"
    return ["socat", listen, f"FILE:{tty},b115200,rawer"]


def _stunnel(task: Task) -> list[str]:
    """ser2net behind stunnel, both ended with the shell that is their leader."""
    tty, port = task.lines[0]
    inner = free_ports(1)[0]
    ser2net = _ser2net(TUNED)(replace(task, lines=((tty, inner),)))
    config = task.folder / "stunnel.conf"
    config.write_text(
        f"foreground = yes\npid =\nsocket = r:TCP_NODELAY=1\nsocket = l:TCP_NODELAY=1\n[serial]\n"
        f"accept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{inner}\ncert = {task.certificate}\n",
        encoding="utf-8",
    )
    return ["sh", "-c", f"{shlex.join(ser2net)} & {_find('stunnel')} {config} & wait"]


def _socat_client(task: Task) -> list[str]:
    # Without wait-slave the pty counts as closed before the application has opened it.
    pty = f"PTY,link={task.virtual},rawer,wait-slave,pty-interval=0.05"
    return ["socat", pty, f"TCP:{_peer(task)},nodelay"]


def _gensiot(task: Task) -> list[str]:
    address = _peer(task).replace(":", ",")
    stack = "telnet(rfc2217)," if task.telnet else ""
    pty = f"pty(readbuf=65536,raw,link={task.virtual})"
    return ["gensiot", "-i", pty, f"{stack}tcp(readbuf=65536,nodelay),{address}"]


REDIRECTOR: Final = (sys.executable, str(Path(__file__).with_name("redirector.py")))


def _redirector(task: Task) -> list[str]:
    tty, port = task.lines[0]
    return [*REDIRECTOR, tty, "--listen", str(port)]


def _redirector_client(task: Task) -> list[str]:
    return [*REDIRECTOR, str(task.virtual), "--connect", str(task.lines[0][1])]


def _redirector_missing() -> str:
    return "" if importlib.util.find_spec("serial") else "pyserial is not installed"


def _ser2net(options: str) -> Callable[[Task], list[str]]:
    def command(task: Task) -> list[str]:
        stack = "telnet(rfc2217),tcp" if task.telnet else "tcp"
        limit = f"    max-connections: {task.peers}\n" if task.peers > 1 else ""
        tail = (options or "  options:\n") + limit if options or limit else ""
        config = task.folder / "ser2net.yaml"
        config.write_text(
            "%YAML 1.1\n---\n"
            + "".join(
                f"connection: &line{index}\n"
                f"  accepter: {stack},127.0.0.1,{port}\n"
                f"  connector: serialdev,{tty},115200n81,local\n" + tail
                for index, (tty, port) in enumerate(task.lines)
            ),
            encoding="utf-8",
        )
        return [_find("ser2net"), "-n", "-u", "-c", str(config)]

    return command


def _find(program: str) -> str:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin") or ""


def _not_found(*programs: str) -> Callable[[], str]:
    def missing() -> str:
        absent = [program for program in programs if not _find(program)]
        return f"{' and '.join(absent)} not installed" if absent else ""

    return missing


PORTLINE: Final = portline_by([sys.executable, "-m", "portline"])
BRIDGES: Final = (
    PORTLINE,
    Bridge("C relay", ALL, _relay, _relay_missing),
    Bridge("ser2net tuned", ALL, _ser2net(TUNED), _not_found("ser2net")),
    Bridge("ser2net default", ALL, _ser2net(""), _not_found("ser2net")),
    Bridge("socat", frozenset({Kind.RAW}), _socat, _not_found("socat")),
    Bridge("socat OPENSSL", TLS, _socat_tls, _not_found("socat")),
    Bridge("stunnel, ser2net", TLS, _stunnel, _not_found("stunnel", "ser2net")),
    Bridge("two socats", frozenset({Kind.PAIR}), _socat, _not_found("socat"), _socat_client),
    Bridge("ser2net, gensiot", PAIRS, _ser2net(TUNED), _not_found("ser2net", "gensiot"), _gensiot),
    Bridge(
        "two redirectors",
        frozenset({Kind.PAIR}),
        _redirector,
        _redirector_missing,
        _redirector_client,
    ),
)
"""In the order in which each round runs them; ratios are those of the first one."""
