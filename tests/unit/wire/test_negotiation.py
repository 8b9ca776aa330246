import pytest

from portline.wire.negotiation import TRANSITIONS, Options, Side, State, Word
from portline.wire.telnet import DO, DONT, WILL, WONT

HAVE = 3
LACK = 99


@pytest.fixture
def options():
    return Options(ours=[HAVE], peers=[HAVE])


def say(verb, option=HAVE):
    return bytes((255, verb, option))


SIDES = pytest.mark.parametrize(
    ("side", "yes", "no", "agree", "refuse"),
    [(Side.US, DO, DONT, WILL, WONT), (Side.PEER, WILL, WONT, DO, DONT)],
    ids=["us", "peer"],
)


@SIDES
def test_the_peer_asks_and_we_agree_once(options, side, yes, no, agree, refuse):
    assert options.hear(yes, HAVE) == say(agree)
    assert options.on(side, HAVE)
    assert options.hear(yes, HAVE) == b""


@SIDES
def test_we_offer_once_and_the_peer_agrees(options, side, yes, no, agree, refuse):
    assert options.offer(side, HAVE) == say(agree)
    assert options.offer(side, HAVE) == b""
    assert not options.on(side, HAVE)
    assert options.hear(yes, HAVE) == b""
    assert options.on(side, HAVE)
    assert options.offer(side, HAVE) == b""


@SIDES
def test_we_offer_and_the_peer_refuses_then_changes_its_mind(options, side, yes, no, agree, refuse):
    options.offer(side, HAVE)
    assert options.hear(no, HAVE) == b""
    assert not options.on(side, HAVE)
    assert options.hear(yes, HAVE) == say(agree)
    assert options.on(side, HAVE)


@SIDES
def test_the_peer_takes_back_what_was_agreed(options, side, yes, no, agree, refuse):
    options.hear(yes, HAVE)
    assert options.hear(no, HAVE) == say(refuse)
    assert options.hear(no, HAVE) == b""
    assert not options.on(side, HAVE)


@SIDES
def test_what_we_lack_is_refused_each_time(options, side, yes, no, agree, refuse):
    for _ in range(3):
        assert options.hear(yes, LACK) == say(refuse, LACK)
        assert options.hear(no, LACK) == b""
    assert not options.on(side, LACK)


def test_we_cannot_offer_what_we_lack(options):
    with pytest.raises(KeyError):
        options.offer(Side.US, LACK)


def test_the_sides_are_independent(options):
    options.hear(DO, HAVE)
    assert options.on(Side.US, HAVE)
    assert not options.on(Side.PEER, HAVE)


def test_the_table_is_complete():
    wanted = {(state, word) for state in State for word in Word if word is not Word.UNWELCOME}
    assert set(TRANSITIONS) == wanted | {(State.OFF, Word.UNWELCOME)}


def test_nothing_is_said_that_is_known():
    """RFC 1143: a word is sent only when the state changes, or to refuse."""
    for (state, word), (after, says) in TRANSITIONS.items():
        if says is not None:
            assert after is not state or word is Word.UNWELCOME
