"""One suite over every protocol: what ``wire/base.py`` promises whoever owns a wire."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.line import (
    Event,
    Item,
    LineChange,
    LineFault,
    LineSettings,
    ModemChange,
    ModemLines,
    PortState,
    Purge,
    Query,
    SendBreak,
    SetBreak,
    SetLine,
    SetModem,
)
from portline.wire.base import RawWire, Wire
from portline.wire.rfc2217 import Rfc2217Wire

MAKERS: dict[str, Callable[[], Wire]] = {
    "raw": RawWire,
    "access-server": lambda: Rfc2217Wire(serves=True, asks=False),
    "client": lambda: Rfc2217Wire(serves=False, asks=True),
    "both": lambda: Rfc2217Wire(serves=True, asks=True),
}
REQUESTS = (
    SetLine(baudrate=300),
    SetModem(dtr=True, rts=False),
    SetBreak(True),
    SendBreak(),
    Purge(received=True),
    *(Query(item) for item in Item),
)
REPORTS = (
    ModemChange(ModemLines(cts=True)),
    LineChange(LineSettings(1200)),
    LineFault(parity=True),
)

every_wire = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


def data_of(events: list[Event]) -> bytes:
    return b"".join(event for event in events if isinstance(event, bytes))


@every_wire
@given(chunks=st.lists(st.binary(min_size=1, max_size=80), max_size=8), cut=st.integers(1, 9))
def test_encoded_data_comes_out_as_it_went_in(
    make: Callable[[], Wire], chunks: list[bytes], cut: int
) -> None:
    near, far = make(), make()
    pieces = [near.encode(chunk) for chunk in chunks]
    assert [near.data_size(piece) for piece in pieces] == [len(chunk) for chunk in chunks]
    sent = b"".join(pieces)
    got: list[Event] = []
    for start in range(0, len(sent), cut):
        got += far.feed(sent[start : start + cut], 0.0)
    assert data_of(got) == b"".join(chunks)
    assert far.malformed == 0
    assert all(event != b"" for event in got)


@every_wire
def test_a_transparent_wire_adds_nothing(make: Callable[[], Wire]) -> None:
    wire = make()
    data = bytes(range(256))
    assert wire.transparent == (wire.encode(data) is data and wire.start(0.0) == b"")


@every_wire
@given(noise=st.lists(st.binary(max_size=300), max_size=6))
def test_nothing_that_a_peer_sends_is_an_error(
    make: Callable[[], Wire], noise: list[bytes]
) -> None:
    wire = make()
    wire.start(0.0)
    said = 0
    for now, chunk in enumerate(noise):
        for event in wire.feed(chunk, float(now)):
            if isinstance(event, SetLine | SetModem | SetBreak | SendBreak | Purge | Query):
                said += len(wire.answer(event, PortState()))
        said += len(wire.outgoing())
        assert wire.outgoing() == b""
    for report in REPORTS:
        said += len(wire.report(report, 99.0))
    deadline = wire.deadline()
    wire.tick(100.0 if deadline is None else deadline)
    assert said <= 1000 + 40 * sum(map(len, noise))


@every_wire
def test_every_request_can_be_answered_and_asked(make: Callable[[], Wire]) -> None:
    wire = make()
    for request in REQUESTS:
        assert isinstance(wire.answer(request, PortState()), bytes)
        assert isinstance(wire.ask(request, 0.0), bytes)
        if not wire.asking:
            # Telnet's own break needs no agreement.
            assert wire.ask(request, 0.0) in (b"", b"\xff\xf3")
