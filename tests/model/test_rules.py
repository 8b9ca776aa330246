"""Packet rules against a reference that looks at one byte at a time."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from portline.frame.rules import Packetizer

DELIMITERS = st.lists(st.binary(min_size=1, max_size=3), max_size=3, unique=True)
STREAM = st.lists(st.sampled_from(b"ab\r\n\x00"), max_size=60).map(bytes)
SMALL_DELIMITERS = st.lists(
    st.lists(st.sampled_from(b"ab\r\n"), min_size=1, max_size=3).map(bytes), max_size=3, unique=True
)


def reference(stream: bytes, block: int, delimiters: list[bytes]) -> tuple[list[bytes], bytes]:
    packets, gathered = [], b""
    for byte in stream:
        gathered += bytes((byte,))
        ended = any(gathered.endswith(delimiter) for delimiter in delimiters)
        if ended or (block and len(gathered) == block):
            packets.append(gathered)
            gathered = b""
    return packets, gathered


@given(
    stream=STREAM,
    block=st.integers(0, 9),
    delimiters=SMALL_DELIMITERS,
    cuts=st.lists(st.integers(0, 60), max_size=8),
)
def test_any_division_of_the_stream_gives_the_same_packets(
    stream: bytes, block: int, delimiters: list[bytes], cuts: list[int]
) -> None:
    rules = Packetizer(block=block, delimiters=delimiters, wait=1e9)
    packets = []
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, end in pairwise(edges):
        if end > start:
            packets += rules.feed(stream[start:end], 0.0)
    expected, rest = reference(stream, block, delimiters)
    assert packets == expected
    assert rules.rest() == rest


@given(
    chunks=st.lists(
        st.tuples(st.binary(min_size=1, max_size=9), st.floats(0, 0.5)), min_size=1, max_size=30
    ),
    pause=st.sampled_from([0.0, 0.3]),
    wait=st.sampled_from([0.0, 0.4]),
    idle=st.sampled_from([0.0, 0.2]),
    block=st.integers(0, 7),
    delimiters=DELIMITERS,
)
def test_nothing_is_lost_and_the_pause_and_the_wait_are_kept(
    chunks: list[tuple[bytes, float]],
    pause: float,
    wait: float,
    idle: float,
    block: int,
    delimiters: list[bytes],
) -> None:
    rules = Packetizer(pause=pause, wait=wait, idle=idle, block=block, delimiters=delimiters)
    now = 0.0
    sent: list[tuple[float, bytes]] = []

    def advance(until: float) -> None:
        nonlocal now
        while (deadline := rules.deadline()) is not None and deadline <= until:
            now = max(now, deadline)
            got = rules.tick(now)
            sent.extend((now, packet) for packet in got)
            assert got or rules.deadline() != deadline, (
                "a deadline that does nothing would be called for ever"
            )
        now = until

    for chunk, gap in chunks:
        advance(now + gap)
        sent.extend((now, packet) for packet in rules.feed(chunk, now))
    advance(now + 1.0)
    if not pause and (wait or idle):
        assert rules.waiting == 0
    stream = b"".join(packet for _, packet in sent) + rules.rest()
    assert stream == b"".join(chunk for chunk, _ in chunks)
    if pause:
        times = [time for time, _ in sent]
        assert all(later - earlier >= pause - 1e-9 for earlier, later in pairwise(times))
    if block:
        assert all(len(packet) <= block for _, packet in sent)
