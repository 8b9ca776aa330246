from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portline.net.retained import RETAIN_LOOK, Retained, Retaining


@given(
    writes=st.lists(st.binary(min_size=1, max_size=50), max_size=30),
    acks=st.lists(st.integers(0, 1500), max_size=10),
)
def test_the_rest_begins_where_a_write_began(writes: list[bytes], acks: list[int]) -> None:
    written = b"".join(writes)
    starts = {sum(map(len, writes[:count])) for count in range(len(writes) + 1)}
    retained = Retained()
    for data in writes:
        retained.add(data)
    for acked in sorted(min(each, len(written)) for each in acks):
        rest, got = retained.rest(acked)
        start = len(written) - len(rest)
        assert written.endswith(rest)
        assert start in starts
        assert start + got == acked
        assert not any(start < each <= acked for each in starts)


def test_a_look_is_due_each_time_so_much_was_written() -> None:
    retained = Retained()
    assert not retained.add(bytes(RETAIN_LOOK - 1))
    assert retained.add(b"x")
    retained.forget(0)
    assert not retained.add(bytes(RETAIN_LOOK - 1))
    assert retained.add(b"x")
    retained.forget(RETAIN_LOOK)
    assert retained.rest(2 * RETAIN_LOOK) == (b"", 0)


def test_of_a_doubtful_peer_everything_is_retained_within_a_bound() -> None:
    retained = Retained()
    retained.whole = True
    retained.add(b"ab")
    retained.add(b"c")
    assert retained.rest(2) == (b"abc", 2)
    retained.whole = False
    assert retained.rest(2) == (b"c", 0)
    retained.whole = True
    assert retained.add(bytes(RETAIN_LOOK))
    retained.forget(3 + RETAIN_LOOK)
    assert retained.rest(3 + RETAIN_LOOK) == (b"", 0)


class Link(Retaining):
    """A link of which the other machine has got three bytes."""

    @property
    def acked(self) -> int:
        return 3

    def write(self, data: bytes) -> None:
        assert self._retained is not None
        self._retained.add(data)


def test_what_a_doubtful_peer_has_got_is_kept_until_it_is_trusted() -> None:
    link = Link()
    link.trust()  # nothing is retained yet, and no matter
    link.retain(doubtful=True)
    link.write(b"abc")
    link.write(b"def")
    assert link.unacknowledged() == (b"abcdef", 3)
    link.trust()
    assert link.unacknowledged() == (b"def", 0)
    link.retain()
    link.write(b"abcd")
    assert link.unacknowledged() == (b"abcd", 3)
