from __future__ import annotations

import pytest

from portline.errors import UsageError
from portline.line import LineSettings, ModemLines
from portline.remote.cable import Cable
from portline.remote.knowledge import Knowledge
from portline.wire.rfc2217 import Rfc2217Wire
from portline.wire.rfc2217_codes import ANSWER, command


def test_it_is_what_the_server_told() -> None:
    cable = Cable(Rfc2217Wire(serves=False, asks=True))
    port = Knowledge("rfc2217://host:1", cable)
    assert (port.raw, port.settings, port.lines) == (False, LineSettings(), ModemLines())
    for code, payload in (
        (1, b"\0\0\x01\x2c"),
        (5, b"\x08"),
        (5, b"\x0b"),
        (7, b"\xb0"),
        (0, b"me"),
    ):
        cable.feed(command(code + ANSWER, payload), 0.0)
    assert port.settings.baudrate == 300
    assert (port.dtr, port.rts, port.signature) == (True, True, "me")
    assert (port.cts, port.dsr, port.dcd, port.ri) == (True, True, True, False)


def test_a_raw_port_tells_nothing() -> None:
    port = Knowledge("raw://host:1", None)
    assert (port.raw, port.signature) == (True, "")
    for name in ("settings", "lines", "cts", "dtr"):
        with pytest.raises(UsageError, match=r"raw://host:1: .* open it as rfc2217://"):
            getattr(port, name)
