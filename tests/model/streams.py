"""Telnet streams as hypothesis strategies: well-formed, nearly so, and not at all."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

from portline.wire.rfc2217_codes import command
from portline.wire.telnet import escape, suboption

__all__ = ["cut", "option_words", "streams"]

_EDGE = [0, 1, 3, 8, 13, 24, 31, 44, 100, 107, 240, 243, 246, 250, 251, 252, 253, 254, 255]

_noise = st.lists(st.sampled_from(_EDGE), max_size=40).map(bytes)

_commands = st.builds(
    command,
    st.one_of(st.integers(0, 13), st.integers(100, 113), st.integers(0, 255)),
    st.one_of(
        st.binary(max_size=1), st.integers(0, 2**32 - 1).map(lambda n: n.to_bytes(4, "big")), _noise
    ),
)

option_words = st.builds(
    lambda verb, option: bytes((255, verb, option)),
    st.integers(251, 254),
    st.sampled_from([0, 1, 3, 24, 31, 44, 99, 255]),
)

_pieces = st.one_of(
    st.binary(max_size=60),
    st.binary(max_size=300).map(escape),
    st.integers(0, 700).map(lambda size: b"\xff" * size),
    st.sampled_from([b"\xff\xff", b"\r\0", b"\xff\xf1", b"\xff\xf3", b"\xff\xf6", b"\xff\xf0"]),
    st.integers(4000, 4200).map(lambda size: suboption(b"\x2c\x00" + b"n" * size)),
    _noise,
    _commands,
    option_words,
    option_words,
    _commands,
)

streams = st.lists(_pieces, max_size=15).map(b"".join)


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Divide data into chunks at any places, byte by byte included."""
    places = draw(
        st.one_of(
            st.lists(st.integers(0, len(data)), max_size=20).map(sorted),
            st.just(list(range(len(data)))),
        )
    )
    edges = [0, *places, len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]
