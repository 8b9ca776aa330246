from __future__ import annotations

import pytest

from portline.errors import UsageError
from portline.line import FlowControl, Parity, SetLine, StopBits
from portline.remote.place import Place, wanted


def test_a_url_is_read_and_written() -> None:
    assert Place.parse("rfc2217://host:4001") == Place("rfc2217", "host", 4001)
    assert str(Place.parse("raw://[::1]:4001/")) == "raw://[::1]:4001"


@pytest.mark.parametrize(
    "url",
    [
        "host:4001",
        "tcp://host:4001",
        "raw://host",
        "raw://:4001",
        "raw://host:0",
        "raw://host:99999",
        "raw://host:4001/ttyS0",
        "raw://host:4001?x",
        "raw://host:4001#x",
        "raw://me@host:4001",
        "raw://[::1",
    ],
)
def test_what_is_no_url_of_a_remote_port(url: str) -> None:
    with pytest.raises(UsageError, match="not a remote port like rfc2217://host:4001"):
        Place.parse(url)


def test_settings_as_programs_write_them() -> None:
    assert wanted() == SetLine()
    assert wanted(
        baudrate=300, data_bits=7, parity="even", stop_bits=2, flow_control="hardware"
    ) == SetLine(300, 7, Parity.EVEN, StopBits.TWO, FlowControl.HARDWARE)
    assert wanted(parity="m", stop_bits=1.5) == wanted(
        parity=Parity.MARK, stop_bits=StopBits.ONE_AND_A_HALF
    )
    assert wanted(flow_control="xon-xoff") == wanted(flow_control="XON_XOFF")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"baudrate": 49}, r"in 50\.\.4000000"),
        ({"data_bits": 9}, r"in 5\.\.8"),
        ({"parity": "odd-ish"}, "none of N, O, E, M, S"),
        ({"stop_bits": 3}, "none of 1, 1.5, 2"),
        ({"flow_control": True}, "none of none, xon-xoff, hardware"),
    ],
)
def test_settings_that_do_not_exist(setting: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        wanted(**setting)  # type: ignore[arg-type]
