from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from portline.cli.app import main


def test_a_good_file_is_summed_up(tmp_path: Path) -> None:
    path = tmp_path / "portline.toml"
    path.write_text(
        '[connections.meter]\nport = "/dev/ttyUSB0"\nlisten = ["*:4001", "rfc2217://[::1]:4002"]\n'
        "open = true\n"
        'baudrate = 115200\n[connections.plotter]\nvirtual = "ttyV0"\nlisten = 4003\n'
        "enabled = false\n"
        '[connections.sign]\nkind = "udp"\nvirtual = "ttyV1"\nconnect = "192.0.2.7:5000"\n'
        'listen = "[::]:5001"\n'
    )
    result = CliRunner().invoke(main, ["check", str(path)])
    assert (result.exit_code, result.output.splitlines()) == (
        0,
        [
            f"{path}: ok",
            "  meter: /dev/ttyUSB0 115200-8N1 on raw://*:4001, rfc2217://[::1]:4002",
            "  plotter: virtual port ttyV0 on raw://127.0.0.1:4003 - not enabled",
            "  sign: virtual port ttyV1 to udp://192.0.2.7:5000, on udp://[::]:5001",
        ],
    )


def test_all_mistakes_are_told(tmp_path: Path) -> None:
    path = tmp_path / "portline.toml"
    path.write_text('[connections.meter]\nport = "/dev/ttyUSB0"\nx = 1\ny = 2\n')
    result = CliRunner().invoke(main, ["check", str(path)])
    assert (result.exit_code, result.output.splitlines()) == (
        1,
        [
            f"{path}:3: connections.meter.x: unknown option; take it out",
            f"{path}:4: connections.meter.y: unknown option; take it out",
        ],
    )


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["check", str(tmp_path / "none")])
    assert (result.exit_code, result.output) == (1, f"{tmp_path / 'none'}: there is no such file\n")
