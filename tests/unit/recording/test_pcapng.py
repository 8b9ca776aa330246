from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.recording.pcapng import (
    BLOCK_MAX,
    INTERFACES_MAX,
    MAGIC,
    OPTIONS_MAX,
    PcapngWriter,
    read_pcapng,
)
from portline.recording.record import Kind, Record, Source
from tests.unit.recording.shark import packets

AT = 1732720000.25


def event(kind: Kind, text: str = "", source: Source = Source.PORT, **value: object) -> Record:
    return Record(AT, source, kind, "", b"", text, value)


def written(*records: Record, writer: PcapngWriter | None = None) -> bytes:
    writer = writer or PcapngWriter("meter")
    return writer.begin() + b"".join(map(writer.encode, records)) + writer.end(AT + 1)


def read(data: bytes) -> list[Record]:
    return list(read_pcapng(io.BytesIO(data).read))


def test_a_file_says_what_it_is_about() -> None:
    writer = PcapngWriter("meter", about="/dev/ttyUSB0 9600-8N1", program="Portline 1")
    about, (end,) = packets(written(writer=writer))
    assert about == {
        "linktype": 250,
        "application": "Portline 1",
        "name": "meter",
        "description": "/dev/ttyUSB0 9600-8N1",
    }
    assert (end["event"], end["at"], end["data"], end["comment"]) == (6, AT + 1, b"", "")


def test_data_of_both_directions() -> None:
    _, (heard, spoke, _) = packets(
        written(
            Record(AT, Source.PORT, Kind.DATA, "", b"answer\n"),
            Record(AT + 1e-6, Source.PEER, Kind.DATA, "192.0.2.1:4", b""),
        )
    )
    assert (heard["event"], heard["data"], heard["direction"]) == (2, b"answer\n", 1)
    assert (heard["at"], heard["comment"]) == (AT, "")
    assert (spoke["event"], spoke["data"], spoke["direction"]) == (1, b"", 2)
    assert spoke["comment"] == "192.0.2.1:4"
    assert spoke["at"] == AT + 1e-6


def test_lines_are_those_of_the_moment() -> None:
    writer = PcapngWriter("meter", lines={"dtr": True, "cts": True})
    records = (
        Record(AT, Source.PORT, Kind.DATA, "", b"x"),
        event(Kind.LINES, "rts=on", Source.PEER, rts=True),
        event(Kind.LINES, "...", cts=False, dsr=True, dcd=True, ri=True),
        event(Kind.LINES, "dtr=off (not allowed)", Source.PEER, allowed=False),
        Record(AT, Source.PORT, Kind.DATA, "", b"y"),
    )
    _, found = packets(written(*records, writer=writer))
    assert [packet["lines"] for packet in found] == [0x11, 0x19, 0x3E, 0x3E, 0x3E, 0x3E]
    assert [packet["event"] for packet in found] == [2, 0, 0, 0, 2, 6]
    assert found[1]["comment"] == "lines: rts=on"


def test_what_happens_beside_the_data() -> None:
    _, found = packets(
        written(
            event(Kind.BREAK, "break received"),
            event(Kind.FAULT, "parity error, framing error", parity=True, framing=True),
            event(Kind.FAULT, "overrun", overrun=True),
            event(Kind.SKIPPED, "skipped", bytes=5, records=1),
            event(Kind.SETTINGS, "1200-8N1", settings="1200-8N1"),
            Record(AT, Source.PEER, Kind.CONNECTED, "192.0.2.1:4", text="raw"),
        )
    )
    assert [packet["event"] for packet in found] == [9, 7, 8, 10, 5, 0, 0, 6]
    assert found[-2]["comment"] == "connected: raw (192.0.2.1:4)"


records = st.one_of(
    st.builds(
        Record,
        at=st.integers(0, 4_000_000_000_000_000).map(lambda micros: micros / 1_000_000),
        source=st.sampled_from(Source),
        kind=st.just(Kind.DATA),
        peer=st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
        data=st.binary(max_size=3000),
    ),
    st.builds(
        Record,
        at=st.just(AT),
        source=st.sampled_from(Source),
        kind=st.sampled_from([kind for kind in Kind if kind is not Kind.DATA]),
        text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    ),
)


@given(st.lists(records))
def test_what_is_written_is_read_here_and_elsewhere(what: list[Record]) -> None:
    data = written(*what)
    found = read(data)
    assert [(r.source, r.kind, r.peer, r.data, r.text) for r in found] == [
        (r.source, r.kind, r.peer, r.data, r.text) for r in what
    ]
    assert all(abs(a.at - b.at) < 1.5e-6 for a, b in zip(found, what, strict=True))
    _, elsewhere = packets(data)
    assert [packet["data"] for packet in elsewhere[:-1]] == [record.data for record in what]


@given(st.lists(records, max_size=5), st.integers(0, 2000))
def test_a_file_that_breaks_off_ends_with_its_last_whole_block(
    what: list[Record], end: int
) -> None:
    data = written(*what)
    if end < 12:
        with pytest.raises(ValueError, match="no pcapng"):
            read(data[:end])
        return
    found = read(data[:end])
    assert [r.data for r in found] == [r.data for r in what][: len(found)]


@given(st.binary(max_size=200))
def test_nonsense_is_no_recording(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"no pcapng|damaged|serial"):
        read(data)


@given(st.data())
def test_damage_is_told_in_words(data: st.DataObject) -> None:
    whole = bytearray(written(Record(AT, Source.PORT, Kind.DATA, "", b"abc")))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(bytes(whole))
    except ValueError as error:
        told = str(error)
    else:
        told = "damaged in what nobody reads"
    assert any(word in told for word in ("no pcapng", "damaged", "serial data"))


def swapped() -> bytes:
    """A big-endian file of another program: nanoseconds, no options at its packet."""

    def block(kind: int, body: bytes) -> bytes:
        length = struct.pack(">I", len(body) + 12)
        return struct.pack(">I", kind) + length + body + length

    packet = struct.pack(">IIBBH", 0, 0, 2, 0, 0) + b"abc"
    nanos = 1_732_720_000_250_000_000
    return (
        block(0x0A0D0D0A, struct.pack(">IHHq", 0x1A2B3C4D, 1, 0, -1))
        + block(1, struct.pack(">HHI", 250, 0, 0) + struct.pack(">HHB3x", 9, 1, 9))
        + block(0x40000001, b"what nobody knows...")
        + block(6, struct.pack(">5I", 0, nanos >> 32, nanos & 0xFFFFFFFF, 15, 15) + packet + b"\0")
    )


def test_files_of_other_programs() -> None:
    (record,) = read(swapped())
    assert (record.at, record.source, record.data) == (AT, Source.PORT, b"abc")
    other = written().replace(struct.pack("<HHI", 250, 0, 0), struct.pack("<HHI", 1, 0, 0))
    with pytest.raises(ValueError, match="no serial data, but that of link type 1"):
        read(other)


def test_a_block_has_a_bound() -> None:
    huge = written() + struct.pack("<II", 6, BLOCK_MAX + 4)
    with pytest.raises(ValueError, match="a block of 16777220 bytes"):
        read(huge)
    assert written().startswith(MAGIC)


def block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length


def test_interfaces_have_a_bound() -> None:
    interface = block(1, struct.pack("<HHI", 250, 0, 0))
    begun = PcapngWriter("meter").begin()
    assert read(begun + interface * (INTERFACES_MAX - 1)) == []
    with pytest.raises(ValueError, match=f"more than {INTERFACES_MAX} interfaces"):
        read(begun + interface * INTERFACES_MAX)
    # Each section has its own.
    assert read((begun + interface * (INTERFACES_MAX - 1)) * 2) == []


def test_options_have_a_bound() -> None:
    option = struct.pack("<HH", 5, 0)
    body = struct.pack("<HHI", 250, 0, 0)
    begun = PcapngWriter("meter").begin()
    assert read(begun + block(1, body + option * OPTIONS_MAX)) == []
    with pytest.raises(ValueError, match=f"more than {OPTIONS_MAX} options"):
        read(begun + block(1, body + option * (OPTIONS_MAX + 1)))


def test_times_have_a_bound() -> None:
    writer = PcapngWriter("meter")
    begun, packet = writer.begin(), bytearray(writer.encode(Record(AT, Source.PORT, Kind.DATA)))
    assert len(read(begun + packet)) == 1
    packet[12:16] = b"\xff" * 4
    with pytest.raises(ValueError, match="a time after the year 9999"):
        read(begun + packet)
