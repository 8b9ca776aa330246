import pytest

from portline.line import Item
from portline.wire.profiles import NAMELESS, PROFILES, UNKNOWN, profile_of


@pytest.mark.parametrize(
    ("signature", "name"),
    [
        ("SRedird 2.2.1 /dev/ttyS1", "sredird"),
        ("mSRedird 2.5", "sredird"),
        ("ser2net", "ser2net"),
        ("gensio 2.6.2", "ser2net"),
        ("Portline 0.1.0 meter", "portline"),
        ("Digi Connect", "unknown"),
        ("", "nameless"),
        (None, "nameless"),
    ],
)
def test_a_profile_is_chosen_by_the_signature(signature, name):
    assert profile_of(signature).name == name


def test_nothing_but_the_outputs_is_ever_excused():
    for profile in (*PROFILES, NAMELESS, UNKNOWN):
        assert profile.unsaid <= {Item.DTR, Item.RTS}
    assert not UNKNOWN.unsaid
