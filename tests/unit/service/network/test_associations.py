"""Logins over datagrams: two ends, a network that loses and repeats, and time that passes."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.auth.password import Password
from portline.auth.secret import Secret
from portline.auth.throttle import TRIES
from portline.service.network import answers, associations, call
from portline.service.network.associations import Associations, counted
from portline.service.network.call import LOGIN_LIMIT
from portline.wire.datagram_login import Word, nonce_of, read, written
from tests.unit.service.stand_ins import Clock

PASSWORD = Password("pencil")
SECRET = Secret(PASSWORD, PASSWORD.verifier(4096))
WRONG = Secret(Password("pen"), Password("pen").verifier(4096))
KEYS = PASSWORD.keys(PASSWORD.verifier(4096).salt, 4096)
Address = tuple[Any, ...]


class End:
    """One end with an address; ``heard`` is the data that has come, ``peers`` who has logged in."""

    def __init__(self, network: Network, port: int, secret: Secret = SECRET) -> None:
        self.network = network
        self.address: Address = (f"192.0.2.{port}", port)
        self.heard: list[bytes] = []
        self.peers: list[Any] = []
        self.logins = self.made(secret)
        network.ends[self.address] = self

    def made(self, secret: Secret) -> Associations:
        return Associations(
            secret,
            loop=self.network.clock,  # type: ignore[arg-type]
            log=logging.LoggerAdapter(logging.getLogger("portline.connection")),
            send=lambda data, address, way: self.network.send(self.address, address, data),
            established=lambda address, way: self.peers.append(address),
        )

    def call(self, other: End) -> None:
        self.logins.call(other.address, None)  # type: ignore[arg-type]

    def tell(self, other: End, data: bytes) -> None:
        sealed = self.logins.seal(other.address, data)
        assert sealed is not None
        self.network.send(self.address, other.address, sealed)

    def take(self, datagram: bytes, source: Address) -> None:
        data = self.logins.heard(datagram, source, None)  # type: ignore[arg-type]
        if data is not None:
            self.heard.append(data)

    def begin_anew(self) -> None:
        """Forget everything, as a process does that ends."""
        self.logins.close()
        self.logins = self.made(self.logins.secret)


class Network:
    """Delivers at once what ``passes``; ``log`` is all that was sent."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ends: dict[Address, End] = {}
        self.log: list[tuple[Address, Address, bytes]] = []
        self.passes: Callable[[bytes], int] = lambda data: 1

    def send(self, source: Address, target: Address, data: bytes) -> None:
        self.log.append((source, target, data))
        for _ in range(self.passes(data)):
            if target in self.ends:
                self.clock.call_soon(self.ends[target].take, data, source)

    def passing(self, seconds: float) -> None:
        self.clock.pass_time(seconds)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do in this thread what is done aside."""

    class Done:
        def __init__(self, call: Callable[[], object]) -> None:
            self._result = call()

        def add_done_callback(self, call: Callable[[Done], object]) -> None:
            call(self)

        def cancelled(self) -> bool:
            return False

        def result(self) -> object:
            return self._result

    monkeypatch.setattr(call, "aside", Done)


def two(secret: Secret = SECRET) -> tuple[Network, End, End]:
    network = Network()
    return network, End(network, 1, secret), End(network, 2)


def test_data_passes_after_the_login_and_not_before() -> None:
    network, one, other = two()
    assert one.logins.seal(other.address, b"early") is None
    one.call(other)
    network.passing(0.1)
    assert (one.peers, other.peers) == ([other.address], [one.address])
    one.tell(other, b"question")
    other.tell(one, b"answer")
    network.passing(0)
    assert (one.heard, other.heard) == ([b"answer"], [b"question"])
    words = [said[0] for _, _, data in network.log if (said := read(data)) is not None]
    assert words == [Word.LOGIN, Word.CHALLENGE, Word.PROOF, Word.WELCOME]
    assert one.logins.trouble == ""
    assert counted(other.logins.counts)["logins"] == 1


@given(st.integers(0, 10**6))
def test_a_network_that_loses_and_repeats_only_makes_it_later(seed: int) -> None:
    dice = random.Random(seed)
    network, one, other = two()
    network.passes = lambda data: dice.choice([0, 0, 1, 2])
    one.call(other)
    other.call(one)
    network.passing(300)
    assert one.peers
    assert other.peers
    network.passes = lambda data: 1
    for number in range(20):
        one.tell(other, b"%d" % number)
        other.tell(one, b"%d" % number)
    network.passing(0)
    assert one.heard == other.heard == [b"%d" % number for number in range(20)]


def test_a_wrong_password_is_told_at_both_ends_and_slows_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    network, one, other = two(WRONG)
    one.call(other)
    network.passing(0.1)
    assert one.logins.trouble == "192.0.2.2:2: the password is not the one of the peer"
    assert (one.peers, other.peers) == ([], [])
    network.passing(60)
    assert TRIES < counted(other.logins.counts)["wrong_password"] < 25
    texts = [record.getMessage() for record in caplog.records]
    assert sum("reason=wrong-password" in text for text in texts) < 8
    assert not any("pen" in text.replace("open", "") for text in texts)
    # Beside one that tries for ever nobody waits.
    again = End(network, 3)
    again.address = (one.address[0], 3)
    network.ends[again.address] = again
    again.call(other)
    network.passing(0.1)
    assert other.peers == [again.address]
    assert not counted(other.logins.counts)["login_slowed"]
    # The right password goes in.
    one.logins.secret = SECRET
    network.passing(40)
    assert other.peers == [again.address, one.address]


def test_who_guesses_without_a_pause_is_slowed_down() -> None:
    network, one, other = two(WRONG)
    for number in range(2 * TRIES):
        guess = End(network, 10 + number, WRONG)
        guess.address = (one.address[0], 10 + number)
        network.ends[guess.address] = guess
        guess.call(other)
    network.passing(0.1)
    counts = counted(other.logins.counts)
    assert (counts["wrong_password"], counts["login_slowed"]) == (TRIES, TRIES)


def test_nobody_answers() -> None:
    network, one, other = two()
    network.passes = lambda data: 0
    one.call(other)
    network.passing(LOGIN_LIMIT + 1)
    assert one.logins.trouble == "192.0.2.2:2: no answer to the login within 10 s"
    assert len(network.log) < 10
    network.passes = lambda data: 1
    network.passing(30)
    assert one.logins.trouble == ""


@pytest.mark.parametrize("initiator", [True, False])
def test_who_begins_anew_is_logged_in_again(initiator: bool) -> None:
    network, one, other = two()
    one.call(other)
    network.passing(5)
    if initiator:
        one.begin_anew()
        one.call(other)
    else:
        other.begin_anew()
        one.tell(other, b"lost")
    network.passing(5)
    one.tell(other, b"again")
    other.tell(one, b"and back")
    network.passing(0)
    assert other.heard[-1] == b"again"
    assert one.heard == [b"and back"]


def test_what_a_stranger_says_changes_nothing() -> None:
    network, one, other = two()
    one.call(other)
    network.passing(5)
    for words in (
        written(Word.REFUSED, "no-session x"),
        written(Word.REFUSED, "wrong-password x"),
        written(Word.WELCOME, "v=x"),
        written(Word.CHALLENGE, "r=x,s=AAAAAAAAAAAAAAAAAAAAAA==,i=4096"),
        written(Word.PROOF, "c=biws,r=x,p=x"),
        written(Word.LOGIN, "1 SCRAM-SHA-256 n,,n=a,r=b"),
        written(Word.LOGIN, "2 SCRAM-SHA-256 n,,n=a,r=b"),
        b"portline: \xff",
        b"",
        b"x" * 3000,
        b"PLU1" + bytes(60),
    ):
        one.take(words, other.address)
        other.take(words, one.address)
        network.passing(2)
    assert counted(other.logins.counts)["wrong_password"] == 0
    one.tell(other, b"still")
    other.tell(one, b"there")
    network.passing(0)
    assert (one.heard, other.heard) == ([b"there"], [b"still"])


def test_a_stranger_does_not_use_up_the_hints_of_others() -> None:
    network, one, other = two()
    one.call(other)
    network.passing(5)
    other.begin_anew()
    for number in range(50):  # more often than there is one hint
        other.take(b"PLU1" + bytes(60), ("198.51.100.1", number))
        one.tell(other, b"is anybody there")
        network.passing(0.1)
    assert other.peers == [one.address, one.address]
    assert other.heard[-1] == b"is anybody there"
    hints = [target for _, target, data in network.log if b"no-session" in data]
    assert 4 <= len([target for target in hints if target != one.address]) <= 6


def test_hints_are_bounded() -> None:
    network, _, other = two()
    for number in range(1000):
        other.take(b"PLU1" + bytes(60), (f"198.51.{number // 250}.{number % 250}", 9))
    assert len(network.log) == associations.HINTED
    network.passing(1)
    other.take(b"PLU1" + bytes(60), ("203.0.113.1", 9))
    assert network.log[-1][1] == ("203.0.113.1", 9)


def test_nonsense_in_the_name_of_another_does_not_end_its_login() -> None:
    network, one, other = two()

    def passes(data: bytes) -> int:
        if data.startswith(b"portline: proof"):
            other.take(written(Word.LOGIN, "junk"), one.address)
        return 1

    network.passes = passes
    one.call(other)
    network.passing(0.1)
    assert other.peers == [one.address]


@pytest.mark.parametrize("before", [b"portline: challenge", b"portline: proof"])
def test_a_login_that_is_forged_does_not_replace_one_that_is_under_way(before: bytes) -> None:
    network, one, other = two()

    def passes(data: bytes) -> int:
        if data.startswith(before) and b"forged" not in data:
            for number in range(answers.PER_ORIGIN - 2):
                forged = written(Word.LOGIN, f"1 SCRAM-SHA-256 n,,n=portline,r=forged{number}")
                other.take(forged, one.address)
        return 0 if b"forged" in data else 1

    network.passes = passes
    one.call(other)
    network.passing(0.1)  # before any words are said again
    assert other.peers == [one.address]
    assert one.peers == [other.address]
    assert len(other.logins._answers) <= answers.PER_ORIGIN


def test_a_wrong_proof_ends_only_the_login_that_it_is_of() -> None:
    network, one, other = two()
    other.take(written(Word.LOGIN, "1 SCRAM-SHA-256 n,,n=portline,r=forged"), one.address)
    said = read(network.log[-1][2])
    assert said is not None
    proof = written(Word.PROOF, f"c=biws,r={nonce_of(said[1])},p={'A' * 43}=")
    network.passes = lambda data: (
        (other.take(proof, one.address) if data.startswith(b"portline: proof") else None) or 1
    )
    one.call(other)
    network.passing(0.1)
    assert other.peers == [one.address]
    assert counted(other.logins.counts)["wrong_password"] == 1


def test_neighbours_with_the_same_address_on_two_links_are_two() -> None:
    network, one, other = two()
    other.address, again = ("fe80::1", 9, 0, 2), End(network, 3)
    again.address = ("fe80::1", 9, 0, 3)
    network.ends |= {other.address: other, again.address: again}
    one.call(other)
    one.call(again)
    network.passing(0.1)
    assert one.peers == [other.address, again.address]
    for end in (other, again):
        one.tell(end, b"to %d" % end.address[3])
        end.tell(one, b"from %d" % end.address[3])
    network.passing(0)
    assert (other.heard, again.heard) == ([b"to 2"], [b"to 3"])
    assert one.heard == [b"from 2", b"from 3"]
    one.logins.forget(other.address)
    assert one.logins.seal(other.address, b"x") is None
    assert one.logins.seal(again.address, b"x") is not None


def test_who_is_called_without_an_interface_may_answer_from_any() -> None:
    network, one, other = two()
    other.address = ("fe80::1", 9, 0, 2)
    network.ends[other.address] = network.ends["fe80::1", 9, 0, 0] = other
    named = ("fe80::1", 9, 0, 0)
    one.logins.call(named, None)  # type: ignore[arg-type]
    network.passing(0.1)
    assert one.peers == [named]
    other.tell(one, b"here")
    network.passing(0)
    assert one.heard == [b"here"]


def test_nothing_that_was_recorded_counts_again() -> None:
    network, one, other = two()
    one.call(other)
    network.passing(1)
    one.tell(other, b"open the door")
    network.passing(0)
    recorded = [(source, data) for source, target, data in network.log if target == other.address]
    for source, data in recorded:
        other.take(data, source)
    network.passing(1)
    assert other.heard == [b"open the door"]
    other.begin_anew()
    for source, data in recorded:
        other.take(data, source)
    assert other.heard == [b"open the door"]
    assert other.peers == [one.address]
    # From another address it is nothing either.
    one.tell(other, b"x")
    other.take(network.log[-1][2], ("192.0.2.9", 9))
    assert other.heard == [b"open the door"]


def test_logins_of_others_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "UNDER_WAY", 8)
    network, one, other = two()
    for number in range(100):
        words = written(Word.LOGIN, f"1 SCRAM-SHA-256 n,,n=a,r=x{number}")
        other.take(words, (f"198.51.100.{number}", 9))
    assert len(other.logins._answers) == 8
    one.call(other)
    network.passing(1)
    assert other.peers == [one.address]
    # No answer is larger than what it answers by much: nobody is flooded in another's name.
    sent = [data for source, _, data in network.log if source == other.address]
    assert max(map(len, sent)) < 200


def test_the_same_words_are_answered_in_the_same_way() -> None:
    network, _, other = two()
    words = written(Word.LOGIN, "1 SCRAM-SHA-256 n,,n=a,r=x")
    for _ in range(3):
        other.take(words, ("192.0.2.9", 9))
    answers = {data for source, _, data in network.log if source == other.address}
    assert len(answers) == 1
    (answer,) = answers
    said = read(answer)
    assert said is not None
    assert nonce_of(said[1]).startswith("x")


def test_an_end_that_was_forgotten_is_a_stranger() -> None:
    network, one, other = two()
    one.call(other)
    network.passing(1)
    other.logins.forget(one.address)
    one.tell(other, b"x")
    assert other.logins.seal(one.address, b"x") is None
    network.passing(5)
    assert other.heard == []
    assert other.peers == [one.address] * 2  # it has logged in again


@given(st.binary(max_size=200))
def test_garbage_is_counted(data: bytes) -> None:
    _, one, other = two()
    other.take(data, one.address)
    other.take(b"portline: " + data, one.address)
    assert other.heard == []
    assert other.peers == []
