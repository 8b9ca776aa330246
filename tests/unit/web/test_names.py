from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.web.names import Names, is_same_origin

NAMES = Names(["gateway.example", "Box.local.", "[fd00::1]"])


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1:8217", "127.0.0.1", "[::1]:8217", "192.0.2.7", "[fd00::1]"),
        *("localhost", "localhost:80", "LOCALHOST", "meter.localhost"),
        *("gateway.example", "GATEWAY.example:443", "gateway.example.", "box.local"),
    ],
)
def test_our_names_are_known(host: str) -> None:
    assert NAMES.knows(host)


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8217", "gateway.example.evil.example", "xlocalhost"),
        *("", ":8217", "gateway.example:x", "gateway.example/", "a@gateway.example", "[::1"),
        *("127.0.0.1.evil.example", "127.0.0.1 ", "gateway.example\r\n", "gateway.example:123456"),
        *("0x7f.1.evil", "localhost.evil.example"),
    ],
)
def test_other_names_are_not(host: str) -> None:
    assert not NAMES.knows(host)


@given(st.from_regex(r"[a-z]{1,8}(\.[a-z]{2,8}){1,3}", fullmatch=True))
def test_a_name_of_somebody_else_never_is(name: str) -> None:
    known = {"gateway.example", "box.local"}
    assert NAMES.knows(name) == (name in known or name.endswith(".localhost"))


@pytest.mark.parametrize(
    ("origin", "host", "encrypted"),
    [
        ("http://127.0.0.1:8217", "127.0.0.1:8217", False),
        ("https://127.0.0.1:8217", "127.0.0.1:8217", True),
        ("http://gateway.example", "gateway.example", False),
        ("http://gateway.example", "gateway.example:80", False),
        ("https://gateway.example", "gateway.example:443", True),
        ("https://GATEWAY.example", "gateway.example", True),
        ("https://gateway.example", "gateway.example", False),  # behind a proxy with TLS
        ("http://[::1]:8217", "[::1]:8217", False),
    ],
)
def test_a_page_of_ours_may_ask(origin: str, host: str, encrypted: bool) -> None:
    assert is_same_origin(origin, host, encrypted=encrypted)


@pytest.mark.parametrize(
    ("origin", "host", "encrypted"),
    [
        ("http://evil.example", "127.0.0.1:8217", False),
        ("http://127.0.0.1:8218", "127.0.0.1:8217", False),
        ("http://127.0.0.1", "127.0.0.1:8217", False),
        ("http://localhost:8217", "127.0.0.1:8217", False),
        ("http://127.0.0.1:8217", "127.0.0.1:8217", True),  # somebody on the way has made it
        ("null", "127.0.0.1:8217", False),
        ("", "127.0.0.1:8217", False),
        ("http://127.0.0.1:8217.evil.example", "127.0.0.1:8217", False),
        ("http://127.0.0.1:8217@evil.example", "127.0.0.1:8217", False),
        ("file://127.0.0.1:8217", "127.0.0.1:8217", False),
        ("https://gateway.example", "gateway.example:80", False),
        ("http://evil", "", False),
        ("http://a b", "a b", False),
    ],
)
def test_a_foreign_page_may_not(origin: str, host: str, encrypted: bool) -> None:
    assert not is_same_origin(origin, host, encrypted=encrypted)
