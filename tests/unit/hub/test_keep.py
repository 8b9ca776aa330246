from __future__ import annotations

from portline.hub.keep import Keep


def test_it_keeps_the_first_bytes_and_counts_the_rest() -> None:
    keep = Keep(5)
    keep.add(b"abc")
    keep.add(b"defg")
    keep.add(b"h")
    assert len(keep) == 5
    assert keep.discarded == 3
    assert keep.empty() == b"abcde"
    assert len(keep) == 0
    assert keep.empty() == b""


def test_a_limit_of_zero_keeps_nothing() -> None:
    keep = Keep(0)
    keep.add(b"abc")
    assert keep.empty() == b""
    assert keep.discarded == 3
