from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.auth import password as module
from portline.auth.password import CACHED, ITERATIONS_MIN, Keys, Password, Verifier

SECRET = "correct horse battery staple"
ROUNDS = ITERATIONS_MIN


def test_nothing_shows_the_password_or_its_keys() -> None:
    made = Password(SECRET)
    verifier = made.verifier(ROUNDS)
    keys = made.keys(verifier.salt, ROUNDS)
    shown = "".join(map(repr, (made, verifier, keys))) + f"{made}{verifier}{keys}"
    assert SECRET not in shown
    for secret in (verifier.stored_key, verifier.server_key, keys.client):
        assert repr(secret)[2:10] not in shown
    for store in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError):
            store(made)


def test_a_verifier_is_written_as_postgresql_writes_it() -> None:
    # As PostgreSQL has it for this salt (src/common/scram-common.c, scram_build_secret).
    salt = b"0123456789abcdef"
    keys = Keys.derived(b"foobar", salt, 4096)
    verifier = Verifier(4096, salt, keys.stored, keys.server)
    assert verifier.line().startswith("SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==$")
    assert Verifier.parse(verifier.line()) == verifier


@given(st.text(min_size=1, max_size=300))
def test_any_text_is_a_password_or_is_refused_without_being_repeated(text: str) -> None:
    told = ""
    try:
        assert Password(text) == Password(text)
    except ValueError as error:
        told = str(error)
    assert len(text) < 4 or text not in told


def test_what_looks_equal_is_equal() -> None:
    assert Password("I\u00adX") == Password("IX")  # RFC 4013, section 3
    assert Password("\u2168") == Password("IX")
    assert Password("a\u00a0b") == Password("a b")


@pytest.mark.parametrize("text", ["", "\x07", "\u0627\u0031", "x" * 257, "\u00ad"])
def test_what_no_password_may_be(text: str) -> None:
    with pytest.raises(ValueError, match=r"empty|characters"):
        Password(text)


@given(st.text(max_size=200))
def test_what_is_no_verifier_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="salted password") as raised:
        Verifier.parse(f"SCRAM-SHA-256${text}")
    assert len(text) < 4 or text not in str(raised.value)


def test_a_verifier_that_was_cut_or_asks_too_much() -> None:
    line = Password(SECRET).verifier(ROUNDS).line()
    for wrong in (
        line[:-8],
        line.replace(f"${ROUNDS}:", "$4095:"),
        line.replace(f"${ROUNDS}:", "$2000001:"),
        line.replace("$", " "),
    ):
        with pytest.raises(ValueError, match="portline password"):
            Verifier.parse(wrong)


def test_keys_are_made_once_for_each_salt(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Password(SECRET)
    assert made.known(b"salt of 12 b", ROUNDS) is None
    first = made.keys(b"salt of 12 b", ROUNDS)
    monkeypatch.setattr(module.Keys, "derived", None)  # to be called is an error from here on
    assert made.keys(b"salt of 12 b", ROUNDS) is first
    assert made.known(b"salt of 12 b", ROUNDS) is first


def test_the_keys_that_are_remembered_are_bounded() -> None:
    made = Password(SECRET)
    for number in range(CACHED + 5):
        made.keys(number.to_bytes(12, "big"), 1)
    assert made.known((0).to_bytes(12, "big"), 1) is None
    assert made.known((CACHED + 4).to_bytes(12, "big"), 1) is not None


def test_a_verifier_knows_its_password() -> None:
    verifier = Password(SECRET).verifier(ROUNDS)
    assert Password(SECRET).matches(verifier)
    assert not Password("another").matches(verifier)
    assert Password(SECRET).verifier(ROUNDS).salt != verifier.salt
