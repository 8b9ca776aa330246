from __future__ import annotations

import pytest

from portline.net.proxy import LOGIN_LIMIT, Proxy, ProxyKind

SOCKS5, HTTP = ProxyKind.SOCKS5, ProxyKind.HTTP


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("socks5://host:1080", Proxy(SOCKS5, "host", 1080)),
        ("http://host:3129", Proxy(HTTP, "host", 3129)),
        ("SOCKS5://host", Proxy(SOCKS5, "host", 1080)),
        (" http://host/ ", Proxy(HTTP, "host", 3128)),
        ("socks5://[fe80::1]:99", Proxy(SOCKS5, "fe80::1", 99)),
        ("http://me:secret@host:1", Proxy(HTTP, "host", 1, "me", "secret")),
        ("socks5://a%40b:p%3A%2F%25@host:1", Proxy(SOCKS5, "host", 1, "a@b", "p:/%")),
    ],
)
def test_the_url_of_a_proxy_is_understood(text: str, proxy: Proxy) -> None:
    assert Proxy.parse(text) == proxy


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host:1080",
        "socks4://host:1080",
        "https://host",
        "socks5://",
        "socks5://:1080",
        "socks5://host:0",
        "socks5://host:65536",
        "socks5://host:port",
        "socks5://host/path",
        "http://host?query",
        "http://host#part",
        "socks5://[::1",
    ],
)
def test_anything_else_is_refused_with_the_shape_that_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match=r"socks5://\[USER:PASSWORD@\]HOST\[:PORT\]"):
        Proxy.parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("socks5://me@host", "both a user and a password"),
        ("socks5://:secret@host", "both a user and a password"),
        ("http://m%C3%BCller:secret@host", "ASCII"),
        (f"socks5://{'u' * (LOGIN_LIMIT + 1)}:secret@host", "at most 255"),
        (f"socks5://me:{'p' * (LOGIN_LIMIT + 1)}@host", "at most 255"),
        ("http://a%3Ab:secret@host", "colon"),
    ],
)
def test_a_login_that_the_protocol_cannot_say_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        Proxy.parse(text)
    assert "secret" not in str(refused.value)


def test_the_password_is_never_shown() -> None:
    proxy = Proxy.parse("socks5://user:password@host:1080")
    assert str(proxy) == "socks5://user:***@host:1080"
    assert "password" not in repr(proxy).replace("password=", "")
    assert str(Proxy.parse("http://[::1]:3128")) == "http://[::1]:3128"
