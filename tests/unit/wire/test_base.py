from portline.line import ModemChange, ModemLines, PortState, SetBreak
from portline.wire.base import RawWire


def test_a_raw_wire_adds_and_understands_nothing():
    wire = RawWire()
    data = b"\xff\xfb\x2c\r\0"
    assert wire.transparent
    assert wire.start(0.0) == b""
    assert wire.feed(data, 0.0) == (data,)
    assert wire.feed(b"", 0.0) == ()
    assert wire.encode(data) is data
    assert wire.answer(SetBreak(True), PortState()) == b""
    assert wire.report(ModemChange(ModemLines()), 0.0) == b""
    assert wire.ask(SetBreak(True), 0.0) == b""
    assert wire.outgoing() == b""
    assert wire.deadline() is None
    assert wire.tick(1.0) == ()
    assert wire.malformed == 0
