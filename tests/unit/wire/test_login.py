from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portline.auth.exchange import ClientExchange, ServerExchange
from portline.auth.password import Password
from portline.errors import LoginError
from portline.wire.login.client import ClientLogin
from portline.wire.login.lines import (
    BYTES_MAX,
    LINE_MAX,
    PROMPT,
    Stage,
    is_greeting,
    may_become_greeting,
    refusal,
)
from portline.wire.login.server import ServerLogin

PASSWORD = Password("pencil")
VERIFIER = PASSWORD.verifier(4096)
HASH = hashlib.sha256(b"a certificate").digest()
WORDS = [b"login 1 ", b"SCRAM-SHA-256 ", b"proof ", b"n,,n=portline,r=abc", b"\r\n", b"\n", b"\0"]


def server(binding: bytes | None = None, *, prompt: bool = False) -> ServerLogin:
    return ServerLogin(ServerExchange(VERIFIER, binding), prompt=prompt)


def client(binding: bytes | None = None) -> ClientLogin:
    return ClientLogin(ClientExchange(binding))


def chunked(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def meet(one: ClientLogin, other: ServerLogin, *, size: int = 1000) -> bytes:
    """Let both talk until neither has more to say; return what the server said."""
    to_client, to_server, heard = other.start(), b"", b""
    while to_client or to_server:
        heard += to_client
        for piece in chunked(to_client, size):
            to_server += one.feed(piece)
        if one.stage is Stage.KEYS:
            to_server += one.prove(PASSWORD.keys(one.salt, one.rounds))
        to_client, said = b"", to_server
        to_server = b""
        for piece in chunked(said, size):
            to_client += other.feed(piece)
    return heard


@pytest.mark.parametrize("binding", [None, HASH])
@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_who_knows_the_password_is_in(binding: bytes | None, prompt: bool, size: int) -> None:
    one, other = client(binding), server(binding, prompt=prompt)
    heard = meet(one, other, size=size)
    assert (one.stage, other.stage) == (Stage.IN, Stage.IN)
    assert one.mechanism == other.mechanism == "SCRAM-SHA-256" + ("-PLUS" if binding else "")
    pattern = rb"portline: login 1 \S+\r\n(Password: )?portline: challenge \S+\r\nportline: welcome"
    assert re.match(pattern, heard)
    assert b"pencil" not in heard


def test_what_comes_behind_the_welcome_is_data() -> None:
    one, other = client(), server()
    said = one.feed(other.start())
    one.feed(other.feed(said))
    welcome = other.feed(one.prove(PASSWORD.keys(one.salt, one.rounds)))
    one.feed(welcome + b"portline: hello\r\n")
    assert (one.stage, one.early) == (Stage.IN, b"portline: hello\r\n")


def test_nobody_may_send_data_before_he_is_in() -> None:
    one, other = client(), server()
    one.feed(other.feed(one.feed(other.start())))
    said = other.feed(one.prove(PASSWORD.keys(one.salt, one.rounds)) + b"*IDN?\n")
    assert other.stage is Stage.REFUSED
    assert said.startswith(b"portline: refused malformed it has sent data")


def refused(login: ServerLogin, data: bytes) -> str:
    said = login.feed(data)
    assert login.stage is Stage.REFUSED
    assert login.error is not None
    assert said == refusal(login.error.reason, login.error.text)
    assert login.feed(b"more\r\n") == b""
    return login.error.reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"*IDN?\n", "no-login"),
        (b"\xff\xfb\x2c\n", "no-login"),
        (b"GET / HTTP/1.1\r\n", "no-login"),
        (b"proof c=biws,r=x,p=y\r\n", "no-login"),
        (b"login 2 SCRAM-SHA-256 n,,n=a,r=b\r\n", "other-version"),
        (b"login 1 SCRAM-SHA-1 n,,n=a,r=b\r\n", "no-binding"),
        (b"login 1 SCRAM-SHA-256-PLUS p=tls-server-end-point,,n=a,r=b\r\n", "no-binding"),
        (b"login 1 SCRAM-SHA-256 n,a=x,n=a,r=b\r\n", "malformed"),
        (b"login 1 SCRAM-SHA-256 n,,n=a,r=b\r\nlogin 1\r\n", "malformed"),
        (b"x" * (LINE_MAX + 1), "too-long"),
        (b"x" * 10**6, "too-long"),
        (b"login 1 SCRAM-SHA-256 n,,n=a,r=" + b"b" * LINE_MAX + b"\r\n", "too-long"),
    ],
)
def test_what_is_no_login_is_told_so(data: bytes, reason: str) -> None:
    login = server()
    if data.startswith(b"login 1 SCRAM-SHA-256 n,,n=a,r=b\r\n"):
        login.feed(data[:34])
        data = data[34:]
    assert refused(login, data) == reason


def test_within_tls_only_a_login_that_is_bound_to_it() -> None:
    for mechanism, header in (
        ("SCRAM-SHA-256", "n,,"),
        ("SCRAM-SHA-256", "y,,"),
        ("SCRAM-SHA-256-PLUS", "n,,"),
        ("SCRAM-SHA-256-PLUS", "y,,"),
    ):
        login = server(HASH)
        assert refused(login, f"login 1 {mechanism} {header}n=a,r=b\n".encode()) == "no-binding"


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from(WORDS) | st.binary(max_size=40), max_size=30),
    st.integers(1, 50),
    st.booleans(),
)
def test_whatever_comes_it_ends_within_its_bounds(
    words: list[bytes], size: int, prompt: bool
) -> None:
    data = b"".join(words)
    login, said = server(prompt=prompt), b""
    for piece in chunked(data, size):
        said += login.feed(piece)
        assert len(login._lines.rest) <= BYTES_MAX + size
    assert len(said) < 2 * LINE_MAX
    assert login.stage is not Stage.IN
    assert login.stage is Stage.REFUSED or len(data) <= BYTES_MAX
    whole = server(prompt=prompt)
    whole.feed(data)
    assert (whole.stage is Stage.TYPED) == (login.stage is Stage.TYPED) or len(data) > BYTES_MAX


@settings(max_examples=300)
@given(st.integers(0, 2000), st.integers(0, 255), st.booleans())
def test_a_login_of_which_one_byte_is_changed_is_never_believed(
    place: int, byte: int, of_server: bool
) -> None:
    one, other = client(), server()
    done = False

    def changed(data: bytes) -> bytes:
        nonlocal place, done
        if 0 <= place < len(data) and data[place] != byte:
            data, done = data[:place] + bytes([byte]) + data[place + 1 :], True
        place -= len(data)
        return data

    to_client, to_server = other.start(), b""
    for _ in range(10):
        if of_server:
            to_client = changed(to_client)
        to_server += one.feed(to_client)
        if one.stage is Stage.KEYS:
            to_server += one.prove(PASSWORD.keys(one.salt, one.rounds))
        if not of_server:
            to_server = changed(to_server)
        to_client, to_server = other.feed(to_server), b""
        if not to_client:
            break
    if done and one.stage is Stage.IN and other.stage is Stage.IN:
        # Only what is not part of the messages can have been another byte: the ends of lines.
        assert byte in b"\r\n \t\x0b\x0c\x1c\x1d\x1e\x85" or place < 0


# --- typed passwords ------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\0"])
def test_a_typed_password_waits_for_its_judge(end: bytes) -> None:
    login = server(prompt=True)
    assert login.start().endswith(b"\r\n" + PROMPT)
    assert login.feed(b"pen") + login.feed(b"cil" + end + b"*IDN?\n") == b""
    assert (login.stage, login.typed) == (Stage.TYPED, b"pencil")
    assert login.judged(True) == b""
    assert (login.stage, login.mechanism, login.early) == (Stage.IN, "prompt", b"*IDN?\n")
    assert login.typed == b""


def test_a_typed_password_that_is_wrong() -> None:
    login = server(prompt=True)
    login.feed(b"pen\n")
    assert login.judged(False).startswith(b"portline: refused wrong-password")
    assert (login.stage, login.typed) == (Stage.REFUSED, b"")


@pytest.mark.parametrize("right", [True, False])
def test_a_terminal_that_speaks_telnet_does_not_show_what_is_typed(right: bool) -> None:
    login = ServerLogin(ServerExchange(VERIFIER, None), prompt=True, telnet=True)
    assert login.start().endswith(b"\r\n\xff\xfb\x01Password: ")  # WILL ECHO
    login.feed(b"\xff\xfd\x01pencil\r\0")  # DO ECHO
    assert login.typed == b"pencil"
    said = login.judged(right)
    assert said.startswith(b"\xff\xfc\x01")  # WONT ECHO
    assert (b"refused" in said) is not right


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_who_logs_in_where_telnet_is_spoken_minds_no_prompt(size: int) -> None:
    one = client(None)
    other = ServerLogin(ServerExchange(VERIFIER, None), prompt=True, telnet=True)
    there = other.start()
    assert is_greeting(there)
    assert all(may_become_greeting(there[:end]) for end in range(1, len(there) + 1))
    while there:
        back = b""
        for begin in range(0, len(there), size):
            back += one.feed(there[begin : begin + size])
        if one.stage is Stage.KEYS:
            back += one.prove(PASSWORD.keys(one.salt, one.rounds))
        there = other.feed(back) if back else b""
    assert (one.stage, other.stage) == (Stage.IN, Stage.IN)
    assert one.early == b""


def test_telnet_may_negotiate_before_the_password_is_typed() -> None:
    login = server(prompt=True)
    login.feed(b"\xff\xfd\x03\xff\xfb\x18pencil\r\0")
    assert login.typed == b"pencil"


def test_the_time_may_be_over() -> None:
    for login in (server(), server(prompt=True)):
        assert login.expire().startswith(b"portline: refused too-late")
        assert login.expire() == b""
        assert login.stage is Stage.REFUSED


# --- the client trusts nobody ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xfd\x2c", "not-asked"),
        (b"$GPGGA,1\r\n", "not-asked"),
        (PROMPT, "not-asked"),
        (b"portline: meter is in use by x since y; try again later\r\n", "not-asked"),
        (b"portline: login 1 SCRAM-SHA-1\r\n", "no-binding"),
        (b"portline: login 1 \r\n", "malformed"),
        (b"portline: login 2,3 SCRAM-SHA-256\r\n", "other-version"),
        (b"portline: login " + b"x" * LINE_MAX, "too-long"),
        (b"portline: refused slowed try again later\r\n", "slowed"),
        (b"portline: login 1 SCRAM-SHA-256\r\nportline: welcome v=x\r\n", "malformed"),
        (b"portline: login 1 SCRAM-SHA-256\r\n*IDN?\r\n", "malformed"),
    ],
)
def test_who_does_not_log_us_in_as_he_should_is_not_trusted(data: bytes, reason: str) -> None:
    for size in (1, 1000):
        login = client()
        for piece in chunked(data, size):
            login.feed(piece)
        assert login.stage is Stage.REFUSED
        assert login.error is not None
        assert login.error.reason == reason


def test_a_server_whose_binding_was_stripped_is_not_logged_in_at() -> None:
    login = client(HASH)
    assert login.feed(b"portline: login 1 SCRAM-SHA-256\r\n") == b""
    assert login.error is not None
    assert "somebody stands between us" in login.error.text


def test_an_impostor_who_welcomes_everybody() -> None:
    one, other = client(), ServerLogin(ServerExchange(Password("pen").verifier(4096)))
    one.feed(other.feed(one.feed(other.start())))
    one.prove(PASSWORD.keys(one.salt, one.rounds))
    one.feed(b"portline: welcome v=" + b"A" * 43 + b"=\r\n")
    assert one.error is not None
    assert one.error.reason == "impostor"


@pytest.mark.parametrize("reason", ["wrong-password", "other-certificate", "too-late", "x"])
def test_a_refusal_is_told_in_words(reason: str) -> None:
    one, other = client(), server()
    one.feed(other.start())
    one.feed(refusal(reason, "because\x1b[2J\r\n"))
    assert one.error is not None
    assert (one.error.reason, one.error.by_peer) == (reason, True)
    assert one.error.text.isprintable()


def test_a_server_that_closes_has_not_let_us_in() -> None:
    for data in (b"", b"portline: login 1 SCRAM-SHA-256\r\n"):
        login = client()
        login.feed(data)
        login.ended()
        assert isinstance(login.error, LoginError)
        assert login.error.reason == "closed"


def waits_for_keys() -> ClientLogin:
    one, other = client(), server()
    one.feed(other.feed(one.feed(other.start())))
    assert one.stage is Stage.KEYS
    return one


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "closed"),
        (b"portline: refused too-late the time is over\r\n", "too-late"),
        (b"portline: welcome v=AAAA\r\n", "malformed"),
        (b"*IDN?\r\n", "malformed"),
        (b"x" * (LINE_MAX + 1), "too-long"),
    ],
)
def test_a_server_may_refuse_or_leave_while_the_keys_are_made(data: bytes, reason: str) -> None:
    login = waits_for_keys()
    login.feed(data)
    login.ended()
    assert login.prove(PASSWORD.keys(login.salt, login.rounds)) == b""
    assert login.stage is Stage.REFUSED
    assert login.error is not None
    assert login.error.reason == reason


def test_nothing_is_kept_of_a_server_that_floods_while_the_keys_are_made() -> None:
    login = waits_for_keys()
    for _ in range(100):
        login.feed(b"x" * LINE_MAX)
    assert len(login.early) <= 2 * LINE_MAX


@settings(max_examples=300)
@given(st.binary(max_size=400), st.integers(1, 40))
def test_the_client_believes_no_garbage(data: bytes, size: int) -> None:
    login = client()
    said = b""
    for piece in chunked(b"portline: login 1 SCRAM-SHA-256\r\n" + data, size):
        said += login.feed(piece)
    assert said.count(b"\n") <= 1  # the login, and no proof
    assert login.stage in (Stage.FINAL, Stage.REFUSED)


@pytest.mark.parametrize(
    ("data", "greets"),
    [
        (b"portline: login 1 SCRAM-SHA-256\r\n", True),
        (b"portline: login 1 SCRAM-SHA-256-PLUS\r\nPassword: ", True),
        (b"portline: login 1 SCRAM-SHA-256\r\nPass", True),
        (b"portline: login 1 SCRAM-SHA-256", False),
        (b"portline: login 1 SCRAM-SHA-256\r\n*IDN?", False),
        (b"portline: logged in\r\n", False),
        (b"", False),
    ],
)
def test_a_greeting_is_known_by_its_form(data: bytes, greets: bool) -> None:
    assert is_greeting(data) is greets
