"""What pages show beside commands: programs, configurations, a unit for systemd, and links."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from portline.cli.app import COMMANDS
from portline.config.document import load
from tests.docs.pages import ROOT, Block, blocks, links, pages
from tests.docs.program import (
    PATIENCE,
    Place,
    environment,
    with_passwords,
    write_password,
)

QUESTION, ANSWER = b"*IDN?\n", b"ACME,9000,1,2.0\r\n"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


def shown(language: str) -> list[Block]:
    return [block for page in pages() for block in blocks(page) if block.language == language]


def only(page: str, language: str) -> str:
    """Return the only block of a language on a page."""
    (block,) = (block for block in blocks(page) if block.language == language)
    return block.text


# --- programs -------------------------------------------------------------------------------------


def run_python(place: Place, program: str) -> list[str]:
    """Run a program with the TCP ports of a place; return the lines that it prints."""
    ended = subprocess.run(
        [sys.executable, "-c", place.with_ports(program)],
        cwd=place.folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def answer(master: int) -> None:
    """Be a device that answers one question."""
    received = b""
    while not received.endswith(QUESTION):
        received += os.read(master, 100)
    os.write(master, ANSWER)


def answer_all(master: int, client: subprocess.Popen[bytes]) -> None:
    """Be a device that answers every question of a program, as long as that runs."""
    received = b""
    while client.poll() is None:
        if select.select([master], [], [], 0.05)[0]:
            received += os.read(master, 100)
        if received.endswith(QUESTION):
            received = b""
            os.write(master, ANSWER)


def test_the_program_of_the_readme_talks_to_a_device(place: Place) -> None:
    program = only("README.md", "python")
    device, port = place.device("/dev/ttyUSB0"), place.port(4001)
    arguments = [device, "--listen", f"127.0.0.1:{port}", "--protocol", "rfc2217"]
    with place.start("share", *arguments) as running:
        running.listens()
        thread = threading.Thread(target=answer, args=(place.masters["/dev/ttyUSB0"],), daemon=True)
        thread.start()
        assert run_python(place, program) == [repr(ANSWER)]
        thread.join(PATIENCE)


@pytest.mark.parametrize("number", [0, 2], ids=["asyncio", "pyserial"])
def test_the_programs_for_remote_ports_talk_to_a_device(place: Place, number: int) -> None:
    page = "docs/how-to/use-from-python.md"
    program = [block for block in blocks(page) if block.language == "python"][number]
    device, port = place.device("/dev/ttyUSB0"), place.port(4001)
    arguments = [device, "--listen", f"127.0.0.1:{port}", "--protocol", "rfc2217"]
    with place.start("share", *arguments) as running:
        running.listens()
        thread = threading.Thread(target=answer, args=(place.masters["/dev/ttyUSB0"],), daemon=True)
        thread.start()
        said = run_python(place, program.text)
        assert said == {0: [repr(ANSWER), "9600-8N2"], 2: [repr(ANSWER)]}[number]
        thread.join(PATIENCE)


def test_the_program_that_opens_again_outlives_the_server(place: Place) -> None:
    page = "docs/how-to/use-from-python.md"
    program = [block for block in blocks(page) if block.language == "python"][1].text
    device, port = place.device("/dev/ttyUSB0"), place.port(4001)
    arguments = [device, "--listen", f"127.0.0.1:{port}", "--protocol", "rfc2217"]
    client = subprocess.Popen(
        [sys.executable, "-c", place.with_ports(program)],
        bufsize=0,
        env=environment(),
        stdout=subprocess.PIPE,
    )
    said = client.stdout
    assert said is not None
    master = place.masters["/dev/ttyUSB0"]
    thread = threading.Thread(target=answer_all, args=(master, client), daemon=True)
    thread.start()
    try:
        for _ in range(2):
            with place.start("share", *arguments) as running:
                running.listens()
                assert select.select([said], [], [], PATIENCE)[0], "it says nothing"
                assert said.readline().decode().strip() == repr(ANSWER)
            while select.select([said], [], [], 0)[0]:
                said.readline()  # what the server that is gone now had answered, too
    finally:
        client.kill()
        client.communicate()
        thread.join(PATIENCE)


def test_the_program_with_a_password_talks_to_a_device(place: Place) -> None:
    program = only("docs/how-to/protect-with-a-password.md", "python")
    write_password(place, "meter.password")
    device, port = place.device("/dev/ttyUSB0"), place.port(4001)
    arguments = [device, "--listen", f"127.0.0.1:{port}", "--protocol", "rfc2217"]
    with place.start("share", *arguments, "--password-file", "meter.password") as running:
        running.listens()
        thread = threading.Thread(target=answer, args=(place.masters["/dev/ttyUSB0"],), daemon=True)
        thread.start()
        assert run_python(place, program) == [repr(ANSWER)]
        thread.join(PATIENCE)


@pytest.mark.slow  # 40 characters at 300 baud
def test_the_program_of_the_tutorial_talks_to_the_demo(place: Place) -> None:
    program = only("docs/tutorial.md", "python")
    chosen = ["--raw-port", str(place.port(4001)), "--rfc2217-port", str(place.port(4002))]
    with place.start("demo", *chosen) as running:
        running.listens()
        line, later = (eval(text) for text in run_python(place, program))
        assert line.endswith(b"\r\n")
        assert later


def test_the_program_over_http_asks_a_page(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(place.folder / "state"))
    (place.folder / "token").write_text(place.run("token", "program"))
    device = place.device("/dev/ttyUSB0")
    (place.folder / "portline.toml").write_text(
        f'[web]\nlisten = "127.0.0.1:{place.port(8217)}"\n[connections.meter]\nport = "{device}"\n'
        f'listen = "127.0.0.1:{place.port(4001)}"\n'
    )
    with place.start("serve") as running:
        running.says("Home: ")
        first, second = run_python(place, only("docs/reference/http.md", "python"))
    assert first == "meter listening"
    assert second.startswith("info ")


def test_each_program_that_is_shown_is_run_here() -> None:
    assert [block.page for block in shown("python")] == [
        "README.md",
        "docs/how-to/protect-with-a-password.md",
        "docs/how-to/use-from-python.md",
        "docs/how-to/use-from-python.md",
        "docs/how-to/use-from-python.md",
        "docs/reference/http.md",
        "docs/tutorial.md",
    ]


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", shown("toml"), ids=lambda block: block.place)
def test_each_configuration_that_is_shown_is_right(place: Place, block: Block) -> None:
    path = place.folder / "portline.toml"
    path.write_text(with_passwords(place, block.text), encoding="utf-8")
    config = load(path)
    assert config.connections or config.web


def test_the_unit_that_is_shown_is_the_one_that_is_shipped() -> None:
    unit = (ROOT / "packaging" / "portline.service").read_text(encoding="utf-8")
    assert only("docs/how-to/run-as-a-service.md", "ini") == unit


@pytest.mark.parametrize("page", pages())
def test_links_lead_to_files(page: str) -> None:
    for line, target in links(page):
        path, _, _ = target.partition("#")
        there = (ROOT / page).parent / path if path else ROOT / page
        assert there.exists(), f"{page}:{line}: there is no {target}"


def test_the_page_of_commands_has_all_of_them() -> None:
    text = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"\n## `portline {name}" in text
