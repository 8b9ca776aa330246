from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from portline.cli.app import main
from portline.cli.flags import connection_options
from portline.cli.share import described
from portline.config.models import ServerConnection, options
from portline.errors import ConfigError
from portline.line import Parity
from tests.unit.cli.conftest import Runs


def refusals(port: str | None, name: str | None = None, **given: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        described(port, name, given)
    return caught.value.mistakes


def test_there_is_a_flag_for_every_option() -> None:
    fields = [flag.name for flag in connection_options("server", {"port"})]
    assert fields == [f for f in options(ServerConnection) if f not in {"kind", "port"}]


def test_help_says_how_values_are_typed_not_how_they_stand_in_a_file() -> None:
    text = CliRunner().invoke(main, ["share", "--help"], terminal_width=200).output
    typed = (
        r"[a character code (13, 0x0d), or text with escapes ('\r\n', '\x03'); may be given several"
    )
    assert typed in " ".join(text.split())
    assert "or a list of" not in text


def test_help_shows_the_flags_by_group_with_range_and_default() -> None:
    text = CliRunner().invoke(main, ["share", "--help"], terminal_width=200).output
    titles = [line.rstrip(":") for line in text.splitlines() if line and line[0] != " "]
    assert titles[1:] == [
        "Local port and network",
        "Serial port settings",
        "Packet detection",
        "Connection settings",
        "Data transfer",
        "Data buffer",
        "Security",
        "Signal lines",
        "Other",
    ]
    flat = " ".join(text.split())
    assert "[50 to 4000000 bit/s; default: 9600]" in flat
    assert "--parity none|odd|even|mark|space" in flat
    assert "--nodelay / --no-nodelay" in flat


def test_what_was_given_is_run_and_nothing_else(runs: Runs) -> None:
    arguments = "share /dev/ttyNONE7 --baudrate 115200 --parity even --no-nodelay -v"
    result = CliRunner().invoke(main, arguments.split())
    assert (result.exit_code, result.output) == (0, "")
    ((config, verbose, announce),) = runs
    meter = config.connections["ttyNONE7"]
    assert meter.model_fields_set == {"kind", "port", "baudrate", "parity", "nodelay"}
    assert (meter.baudrate, meter.parity, meter.nodelay) == (115200, Parity.EVEN, False)
    assert [str(place) for place in meter.places()] == ["raw://127.0.0.1:4001"]
    assert (verbose, announce) == (1, True)


def test_several_addresses_and_a_name(runs: Runs) -> None:
    arguments = "share --virtual ttyV0 --listen 4001 --listen rfc2217://*:4002 --open --name scale"
    assert CliRunner().invoke(main, arguments.split()).exit_code == 0
    places = runs[0][0].connections["scale"].places()
    assert [str(place) for place in places] == ["raw://127.0.0.1:4001", "rfc2217://*:4002"]


@pytest.mark.parametrize(
    ("port", "given", "name"),
    [
        ("/dev/serial/by-id/usb-FTDI:1", {}, "usb-FTDI-1"),
        ("usb:0403:6001:A5", {}, "usb-0403-6001-A5"),
        (None, {"virtual": "/tmp/x/ttyV0"}, "ttyV0"),
        (None, {"virtual": "COM7"}, "COM7"),
    ],
)
def test_a_connection_is_called_after_its_port(
    port: str | None, given: dict[str, object], name: str
) -> None:
    assert list(described(port, None, given).connections) == [name]


def test_all_mistakes_are_told_by_their_flags() -> None:
    arguments = "share --virtual v --baudrate 3 --keepalive soon --name /"
    result = CliRunner().invoke(main, arguments.split())
    assert result.exit_code == 2
    assert [line.split()[2] for line in result.stderr.splitlines()] == [
        "--baudrate:",
        "--keepalive:",
        "--baudrate:",
        "--name:",
    ]


@pytest.mark.parametrize(
    ("port", "name", "given", "message"),
    [
        (
            "/dev/x",
            "",
            {},
            "--name: must not be empty; leave it out, or write one like --name meter",
        ),
        (
            "/dev/x",
            None,
            {"listen_when_open": True},
            "--listen-when-open: does not apply to a real port, because no application opens it, "
            "Portline does; leave it out, or share a virtual port (--virtual NAME)",
        ),
        (
            None,
            None,
            {"virtual": "v", "parity": "even"},
            "--parity: does not apply to a virtual port, because the application that opens it "
            "decides the line settings; leave it out, or share a real port (write its path first)",
        ),
        (
            "/dev/x",
            None,
            {"notify": True},
            "--notify: does not apply to --protocol raw, because it has no words for settings and "
            "signal lines; leave it out, or choose --protocol rfc2217",
        ),
        (
            "/dev/x",
            None,
            {"packet_strip": True},
            "--packet-strip: has nothing to leave out; give --packet-delimiter too",
        ),
    ],
)
def test_mistakes_speak_of_flags(
    port: str | None, name: str | None, given: dict[str, object], message: str
) -> None:
    assert refusals(port, name, **given) == [message]


def test_a_port_is_needed() -> None:
    assert refusals(None) == [
        "a port is missing: write its path first, or --virtual NAME to make one"
    ]
    assert refusals("/dev/x", virtual="v") == [
        "--virtual: PORT and --virtual exclude each other; keep one of them"
    ]
    assert refusals("ttyUSB0")[0].startswith('PORT: "ttyUSB0" must be a path like')


def test_a_path_that_is_no_device_is_refused(tmp_path: Path) -> None:
    (line,) = refusals(str(tmp_path))
    assert line == (
        f"PORT: {tmp_path} is not a serial port (no character device); `portline ports` lists them"
    )


def test_a_relative_path_is_meant_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ttyX").symlink_to(os.devnull)
    assert described("./ttyX", None, {}).connections["ttyX"].port == str(tmp_path / "ttyX")


def test_the_shell_is_offered_the_choices() -> None:
    result = CliRunner().invoke(
        main,
        env={
            "_PORTLINE_COMPLETE": "bash_complete",
            "COMP_WORDS": "portline share --parity e",
            "COMP_CWORD": "3",
        },
    )
    assert result.output == "plain,even\n"
