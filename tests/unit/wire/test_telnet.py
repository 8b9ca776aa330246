import pytest

from portline.wire.telnet import (
    AYT,
    BRK,
    SUBOPTION_LIMIT,
    Command,
    OptionWord,
    Suboption,
    TelnetReader,
    escape,
    suboption,
)

IAC = b"\xff"
SB = b"\xff\xfa"
SE = b"\xff\xf0"


@pytest.fixture
def reader():
    return TelnetReader()


def feed(reader, *chunks):
    return [token for chunk in chunks for token in reader.feed(chunk)]


# --- data -------------------------------------------------------------------------------------


def test_clean_data_is_passed_on_as_the_same_object(reader):
    data = b"hello" * 1000
    assert reader.feed(data)[0] is data
    assert escape(data) is data


def test_nothing_says_nothing(reader):
    assert feed(reader, b"") == []


def test_iac_is_doubled_in_data(reader):
    assert escape(b"a\xffb") == b"a\xff\xffb"
    assert feed(reader, b"a\xff\xffb") == [b"a\xffb"]


@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 255, 256, 257, 5000])
def test_nothing_but_iac(reader, size):
    assert b"".join(feed(reader, escape(IAC * size))) == IAC * size


def test_a_pair_may_be_cut_in_two(reader):
    assert feed(reader, b"a\xff", b"\xffb") == [b"a", b"\xffb"]


def test_a_lone_iac_at_the_end_waits(reader):
    assert feed(reader, b"a\xff") == [b"a"]
    assert feed(reader, b"\xf1") == [Command(0xF1)]


def test_sparse_and_dense_data_come_out_alike(reader):
    sparse = bytes(range(256)) * 20
    dense = b"a\xff" * 500
    assert feed(reader, escape(sparse)) == [sparse]
    assert feed(reader, escape(dense)) == [dense]
    assert feed(reader, escape(sparse + dense + sparse)) == [sparse + dense + sparse]


def test_a_command_close_behind_pairs(reader):
    """Windows around a command shrink until looking at each pair is cheaper."""
    for pairs in range(1, 40):
        assert feed(reader, b"\xff" * 2 * pairs + b"\xff\xf1") == [b"\xff" * pairs, Command(0xF1)]
        stream = b"x\xff\xff" * pairs + b"\xff\xf1\xff"
        assert feed(reader, stream, b"\xff") == [b"x\xff" * pairs, Command(0xF1), b"\xff"]


@pytest.mark.parametrize("before", [0, 1, 7, 16, 100, 255, 256, 257, 1000, 5000])
@pytest.mark.parametrize("after", [0, 1, 300])
@pytest.mark.parametrize("unit", [b"x", b"\xff", b"\xffx", b"xyz\xff\xff"])
def test_a_command_is_found_wherever_it_is(reader, before, after, unit):
    first, last = unit * before, unit * after
    tokens = feed(reader, escape(first) + b"\xff\xf3" + escape(last))
    assert tokens == [*filter(None, [first]), Command(BRK), *filter(None, [last])]


# --- commands ---------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [236, 239, 241, 242, BRK, 244, 245, AYT, 247, 248, 249])
def test_commands_of_two_bytes(reader, code):
    assert feed(reader, bytes((255, code))) == [Command(code)]
    assert reader.malformed == 0


@pytest.mark.parametrize("code", [0, 65, 235])
def test_commands_that_do_not_exist_are_left_out_and_counted(reader, code):
    assert feed(reader, b"a\xff" + bytes((code,)) + b"b") == [b"a", b"b"]
    assert reader.malformed == 1


@pytest.mark.parametrize("verb", [251, 252, 253, 254])
@pytest.mark.parametrize("option", [0, 44, 240, 255])
def test_option_words(reader, verb, option):
    word = bytes((255, verb, option))
    assert feed(reader, word) == [OptionWord(verb, option)]
    assert feed(reader, b"x" + word[:1], word[1:2], word[2:] + b"y") == [
        b"x",
        OptionWord(verb, option),
        b"y",
    ]


def test_option_255_does_not_shift_the_pairs_after_it(reader):
    assert feed(reader, b"\xff\xfb\xff\xff\xff\xf1") == [
        OptionWord(251, 255),
        b"\xff\xf1",
    ]


# --- suboptions -------------------------------------------------------------------------------


def test_suboption(reader):
    assert suboption(b"\x2c\x01\x00\x00\xff\x00") == SB + b"\x2c\x01\x00\x00\xff\xff\x00" + SE
    assert feed(reader, b"a" + suboption(b"\x2c\x0b\xff") + b"b") == [
        b"a",
        Suboption(b"\x2c\x0b\xff"),
        b"b",
    ]


def test_suboption_byte_by_byte(reader):
    stream = suboption(b"\x2c\xff\xfa\xff\xf0!")
    assert feed(reader, *(bytes((b,)) for b in stream)) == [Suboption(b"\x2c\xff\xfa\xff\xf0!")]


def test_a_stray_end_is_ignored(reader):
    assert feed(reader, b"a" + SE + b"b") == [b"a", b"b"]
    assert reader.malformed == 0


def test_an_empty_suboption_is_counted(reader):
    assert feed(reader, SB + SE) == []
    assert reader.malformed == 1


def test_the_longest_suboption(reader):
    body = b"\xff" * SUBOPTION_LIMIT
    assert feed(reader, suboption(body)) == [Suboption(body)]


@pytest.mark.parametrize("size", [1, 4096, 100_000])
def test_a_longer_suboption_is_skipped_up_to_its_end(reader, size):
    stream = suboption(b"\x2c" + b"n" * SUBOPTION_LIMIT * 2) + b"data"
    tokens = feed(reader, *(stream[i : i + size] for i in range(0, len(stream), size)))
    assert b"".join(tokens) == b"data"
    assert reader.malformed == 1


def test_a_long_suboption_does_not_outlive_itself(reader):
    feed(reader, suboption(b"n" * (SUBOPTION_LIMIT + 1)))
    assert feed(reader, suboption(b"\x2c\x00")) == [Suboption(b"\x2c\x00")]


def test_a_suboption_is_abandoned_for_another_command(reader):
    assert feed(reader, SB + b"\x2c\x01\x00" + b"\xff\xf3" + b"data") == [Command(BRK), b"data"]
    assert reader.malformed == 1


def test_a_suboption_is_abandoned_for_an_option_word_cut_in_two(reader):
    assert feed(reader, SB + b"\x2c\xff\xfb", b"\x2cdata") == [OptionWord(251, 44), b"data"]
    assert reader.malformed == 1


def test_a_suboption_is_abandoned_for_another_suboption(reader):
    assert feed(reader, SB + b"\x2c\x01" + suboption(b"\x2c\x02\x08")) == [
        Suboption(b"\x2c\x02\x08")
    ]
    assert reader.malformed == 1
