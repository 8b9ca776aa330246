from __future__ import annotations

from portline.hub.outbox import CHUNK_COST, Outbox


def test_it_gives_back_what_it_took_in_order() -> None:
    box = Outbox(1000)
    for chunk in (b"one ", b"two ", b"three"):
        box.put(chunk)
    assert box.size == 13 + 3 * CHUNK_COST
    assert box.take() == b"one two three"
    assert not box
    assert box.size == 0
    assert box.take() == b""


def test_it_joins_whole_chunks_up_to_the_limit_but_always_one() -> None:
    box = Outbox(1000)
    for chunk in (b"aaaa", b"bbbb", b"cccc"):
        box.put(chunk)
    assert box.take(8) == b"aaaabbbb"
    assert box.take(1) == b"cccc"


def test_words_keep_their_place_between_data() -> None:
    box = Outbox(1000)
    box.put(b"old")
    box.say(b"<9600>")
    box.put(b"new")
    assert box.words == 6
    assert box.take() == b"old<9600>new"
    assert box.words == 0


def test_words_overtake_suspended_data() -> None:
    box = Outbox(1000)
    box.put(b"data")
    box.suspended = True
    assert not box
    assert box.take() == b""
    box.say(b"<word>")
    assert box
    assert box.take() == b"<word>"
    assert not box
    box.suspended = False
    assert box.take() == b"data"


def test_it_drops_the_oldest_data_but_no_words_and_not_the_newest_chunk() -> None:
    box = Outbox(2 * (10 + CHUNK_COST))
    box.say(b"<1>")
    box.put(b"a" * 10)
    box.say(b"<2>")
    box.put(b"b" * 10)
    assert box.full
    assert box.shrink() == 0
    box.put(b"c" * 10)
    assert box.shrink() == 10
    assert box.dropped == 10
    assert box.take() == b"<1><2>" + b"b" * 10 + b"c" * 10

    small = Outbox(1)
    small.put(b"x" * 100)
    assert small.shrink() == 0
    assert small.take() == b"x" * 100


def test_purge_forgets_data_and_keeps_words() -> None:
    box = Outbox(1000)
    box.put(b"data")
    box.say(b"<word>")
    box.put(b"more")
    assert box.purge() == 8
    assert box.size == 0
    assert box.take() == b"<word>"


def test_a_single_chunk_is_the_very_object_that_was_put() -> None:
    box = Outbox(1000)
    chunk = bytes(bytearray(b"shared"))
    box.put(chunk)
    assert box.take() is chunk


def test_nothing_is_not_taken_for_the_end() -> None:
    outbox = Outbox(1 << 20)
    outbox.put(b"")
    outbox.put(b"x" * 100_000)
    assert b"".join(iter(outbox.take, b"")) == b"x" * 100_000
