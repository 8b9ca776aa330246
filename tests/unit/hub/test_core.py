from __future__ import annotations

from portline.hub.core import PATIENCE, Hub
from portline.hub.policy import Selection


def test_everybody_hears_and_speaks_by_default() -> None:
    hub: Hub[str] = Hub()
    hub.join("a")
    hub.join("b")
    assert hub.hear(b"data") == ("a", "b")
    assert hub.speak("a", 3)
    assert hub.speak("b", 4)
    assert (hub.heard, hub.spoken, hub.unspoken, hub.unheard) == (4, 7, 0, 0)


def test_only_the_chosen_one_speaks() -> None:
    hub: Hub[str] = Hub(receive_from=Selection.FIRST)
    hub.join("a")
    hub.join("b")
    assert not hub.speak("b", 5)
    assert hub.unspoken == 5
    hub.leave("a")
    assert hub.speak("b", 5)


def test_who_sends_is_last_active_and_hears_from_then_on() -> None:
    hub: Hub[str] = Hub(send_to=Selection.LAST_ACTIVE)
    hub.join("a")
    hub.join("b")
    assert hub.hear(b"xy") == ()
    assert hub.unheard == 2
    hub.speak("a", 1)
    assert hub.hear(b"x") == ("a",)
    hub.speak("b", 1)
    hub.speak("b", 1)
    assert hub.hear(b"x") == ("b",)
    hub.leave("b")
    assert hub.hear(b"x") == ("a",)
    hub.speak("a", 1)
    assert hub.hear(b"x") == ("a",)


def test_what_came_while_nobody_was_there_goes_to_the_first_who_hears() -> None:
    hub: Hub[str] = Hub(buffer_size=4)
    assert hub.hear(b"abcdef") == ()
    assert hub.kept() == b""
    hub.join("a")
    assert hub.kept() == b"abcd"
    assert hub.kept() == b""
    assert hub.keep.discarded == 2


def test_what_was_kept_waits_for_somebody_who_may_hear() -> None:
    hub: Hub[str] = Hub(buffer_size=9, send_to=Selection.LAST_ACTIVE)
    hub.hear(b"abc")
    hub.join("a")
    assert hub.kept() == b""
    hub.speak("a", 1)
    assert hub.kept() == b"abc"


def test_a_lone_peer_that_is_behind_holds_the_port_for_ever() -> None:
    hub: Hub[str] = Hub()
    hub.join("a")
    assert not hub.held
    assert not hub.fell_behind("a", now=1.0)
    assert hub.held
    assert hub.deadline() == 1.0 + PATIENCE
    assert hub.tick(1.0 + PATIENCE) == ["a"]
    assert hub.deadline() is None
    assert hub.held
    assert not hub.fell_behind("a", now=9.0)
    hub.caught_up("a")
    assert not hub.held


def test_one_of_two_is_waited_for_once_and_then_left_behind() -> None:
    hub: Hub[str] = Hub()
    hub.join("a")
    hub.join("b")
    assert not hub.fell_behind("a", now=0.0)
    assert not hub.fell_behind("a", now=0.1)
    assert hub.held
    assert hub.tick(PATIENCE / 2) == []
    assert hub.tick(PATIENCE) == ["a"]
    assert not hub.held
    assert hub.fell_behind("a", now=1.0)
    assert hub.deadline() is None
    hub.caught_up("a")
    assert not hub.fell_behind("a", now=2.0)
    assert hub.held


def test_when_everybody_is_behind_the_port_waits() -> None:
    hub: Hub[str] = Hub()
    for peer in "ab":
        hub.join(peer)
        hub.fell_behind(peer, now=0.0)
    assert set(hub.tick(PATIENCE)) == {"a", "b"}
    assert hub.held
    assert not hub.fell_behind("a", now=1.0)
    hub.leave("b")
    assert hub.held
    hub.join("c")
    assert not hub.held


def test_a_peer_that_does_not_hear_holds_nothing() -> None:
    hub: Hub[str] = Hub(send_to=Selection.LAST)
    hub.join("a")
    hub.fell_behind("a", now=0.0)
    hub.join("b")
    assert not hub.held
    hub.leave("b")
    assert hub.held


def test_who_has_left_is_forgotten() -> None:
    hub: Hub[str] = Hub()
    hub.join("a")
    hub.speak("a", 1)
    hub.fell_behind("a", now=0.0)
    hub.leave("a")
    hub.leave("a")
    assert not hub.fell_behind("a", now=0.0)
    assert hub.deadline() is None
    assert not hub.held


def test_who_cannot_hear_is_never_chosen_to() -> None:
    hub: Hub[str] = Hub(send_to=Selection.LAST)
    hub.join("deaf", hears=False)
    assert hub.hear(b"x") == ()
    assert hub.speak("deaf", 3)
    hub.join("a")
    hub.join("deafer", hears=False)
    assert hub.hear(b"xy") == ("a",)
    hub.choose(receive_from=Selection.ALL, send_to=Selection.LAST_ACTIVE)
    assert hub.hear(b"z") == ()
    assert (hub.unheard, hub.spoken) == (2, 3)
    hub.leave("deaf")
    hub.join("deaf")
    hub.speak("deaf", 1)
    assert hub.hear(b"x") == ("deaf",)
