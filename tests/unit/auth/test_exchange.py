from __future__ import annotations

import base64
import hashlib
import hmac
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scramp import ScramClient, ScramException, ScramMechanism

from portline.auth.exchange import BINDING, PLUS, ClientExchange, ServerExchange
from portline.auth.password import ITERATIONS_MAX, Password, Verifier
from portline.errors import LoginError

PASSWORD = Password("pencil")
VERIFIER = PASSWORD.verifier(4096)
HASH = hashlib.sha256(b"a certificate").digest()


def meet(client: ClientExchange, server: ServerExchange, password: Password = PASSWORD) -> None:
    """Let two ends do all of it."""
    salt, rounds = client.challenged(server.challenge(client.first()))
    client.finish(server.verdict(client.proof(password.keys(salt, rounds))))


@pytest.mark.parametrize("binding", [None, HASH])
def test_both_ends_know_each_other_and_have_the_same_key(binding: bytes | None) -> None:
    client, server = ClientExchange(binding), ServerExchange(VERIFIER, binding)
    meet(client, server)
    assert client.session_key == server.session_key
    other = ClientExchange(binding), ServerExchange(VERIFIER, binding)
    meet(*other)
    assert other[0].session_key != client.session_key


def test_the_session_key_is_that_of_rfc_5802() -> None:
    client, server = ClientExchange(), ServerExchange(VERIFIER)
    first = client.first()
    challenge = server.challenge(first)
    keys = PASSWORD.keys(*client.challenged(challenge))
    final = client.proof(keys)
    client.finish(server.verdict(final))
    message = f"{first.removeprefix('n,,')},{challenge},{final.rpartition(',p=')[0]}".encode()
    expected = hmac.digest(keys.stored, b"GSS-API session key" + keys.client + message, "sha256")
    assert client.session_key == server.session_key == expected


def test_the_example_of_rfc_7677() -> None:
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    keys = PASSWORD.keys(salt, 4096)
    server = ServerExchange(Verifier(4096, salt, keys.stored, keys.server))
    server._scram = server._begin()
    server._scram.s_nonce = type(server._scram.s_nonce)("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    client = ClientExchange()
    client._scram.c_nonce = type(client._scram.c_nonce)("rOprNGfwEbeRWgbNEkqO")
    client._scram.username = type(client._scram.username)("user")
    first = client.first()
    assert first == "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    challenge = server.challenge(first)
    assert challenge == (
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    client.challenged(challenge)
    final = client.proof(keys)
    assert final == (
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    told = server.verdict(final)
    assert told == "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    client.finish(told)


@pytest.mark.parametrize("binding", [None, HASH])
def test_the_library_can_be_either_end(binding: bytes | None) -> None:
    name = "SCRAM-SHA-256" if binding is None else PLUS
    bound = None if binding is None else (BINDING, binding)
    theirs = ScramClient([name], "somebody", "pencil", channel_binding=bound)
    ours = ServerExchange(VERIFIER, binding)
    theirs.set_server_first(ours.challenge(theirs.get_client_first()))
    theirs.set_server_final(ours.verdict(theirs.get_client_final()))
    known = (VERIFIER.salt, VERIFIER.stored_key, VERIFIER.server_key, VERIFIER.iterations)
    server = ScramMechanism(name).make_server(lambda user: known, channel_binding=bound)
    client = ClientExchange(binding)
    server.set_client_first(client.first())
    keys = PASSWORD.keys(*client.challenged(server.get_server_first()))
    server.set_client_final(client.proof(keys))
    client.finish(server.get_server_final())


def reason(call: object, *arguments: object) -> str:
    with pytest.raises(LoginError) as raised:
        call(*arguments)  # type: ignore[operator]
    return raised.value.reason


def test_a_wrong_password() -> None:
    client, server = ClientExchange(), ServerExchange(VERIFIER)
    salt, rounds = client.challenged(server.challenge(client.first()))
    final = client.proof(Password("pen").keys(salt, rounds))
    assert reason(server.verdict, final) == "wrong-password"


def test_a_server_that_does_not_know_the_password() -> None:
    client = ClientExchange()
    impostor = ServerExchange(Password("pen").verifier(4096))
    keys = PASSWORD.keys(*client.challenged(impostor.challenge(client.first())))
    client.proof(keys)
    for told in (
        "v=",
        "v=AAAA",
        "v=!!",
        "",
        "e=other-error",
        f"v={base64.b64encode(HASH).decode()}",
    ):
        assert reason(client.finish, told) == "impostor"


def test_somebody_in_the_middle_has_another_certificate() -> None:
    client, server = (
        ClientExchange(hashlib.sha256(b"mine").digest()),
        ServerExchange(VERIFIER, HASH),
    )
    salt, rounds = client.challenged(server.challenge(client.first()))
    assert reason(server.verdict, client.proof(PASSWORD.keys(salt, rounds))) == "other-certificate"


@pytest.mark.parametrize("flag", ["n,,", "y,,", "p=tls-unique,,", "p=tls-exporter,,"])
def test_no_login_without_the_binding_where_there_is_tls(flag: str) -> None:
    server = ServerExchange(VERIFIER, HASH)
    assert reason(server.challenge, f"{flag}n=portline,r=abc") == "no-binding"


def test_a_client_does_not_do_any_number_of_rounds() -> None:
    for rounds in ("4095", "0", str(ITERATIONS_MAX + 1), "99999999999999999999", "x"):
        client = ClientExchange()
        nonce = client.first().rpartition("r=")[2]
        salt = base64.b64encode(b"x" * 16).decode()
        assert reason(client.challenged, f"r={nonce}y,s={salt},i={rounds}") == "malformed"


def test_a_nonce_that_is_not_ours() -> None:
    client = ClientExchange()
    client.first()
    salt = base64.b64encode(b"x" * 16).decode()
    assert reason(client.challenged, f"r=another,s={salt},i=4096") == "malformed"


def test_a_recorded_login_is_worth_nothing() -> None:
    client, server = ClientExchange(), ServerExchange(VERIFIER)
    first = client.first()
    salt, rounds = client.challenged(server.challenge(first))
    final = client.proof(PASSWORD.keys(salt, rounds))
    server.verdict(final)
    again = ServerExchange(VERIFIER)
    again.challenge(first)
    assert reason(again.verdict, final) == "malformed"  # the nonce of the server is another one


@given(st.text(max_size=300))
def test_whatever_comes_is_answered_or_a_reason(text: str) -> None:
    for step in (
        ServerExchange(VERIFIER).challenge,
        ServerExchange(VERIFIER, HASH).challenge,
    ):
        with suppress(LoginError):
            step(text)
    server = ServerExchange(VERIFIER)
    server.challenge("n,,n=portline,r=abc")
    with pytest.raises(LoginError):
        server.verdict(text)
    client = ClientExchange()
    client.first()
    with pytest.raises(LoginError):
        client.challenged(text)


def test_the_library_is_not_told_the_password() -> None:
    client = ClientExchange()
    assert "pencil" not in repr(vars(client._scram))
    with pytest.raises(ScramException):
        client._scram.set_server_final("v=x")
