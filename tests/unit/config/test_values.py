from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.config.values import Address, Place, Protocol

HOSTS = st.one_of(
    st.ip_addresses().map(str),
    st.sampled_from(["*", "localhost", "gateway.example", "meter-1"]),
)
ADDRESSES = st.builds(Address, HOSTS, st.integers(0, 65535), st.sampled_from([None, *Protocol]))


@given(ADDRESSES)
def test_what_is_written_is_read_back(address: Address) -> None:
    assert Address.parse(str(address)) == address


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    message = "write"
    try:
        address = Address.parse(text)
    except ValueError as error:
        message = str(error)
    else:
        assert Address.parse(str(address)) == address
    assert "write" in message
    assert message.isprintable()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("4001", Address("127.0.0.1", 4001)),
        (" 127.0.0.1:4001 ", Address("127.0.0.1", 4001)),
        ("0.0.0.0:1", Address("0.0.0.0", 1)),
        ("*:65535", Address("*", 65535)),
        ("[::1]:4001", Address("::1", 4001)),
        ("[0:0::0:1]:4001", Address("::1", 4001)),
        ("[fe80::1%eth0]:4001", Address("fe80::1%eth0", 4001)),
        ("LocalHost:0", Address("localhost", 0)),
        ("rfc2217://4002", Address("127.0.0.1", 4002, Protocol.RFC2217)),
        ("RAW://[::]:4002", Address("::", 4002, Protocol.RAW)),
    ],
)
def test_the_spellings_of_an_address(text: str, address: Address) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "has no port in"),
        ("127.0.0.1", "has no port in"),
        ("127.0.0.1:", "has no port in"),
        ("127.0.0.1:65536", "has no port in"),
        ("host:-1", "has no port in"),
        ("127.0.0.256:1", "no usable address"),
        ("[127.0.0.1]:1", "no usable address"),
        (":4001", "4001 for this machine only"),
        ("a b:1", "no usable address"),
        ("::1:4001", "in brackets"),
        ("telnet://127.0.0.1:1", "rfc2217://HOST:PORT"),
        ("raw://rfc2217://1", "has no port in"),
    ],
)
def test_what_is_no_address(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        Address.parse(text)


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("4001", "127.0.0.1:4001", True),
        ("4001", "raw://4001", True),
        ("4001", "4002", False),
        ("*:4001", "127.0.0.1:4001", True),
        ("*:4001", "[::1]:4001", True),
        ("*:4001", "*:4001", True),
        ("0.0.0.0:4001", "127.0.0.1:4001", True),
        ("0.0.0.0:4001", "[::1]:4001", False),
        ("[::]:4001", "[::1]:4001", True),
        ("localhost:4001", "[::1]:4001", True),
        ("localhost:4001", "127.0.0.2:4001", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
    ],
)
def test_which_addresses_exclude_each_other(one: str, other: str, overlap: bool) -> None:
    a, b = Address.parse(one), Address.parse(other)
    assert a.overlaps(b) is overlap
    assert b.overlaps(a) is overlap


def test_a_listener_has_the_protocol_of_its_address_or_of_the_connection() -> None:
    assert Address("::1", 1).resolved(Protocol.RFC2217) == Place("::1", 1, Protocol.RFC2217)
    own = Address("::1", 1, Protocol.RAW).resolved(Protocol.RFC2217)
    assert str(own) == "raw://[::1]:1"
