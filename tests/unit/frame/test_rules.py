from __future__ import annotations

from portline.frame.rules import GATHER_LIMIT, QUEUE_LIMIT, Packetizer


def test_without_rules_each_chunk_is_a_packet() -> None:
    rules = Packetizer()
    assert rules.feed(b"one", 0.0) == [b"one"]
    assert rules.feed(b"two", 0.0) == [b"two"]
    assert rules.deadline() is None
    assert rules.rest() == b""


def test_a_block_is_exactly_that_long() -> None:
    rules = Packetizer(block=4)
    assert rules.feed(b"abcdefghij", 0.0) == [b"abcd", b"efgh"]
    assert rules.waiting == 2
    assert rules.deadline() is None
    assert rules.feed(b"kl", 9.0) == [b"ijkl"]


def test_a_delimiter_ends_the_packet_and_is_part_of_it() -> None:
    rules = Packetizer(delimiters=[b"\n"])
    assert rules.feed(b"one\ntwo\nthr", 0.0) == [b"one\n", b"two\n"]
    assert rules.feed(b"ee\n", 0.0) == [b"three\n"]


def test_a_delimiter_may_be_divided_and_stripped() -> None:
    rules = Packetizer(delimiters=[b"\r\n"], strip=True)
    assert rules.feed(b"one\r", 0.0) == []
    assert rules.feed(b"\ntwo\r\n\r\n", 0.0) == [b"one", b"two"]


def test_of_several_delimiters_the_one_that_is_complete_first_counts() -> None:
    rules = Packetizer(delimiters=[b"abcd", b"bc", b"\x00"], strip=True)
    assert rules.feed(b"xabcd\x00", 0.0) == [b"xa", b"d"]


def test_waiting_counts_from_the_first_byte() -> None:
    rules = Packetizer(wait=0.5)
    assert rules.feed(b"a", 1.0) == []
    assert rules.feed(b"b", 1.4) == []
    assert rules.deadline() == 1.5
    assert rules.tick(1.49) == []
    assert rules.tick(1.5) == [b"ab"]
    assert rules.deadline() is None


def test_idle_counts_from_the_last_byte() -> None:
    rules = Packetizer(idle=0.5)
    rules.feed(b"a", 1.0)
    rules.feed(b"b", 1.4)
    assert rules.deadline() == 1.9
    assert rules.tick(1.9) == [b"ab"]


def test_whichever_rule_fires_first_sends() -> None:
    rules = Packetizer(block=4, delimiters=[b";"], wait=1.0)
    assert rules.feed(b"ab;cdefg", 0.0) == [b"ab;", b"cdef"]
    assert rules.deadline() == 1.0
    assert rules.tick(1.0) == [b"g"]


def test_a_delimiter_beyond_the_block_does_not_lengthen_it() -> None:
    rules = Packetizer(block=4, delimiters=[b"xyz"])
    assert rules.feed(b"abcxyz", 0.0) == [b"abcx"]


def test_a_pause_keeps_packets_apart() -> None:
    rules = Packetizer(block=2, pause=1.0)
    assert rules.feed(b"aabbc", 0.0) == [b"aa"]
    assert rules.deadline() == 1.0
    assert rules.tick(0.5) == []
    assert rules.tick(1.0) == [b"bb"]
    assert rules.deadline() is None
    assert rules.feed(b"c", 1.5) == []
    assert rules.deadline() == 2.0
    assert rules.tick(2.0) == [b"cc"]


def test_a_pause_alone_gathers_what_comes_meanwhile() -> None:
    rules = Packetizer(pause=1.0)
    assert rules.feed(b"a", 0.0) == [b"a"]
    assert rules.feed(b"b", 0.2) == []
    assert rules.feed(b"c", 0.4) == []
    assert rules.deadline() == 1.0
    assert rules.tick(1.0) == [b"bc"]
    assert rules.feed(b"d", 3.0) == [b"d"]


def test_what_waits_is_not_lost() -> None:
    rules = Packetizer(block=2, pause=9.0)
    rules.feed(b"aabbc", 0.0)
    assert rules.rest() == b"bbc"
    assert rules.rest() == b""
    assert rules.waiting == 0


def test_gathering_is_bounded() -> None:
    rules = Packetizer(delimiters=[b"\n"])
    assert rules.feed(bytes(GATHER_LIMIT + 1), 0.0) == [bytes(GATHER_LIMIT)]
    assert not rules.full
    slow = Packetizer(block=1024, pause=1.0)
    slow.feed(bytes(QUEUE_LIMIT + GATHER_LIMIT), 0.0)
    assert not slow.full
    slow.feed(bytes(2048), 0.0)
    assert slow.full


def test_a_gap_that_was_noticed_late_still_divides() -> None:
    rules = Packetizer(idle=0.2)
    rules.feed(b"one", 0.0)
    assert rules.feed(b"two", 0.5) == [b"one"]
    assert rules.tick(0.7) == [b"two"]


def test_a_gap_divides_during_a_pause_too() -> None:
    rules = Packetizer(idle=0.2, pause=1.0)
    rules.feed(b"zero", 0.0)
    assert rules.tick(0.2) == [b"zero"]
    rules.feed(b"one", 0.3)
    assert rules.deadline() == 0.5
    assert rules.tick(0.5) == []
    rules.feed(b"two", 0.6)
    assert rules.tick(1.2) == [b"one"]
    assert rules.tick(2.2) == [b"two"]
