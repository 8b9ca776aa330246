from __future__ import annotations

from click.testing import CliRunner

from portline.cli.app import main
from portline.cli.flags import connection_options
from portline.config.models import UdpConnection, options
from tests.unit.cli.conftest import Runs


def said(arguments: str) -> str:
    result = CliRunner().invoke(main, ["udp", *arguments.split()])
    assert result.exit_code == 2
    return result.output


def test_there_is_a_flag_for_every_option() -> None:
    fields = [flag.name for flag in connection_options("udp", {"connect"})]
    assert fields == [f for f in options(UdpConnection) if f not in {"kind", "connect"}]


def test_help_shows_what_a_udp_connection_has_and_nothing_else() -> None:
    text = CliRunner().invoke(main, ["udp", "--help"], terminal_width=200).output
    flat = " ".join(text.split())
    assert "--accept known|learn|any" in flat
    assert "[64 to 65507; default: 1452]" in flat
    for flag in ("--keepalive", "--protocol", "--notify", "--allow-dtr", "--nodelay"):
        assert flag not in flat


def test_what_was_given_is_run(runs: Runs) -> None:
    arguments = "udp 192.0.2.7:5000 239.1.2.3:5000 --virtual ttyV0 --listen *:5000 --open -v"
    result = CliRunner().invoke(main, arguments.split())
    assert (result.exit_code, result.output) == (0, "")
    ((config, verbose, announce),) = runs
    one = config.connections["ttyV0"]
    assert isinstance(one, UdpConnection)
    assert [str(address) for address in one.addresses] == [
        "192.0.2.7:5000",
        "239.1.2.3:5000",
        "*:5000",
    ]
    assert (verbose, announce) == (1, True)


def test_mistakes_are_told_in_the_words_of_the_command_line() -> None:
    assert "a host is missing: write it first, like 192.0.2.7:5000" in said("--virtual v")
    told = said("--virtual v --listen 5")
    assert (
        "--listen: nobody's datagrams would be taken, because no host is named; write one" in told
    )
    assert 'HOST: "192.0.2.7" has no port in 1 to 65535' in said("192.0.2.7 --virtual v")
    assert "a port is missing: --virtual NAME makes one" in said("192.0.2.7:5000")
    told = said("192.0.2.7:5000 --virtual v --max-learned 2")
    assert "--max-learned: is about peers that are learned; give --accept learn too" in told
    assert "HOST: rfc2217://h:1: there is no RFC 2217" in said("rfc2217://h:1 --virtual v")
