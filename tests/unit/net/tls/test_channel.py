from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portline.net.tls.channel import RECORD, Channel
from portline.net.tls.mistrust import Failure
from tests.unit.net.tls_ends import Place, exchange, joined, old_context, place

if TYPE_CHECKING:
    from portline.net.tls.mistrust import TlsFault

__all__ = ["place"]


def failed(channel: Channel, failure: Failure) -> TlsFault:
    assert channel.fault is not None
    assert channel.fault.failure is failure, channel.fault
    return channel.fault


@pytest.mark.parametrize("cut", [1, 7, 500, 1 << 20])
def test_a_handshake_does_not_depend_on_how_it_is_divided(place: Place, cut: int) -> None:
    server, client = place.channels()
    joined(server, client, cut)
    assert server.established
    assert client.established
    assert client.version == "TLSv1.3"
    assert client.cipher == server.cipher
    assert client.subject == "server"
    assert server.certificate == b""


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 3 * RECORD), min_size=1, max_size=5),
    cuts=st.lists(st.integers(1, 20000), min_size=1, max_size=10),
)
def test_bytes_arrive_whole_however_they_are_divided(
    place: Place, sizes: list[int], cuts: list[int]
) -> None:
    server, client = place.channels()
    joined(server, client)
    said = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
    cipher = b"".join(server.encrypt(data) for data in said) + server.close()
    heard = b""
    at = number = 0
    while at < len(cipher):
        size = cuts[number % len(cuts)]
        heard += client.feed(cipher[at : at + size])
        at, number = at + size, number + 1
    assert heard == b"".join(said)
    assert client.ended
    assert client.fault is None


def test_who_has_ended_still_hears(place: Place) -> None:
    server, client = place.channels()
    joined(server, client)
    assert server.feed(client.encrypt(b"the last") + client.close()) == b"the last"
    assert server.ended
    assert client.feed(server.encrypt(b"an answer") + server.close()) == b"an answer"
    assert client.ended
    server.feed_end()
    assert server.fault is None  # it was said before


def test_an_end_without_the_word_for_it_is_a_fault(place: Place) -> None:
    server, client = place.channels()
    joined(server, client)
    whole = client.encrypt(b"half of this is cut off")
    assert server.feed(whole[:-9]) == b""
    server.feed_end()
    assert "close_notify" in failed(server, Failure.TRUNCATED).text


def test_what_came_before_a_broken_record_is_heard(place: Place) -> None:
    server, client = place.channels()
    joined(server, client)
    good, bad = client.encrypt(b"good"), bytearray(client.encrypt(b"bad"))
    bad[-1] ^= 1
    assert server.feed(good + bytes(bad)) == b"good"
    failed(server, Failure.BROKEN)
    assert server.feed(client.encrypt(b"more")) == b""


@pytest.mark.parametrize(
    "words", [b"G", b"*IDN?\n", b"\x16\x02", b"\x80\x2e\x01", b"\xff\xfd\x2c", bytes(5)]
)
def test_plain_text_is_known_by_its_first_bytes(place: Place, words: bytes) -> None:
    server, client = place.channels()
    server.feed(words)
    assert "--tls" in failed(server, Failure.PLAIN).text
    client.begin()
    client.feed(words)
    assert "plain text" in failed(client, Failure.PLAIN).text
    assert server.outgoing() == b""


@pytest.mark.parametrize("first", [b"\x16", b"\x16\x03", b"\x16\x03\x01\x00"])
def test_the_beginning_of_a_record_is_waited_for(place: Place, first: bytes) -> None:
    server, _ = place.channels()
    for byte in first:
        server.feed(bytes((byte,)))
    assert server.fault is None
    server.feed_end()
    failed(server, Failure.LEFT)


def test_garbage_in_a_record_is_a_fault(place: Place) -> None:
    server, _ = place.channels()
    server.feed(b"\x16\x03\x01\x00\x10" + bytes(range(16)))
    failed(server, Failure.BROKEN)


def test_an_old_version_is_refused_unless_it_is_allowed(place: Place) -> None:
    server, _ = place.channels()
    client = Channel(old_context(), server=False, host="localhost")
    joined(server, client)
    assert "tls-minimum" in failed(server, Failure.VERSION).text
    assert not client.established
    server, _ = place.channels(place.server(minimum="1.2"))
    client = Channel(old_context(), server=False, host="localhost")
    joined(server, client)
    assert server.version == client.version == "TLSv1.2"
    assert "ECDHE" in server.cipher


def test_a_server_cannot_talk_a_client_down(place: Place) -> None:
    """An attacker who takes 1.3 out of the first words is noticed by the keys that follow."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place.issued.certificate, place.issued.key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    _, client = place.channels()
    server = Channel(context, server=True)
    joined(server, client)
    failed(client, Failure.VERSION)
    assert not client.established


def test_the_first_words_cannot_be_changed_on_the_way(place: Place) -> None:
    server, client = place.channels(place.server(minimum="1.2"), place.client(minimum="1.2"))
    client.begin()
    hello = bytearray(client.outgoing())
    # supported_versions (43) becomes an extension that nobody knows, so 1.2 is agreed on.
    at = hello.index(b"\x00\x2b\x00\x05\x04\x03\x04\x03\x03")
    hello[at : at + 2] = b"\xaa\xaa"
    server.feed(bytes(hello))
    client.feed(server.outgoing())
    assert client.fault is not None
    assert not client.established


def test_a_peer_that_asks_to_renegotiate_is_refused(place: Place) -> None:
    server, _ = place.channels(place.server(minimum="1.2"))
    assert server._tls.context.options & ssl.OP_NO_RENEGOTIATION


def test_nothing_is_said_after_the_end(place: Place) -> None:
    server, client = place.channels()
    joined(server, client)
    client.close()
    assert client.encrypt(b"too late") == b""
    assert client.fault is not None
    exchange(client, server)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=6), st.booleans(), st.booleans())
def test_whatever_comes_is_an_answer_and_no_exception(
    place: Place, words: list[bytes], like_tls: bool, at_server: bool
) -> None:
    channel = place.channels()[0 if at_server else 1]
    channel.begin()
    channel.outgoing()
    if like_tls:
        words = [b"\x16\x03\x03" + len(data).to_bytes(2) + data for data in words]
    for data in words:
        assert channel.feed(data) == b""
    channel.feed_end()
    assert channel.fault is not None
    assert not channel.established
    channel.close()
