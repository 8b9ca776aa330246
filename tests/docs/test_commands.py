"""Every command that a page shows is run; a line that no recipe understands fails."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import pytest

from portline.net.tls.certificate import fingerprint
from portline.recording.pcapng import PcapngWriter
from portline.recording.record import Kind, Record, Source
from tests.docs.pages import ROOT, Command, blocks, commands
from tests.docs.program import PATIENCE, Place, Running, environment, with_passwords, write_password
from tests.filtered import unavailable
from tests.interop.conftest import lacking
from tests.namespace import Namespace, Network, Unavailable

FOREIGN: Final = {
    "nc": "talks until Ctrl-C; tests/interop/test_programs.py does what it does",
    "telnet": "talks until Ctrl-C; tests/interop/test_programs.py does what it does",
    "curl": "asks a page that somebody runs; tests/unit/web/test_api.py does what it does",
    "ssh": "logs in elsewhere",
    "chmod": "is about a file that comes from elsewhere",
    "export": "is for the shell; tests/unit/cli/test_elsewhere.py sets such variables",
    "openssl": "talks until Ctrl-C; tests/interop/test_tls.py does what it does",
    "socat": "talks until Ctrl-C; tests/interop/test_tls.py does what it does",
    "gensiot": "talks until Ctrl-C; tests/interop/test_tls.py does what it does",
    ".venv/bin/pip": "would change the environment; `make` installs the same package for the tests",
    "sudo": "would change the machine",
}
"""Programs that are not run, and why."""

PORTLINE: Final = ("portline", ".venv/bin/portline")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    made = Place(tmp_path)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    yield made
    made.close()


# --- recipes --------------------------------------------------------------------------------------


@contextmanager
def namespace(place: Place) -> Iterator[Namespace]:
    """Give a machine of its own to what changes the machine."""
    folder = place.folder / "namespace"
    folder.mkdir()
    try:
        made = Namespace(folder)
    except Unavailable as error:
        lacking(str(error))
        raise
    place.prefix = made.prefix
    yield made
    made.close()


def overlapping(place: Place, words: list[str]) -> None:
    """Run it where the device can be hidden from nobody; see it hidden and back."""
    with namespace(place) as machine:
        name = words[words.index("--virtual") + 1]
        with place.start("share", *map(place.with_ports, words)) as running:
            running.listens()
            assert not machine.is_device(name)
        assert machine.is_device(name)


def with_certificates(place: Place, arguments: list[str]) -> None:
    """Put the files of a CA in the place of those that a page names."""
    from tests.authority import Authority  # its import costs as much as some of these tests

    authority = Authority(place.folder)
    issued = authority.issue("server", "localhost")
    files = {
        "--certificate": issued.certificate,
        "--key": issued.key,
        "--client-ca": authority.file,
        "--ca": authority.file,
        "--client-crl": authority.revoke(),
    }
    for number, flag in enumerate(arguments[:-1]):
        if flag in files:
            arguments[number + 1] = files[flag]


def share(place: Place, command: Command, words: list[str]) -> None:
    """Run it with a pseudo terminal for the device; see it listen, or say what is missing."""
    if "--overlap" in words:
        overlapping(place, words)
        return
    arguments = [place.with_ports(word) for word in words]
    has_password(place, words)
    for number, word in enumerate(words):
        if word.startswith("/dev/"):
            arguments[number] = place.device(word)
        if word == "--virtual" and "/" not in words[number + 1]:
            # For root a plain name is made in /dev, which is everybody's.
            arguments[number + 1] = f"./{words[number + 1]}"
    if {"--certificate", "--client-ca"} & {*arguments}:
        with_certificates(place, arguments)
    if not place.ports:
        arguments += ["--listen", f"127.0.0.1:{place.port(4001)}"]
    with place.start("share", *arguments) as running:
        running.says(" on ")
        if "--virtual" in arguments:
            path = place.folder / arguments[arguments.index("--virtual") + 1]
            with path.open("rb", buffering=0):
                running.listens()
        else:
            running.listens()
        absent = any(word.startswith(("usb:", "path:")) for word in words)
        assert ("port absent, trying again" in running.said()) == absent


def attach(place: Place, command: Command, words: list[str]) -> None:
    """Run it with a host of this machine; see that it connects, directly or to its proxy."""
    has_password(place, words)
    with socket.create_server(("127.0.0.1", 0)) as host:
        here = f"127.0.0.1:{host.getsockname()[1]}"
        arguments = [re.sub(r"192\.0\.2\.\d+:\d+", here, word) for word in words]
        # Several hosts of the page are one here, of which one is enough.
        again = [at for at, word in enumerate(arguments) if word == here][1:]
        arguments = [word for at, word in enumerate(arguments) if at not in again]
        if "--virtual" in words:
            name = arguments.index("--virtual") + 1
            arguments[name] = f"./{Path(arguments[name]).name}"
        else:
            device = arguments.index("--port") + 1
            arguments[device] = place.device(arguments[device])
        if {"--certificate", "--ca"} & {*arguments}:
            with_certificates(place, arguments)
        with place.start("attach", *arguments) as running:
            running.says(" to ")
            host.settimeout(PATIENCE)
            if "--connect-when-open" in words:
                with (place.folder / arguments[name]).open("rb", buffering=0):
                    host.accept()[0].close()
            else:
                host.accept()[0].close()


def configured(place: Place, command: Command) -> Path:
    """Write the configuration that the page shows (else the tutorial's)."""
    shown = [*blocks(command.page), *blocks("docs/tutorial.md")]
    text = next(block.text for block in shown if block.language == "toml")
    path = place.folder / "portline.toml"
    text = place.with_devices(place.with_ports(text))
    path.write_text(with_passwords(place, text), encoding="utf-8")
    return path


def has_password(place: Place, words: list[str]) -> None:
    """Make the file that a command names."""
    if "--password-file" in words:
        write_password(place, words[words.index("--password-file") + 1])


def password(place: Place, command: Command, words: list[str]) -> None:
    """Run it where the password comes from a pipe; see what it has written, for whom."""
    if "--web" in words:
        assert place.run("password", *words).startswith("the page has another password")
        return
    path = place.folder / words[-1]
    if "--force" in words:
        path.write_text("old\n", encoding="utf-8")
    place.run("password", *words, typed="correct horse battery staple\n")
    written = path.read_text("utf-8")
    assert path.stat().st_mode & 0o777 == 0o600
    assert written.startswith("SCRAM-SHA-256$") == ("--plain" not in words)
    assert written != "old\n"


def token(place: Place, command: Command, words: list[str]) -> None:
    """Make one, or take one away."""
    if "--remove" in words:
        place.run("token", words[-1])
        assert place.run("token", *words) == f"{words[-1]}: is worthless now\n"
    else:
        assert place.run("token", *words).startswith("portline_")
        assert place.run("token") == f"{words[0]}\n"


def in_place(words: list[str], path: Path) -> list[str]:
    return [str(path) if word.endswith(".toml") else word for word in words]


def serve(place: Place, command: Command, words: list[str]) -> None:
    """Run it with the configuration of the page; see all of it listen."""
    if "--web" in words:
        with place.start("serve", f"--web=127.0.0.1:{place.port(8217)}") as running:
            running.says(f"Home: http://127.0.0.1:{place.port(8217)}/enter")
        return
    path = configured(place, command)
    with place.start("serve", *in_place(words, path)) as running:
        running.listens()


def check(place: Place, command: Command, words: list[str]) -> None:
    """Run it with the configuration of the page, which has to be right."""
    path = configured(place, command)
    assert place.run("check", *in_place(words, path)).splitlines()[0].endswith(": ok")


def ports(place: Place, command: Command, words: list[str]) -> None:
    """Run it."""
    assert place.run("ports", *words)


def demo(place: Place, command: Command, words: list[str]) -> None:
    """Run it on other TCP ports than the usual ones, which may be in use."""
    chosen = [str(place.port(int(word))) if word.isdecimal() else word for word in words]
    if not chosen:
        chosen = ["--raw-port", str(place.port(4001)), "--rfc2217-port", str(place.port(4002))]
    with place.start("demo", *chosen) as running:
        running.says("Ctrl-C ends the demo.")
        running.listens()


def repair(place: Place, command: Command, words: list[str]) -> None:
    """Run it where there is nothing to repair."""
    with namespace(place):
        assert place.run("repair", *words) == "Nothing to repair.\n"


def doctor(place: Place, command: Command, words: list[str]) -> None:
    """Run it; what it finds, and so its exit code, is this machine's."""
    ended = subprocess.run(
        [sys.executable, "-m", "portline", "doctor", *words],
        cwd=place.folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert not ended.stderr
    assert ("wrong" in ended.stdout.replace("Nothing is wrong.", "")) == (ended.returncode == 1)
    assert "--backend pty" in ended.stdout


def beside(place: Place, command: Command, words: list[str]) -> None:
    """Run it beside the service with the configuration of the page."""
    path = configured(place, command)
    with place.start("serve", str(path)) as running:
        running.says(" on ")
        assert place.run(*words)


def pulse(place: Place, command: Command, words: list[str]) -> None:
    """Pulse a pseudo terminal, of which all is found fault with but that it has no lines."""
    if words[0].startswith("-"):
        assert "Sequences:" in place.run("pulse", *words)
        return
    if words[0].startswith("/dev/"):
        said = place.fails("pulse", place.device(words[0]), *words[1:])
    else:
        arguments = [place.device("/dev/ttyUSB0"), "--name", words[0]]
        with place.start(
            "share", *arguments, "--listen", f"127.0.0.1:{place.port(4001)}"
        ) as shared:
            shared.listens()
            said = place.fails("pulse", *words)
    assert "the port has no DTR and RTS" in said


def term(place: Place, command: Command, words: list[str]) -> None:
    """Send a line through a pipe, and see the device get it; also from a machine far away."""
    device = place.device("/dev/ttyUSB0")
    here = f"127.0.0.1:{place.port(4001)}"
    sent = "*IDN?\n"
    if words[0].startswith("/dev/"):
        place.run("term", device, *words[1:], "--linger", "0", typed=sent)
    else:
        shared = ["--listen", here, "--protocol", "rfc2217", "--name", "meter"]
        with place.start("share", device, *shared) as running:
            running.listens()
            arguments = [word.replace("192.0.2.7:4001", here) for word in words]
            place.run("term", *arguments, "--linger", "0", typed=sent)
    assert os.read(place.masters["/dev/ttyUSB0"], 100) == sent.encode()


def piped(place: Place, command: Command, words: list[str]) -> None:
    """Run what a pipe leads to, in place of both."""
    assert words[1:4] == ["|", "portline", "term"], f"{command.place}: no recipe for this pipe"
    term(place, command, words[4:])


def operated(operation: str) -> Callable[[Place, Command, list[str]], None]:
    """Return what operates a pseudo terminal, of which all is found fault with but its lines."""

    def operate(place: Place, command: Command, words: list[str]) -> None:
        arguments = [place.device("/dev/ttyUSB0"), "--name", words[0]]
        here = ("127.0.0.1", place.port(4001))
        listening = ["--listen", f"{here[0]}:{here[1]}"]
        with place.start("share", *arguments, *listening) as shared:
            shared.listens()
            if operation == "disconnect":
                with socket.create_connection(here, PATIENCE) as peer:
                    peer.settimeout(PATIENCE)
                    address = "{}:{}".format(*peer.getsockname())
                    until = time.monotonic() + PATIENCE
                    while address not in place.run("status"):
                        assert time.monotonic() < until, "the peer is not let in"
                    assert address in place.run(operation, words[0], address)
                    assert peer.recv(1) == b""
            elif any("=" in word for word in words) and operation == "lines":
                assert "has no signal lines" in place.fails(operation, *words)
            elif operation == "lines":
                assert words[0] in place.run(operation, *words, noted="has no signal lines")
            else:
                assert words[0] in place.run(operation, *words)

    return operate


def status(place: Place, command: Command, words: list[str]) -> None:
    """Ask the service; with --watch until there is something."""
    if "--watch" in words:
        with place.start("serve", str(configured(place, command))) as running:
            running.listens()
            watching = subprocess.Popen(
                [sys.executable, "-m", "portline", "status", *words],
                cwd=place.folder,
                env=environment(),
                stdout=subprocess.PIPE,
            )
            try:
                assert watching.stdout is not None
                assert watching.stdout.readline().startswith(b"portline serve")
                watching.send_signal(signal.SIGINT)
                watching.communicate(timeout=PATIENCE)
            finally:
                watching.kill()
        assert watching.returncode == 0
        return
    beside(place, command, ["status", *words])


def shared(place: Place) -> AbstractContextManager[Running]:
    """Share a pseudo terminal as "meter"."""
    here = f"127.0.0.1:{place.port(4001)}"
    device = place.device("/dev/ttyUSB0")
    return place.start("share", device, "--name", "meter", "--listen", here)


def monitor(place: Place, command: Command, words: list[str]) -> None:
    """Watch a pseudo terminal for a moment, in which it says something."""
    with shared(place) as running:
        running.listens()
        watching = subprocess.Popen(
            [sys.executable, "-m", "portline", "monitor", *words, "--seconds", "1"],
            cwd=place.folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            while watching.poll() is None:
                os.write(place.masters["/dev/ttyUSB0"], b"ERROR 5\n")
                time.sleep(0.05)
            out, err = watching.communicate(timeout=PATIENCE)
        finally:
            watching.kill()
    assert watching.returncode == 0, err
    assert b"ERROR" in out or b"RVJST1Ig" in out or b"45 52 52" in out


def record(place: Place, command: Command, words: list[str]) -> None:
    """Record a pseudo terminal for a moment; what another program gets through a pipe is enough."""
    if "|" in words:
        words = words[: words.index("|")]
    with shared(place) as running:
        running.listens()
        ended = subprocess.run(
            [sys.executable, "-m", "portline", "record", *words, "--seconds", "0.5"],
            cwd=place.folder,
            env=environment(),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    assert ended.returncode == 0, ended.stderr
    assert (
        ended.stdout.startswith(b"\n\r\r\n") if "-" in words else (place.folder / words[1]).exists()
    )


def replay(place: Place, command: Command, words: list[str]) -> None:
    """Play a recording of both directions to a pseudo terminal, by itself or shared."""
    recorded = PcapngWriter("meter")
    data = (
        Record(1.0, Source.PORT, Kind.DATA, data=b"answer\n"),
        Record(1.1, Source.PEER, Kind.DATA, data=b"*IDN?\n"),
    )
    written = recorded.begin() + b"".join(map(recorded.encode, data))
    (place.folder / words[0]).write_bytes(written)
    arguments = [place.with_ports(word) for word in words]
    if words[1].startswith("/dev/"):
        arguments[1] = place.device(words[1])
        assert "played 7 bytes" in place.run("replay", *arguments)
    elif "://" in words[1]:
        with shared(place) as running:
            running.listens()
            assert "played 6 bytes" in place.run("replay", *arguments)
    else:
        ended = place._ended(("replay", *arguments))
        assert (ended.returncode, ended.stdout) == (0, "answer\n")
        return
    assert os.read(place.masters["/dev/ttyUSB0"], 7) in (b"answer\n", b"*IDN?\n")


def reload(place: Place, command: Command, words: list[str]) -> None:
    """Have the service read its file again."""
    beside(place, command, ["reload", *words])


def changing(operation: str) -> Callable[[Place, Command, list[str]], None]:
    """Return what changes a connection of a service, of which there is another one."""

    def change(place: Place, command: Command, words: list[str]) -> None:
        path = place.folder / "portline.toml"
        names = ["other"] if operation == "add" else ["other", words[0]]
        path.write_text(
            "\n".join(
                f'[connections.{name}]\nport = "{place.device(f"/dev/{name}")}"\n'
                f'listen = "127.0.0.1:{place.port(number)}" # here\nkeepalive = "30s"\n'
                for number, name in enumerate(names, 5001)
            )
        )
        arguments = [place.device(word) if word.startswith("/dev/") else word for word in words]
        with place.start("serve", str(path)) as running:
            running.listens()
            said = place.run(operation, *map(place.with_ports, arguments))
        assert words[0] in said or (operation, said) == ("enable", "nothing has changed\n")
        assert path.read_text().count("# here") == (1 if operation in ("add", "remove") else 2)

    return change


def restart(place: Place, command: Command, words: list[str]) -> None:
    """Have the service begin anew."""
    beside(place, command, ["restart", *words])


def run(place: Place, command: Command, words: list[str]) -> None:
    """Run a program that ends by itself on a virtual port; of the others see that it begins."""
    if reason := unavailable():
        pytest.skip(reason)
    program = words[words.index("--") + 1]
    if program != "stty":
        assert "PROGRAM" in place.run("run", "--help")
        return
    here = f"127.0.0.1:{place.port(4001)}"
    remote = any("=192.0.2.7:4001" in word for word in words)
    shared = [place.device("/dev/ttyUSB0")] if remote else ["--virtual", "./ttyV0"]
    with place.start("share", *shared, "--listen", here, "--protocol", "rfc2217") as running:
        running.listens()
        assert "cs8" in place.run("run", *(word.replace("192.0.2.7:4001", here) for word in words))


def udp(place: Place, command: Command, words: list[str]) -> None:
    """Run it in a network of its own, which leads nowhere; see it announce where datagrams go."""
    try:
        network = Network()
    except Unavailable as error:
        lacking(str(error))
        raise
    place.prefix = network.prefix
    has_password(place, words)
    arguments = [place.device(word) if word.startswith("/dev/") else word for word in words]
    if "--virtual" in arguments:
        number = arguments.index("--virtual") + 1
        arguments[number] = f"./{arguments[number]}"
    with network, place.start("udp", *arguments) as running:
        running.says("(udp)")
        assert "error" not in running.said()


SUBCOMMANDS: Final = {
    "share": share,
    "attach": attach,
    "udp": udp,
    "serve": serve,
    "check": check,
    "ports": ports,
    "pulse": pulse,
    "term": term,
    "run": run,
    "demo": demo,
    "repair": repair,
    "password": password,
    "token": token,
    "doctor": doctor,
    "status": status,
    "monitor": monitor,
    "record": record,
    "replay": replay,
    "reload": reload,
    "add": changing("add"),
    "edit": changing("edit"),
    "remove": changing("remove"),
    "restart": restart,
    "enable": changing("enable"),
    "disable": changing("disable"),
    **{name: operated(name) for name in ("start", "stop", "disconnect", "lines", "break", "set")},
}


def elsewhere(place: Place, words: list[str]) -> None:
    """Run it at a service that only its page leads to."""
    from tests.authority import Authority

    authority = Authority(place.folder, "gateway-ca")
    issued = authority.issue("gateway", "localhost")
    pem = ssl.PEM_cert_to_DER_cert(Path(issued.certificate).read_text("utf-8"))
    page = place.port(8217)
    path = place.folder / "portline.toml"
    path.write_text(
        f'[web]\nlisten = "127.0.0.1:{page}"\ntls = true\n'
        f'certificate = "{issued.certificate}"\nkey = "{issued.key}"\n'
        f'[connections.meter]\nport = "{place.device("/dev/ttyUSB0")}"\n'
        f'listen = "127.0.0.1:{place.port(4001)}"\n'
    )
    token = place.folder / "gateway.token"
    token.touch(0o600)
    token.write_text(place.run("token", "laptop"))
    given = [
        word.replace("gateway.example:8217", f"localhost:{page}").replace(
            "sha256:5f0c...", fingerprint(pem)
        )
        for word in words
    ]
    if not {"--ca", "--fingerprint"} & {*words}:
        given = ["--ca", authority.file, *given]
    with place.start("serve", str(path)) as running:
        running.listens()
        place.variables = {"RUNTIME_DIRECTORY": str(place.folder)}  # where nobody else is
        if "monitor" in words:
            place.run(*given, noted="meter")
        else:
            assert "meter" in place.run(*given)


def portline(place: Place, command: Command, words: list[str]) -> None:
    """Run a command of Portline."""
    if words[0] == "--url":
        elsewhere(place, words)
        return
    if words[0].startswith("-"):
        assert place.run(*words)
        return
    subcommand = SUBCOMMANDS.get(words[0])
    assert subcommand, f"{command.place}: no recipe for `portline {words[0]}`"
    subcommand(place, command, words[1:])


def make(place: Place, command: Command, words: list[str]) -> None:
    """Ask make what it would do."""
    succeeds(["make", "-n", *words], ROOT)


def python(place: Place, command: Command, words: list[str]) -> None:
    """Ask a module whether it knows the flags; running it may take minutes."""
    assert words[0] == "-m", f"{command.place}: no recipe for python without -m"
    known = succeeds([sys.executable, "-m", words[1], "--help"], ROOT)
    assert {word for word in words[2:] if word.startswith("-")} <= set(
        re.findall(r"--?[a-z-]+", known)
    )


def evaluate(place: Place, command: Command, words: list[str]) -> None:
    """Let bash set its completion up."""
    program = place.folder / "portline"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m portline "$@"\n')
    program.chmod(0o755)
    script = f'PATH="$PWD:$PATH"; {command.text} && complete -p portline'
    assert "portline" in succeeds(["bash", "-c", script], place.folder)


def succeeds(command: list[str], folder: Path) -> str:
    """Run a program until it ends with success; return its output."""
    ended = subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


RECIPES: Final[dict[str, Callable[[Place, Command, list[str]], None]]] = {
    **dict.fromkeys(PORTLINE, portline),
    "make": make,
    ".venv/bin/python": python,
    "eval": evaluate,
    "printf": piped,
}


def understood(command: Command) -> tuple[str, list[str]]:
    """Return the program of a line and its arguments, without comments and variables before it."""
    try:
        words = shlex.split(command.text, comments=True)
    except ValueError as error:
        pytest.fail(f"{command.place}: {error}")
    while words and re.match(r"[A-Z_]+=", words[0]):
        del words[0]
    return (words[0], words[1:]) if words else ("", [])


def first_shown_quick() -> Iterator[object]:
    """Give each command; it is slow if one before it shows the same subcommand."""
    seen: set[tuple[str, str]] = set()
    for command in commands():
        program, words = understood(command)
        shown = Path(program).name, words[0] if program in PORTLINE and words else ""
        marks = pytest.mark.slow if shown in seen else []
        yield pytest.param(command, id=command.place, marks=marks)
        seen.add(shown)


@pytest.mark.parametrize("command", list(first_shown_quick()))
def test_what_a_page_shows_works(place: Place, command: Command) -> None:
    program, words = understood(command)
    if not program or program in FOREIGN:
        return
    recipe = RECIPES.get(program)
    assert recipe, f"{command.place}: no recipe for {command.text!r}; add one, or explain why not"
    recipe(place, command, words)


def test_what_can_be_run_is_not_left_out() -> None:
    assert set(RECIPES).isdisjoint(FOREIGN)


def test_the_commands_are_found() -> None:
    assert {command.page for command in commands()} > {"README.md", "docs/tutorial.md"}
    assert {name for command in commands() if (name := understood(command)[0])} > {
        *PORTLINE,
        "make",
    }
