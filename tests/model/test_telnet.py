"""The fast reader next to one that looks at each byte."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from portline.wire.telnet import (
    BRK,
    SUBOPTION_LIMIT,
    Command,
    OptionWord,
    Suboption,
    TelnetReader,
    Token,
    escape,
    suboption,
)
from tests.model.streams import cut, streams


def read_slowly(stream: bytes) -> tuple[list[Token], int]:
    """Return the tokens of a complete stream, and how many things were malformed."""
    tokens: list[Token] = []
    malformed = 0
    body: bytearray | None = None

    def put(byte: int) -> None:
        if body is not None:
            body.append(byte)
        elif tokens and isinstance(tokens[-1], bytes):
            tokens[-1] += bytes((byte,))
        else:
            tokens.append(bytes((byte,)))

    rest = iter(stream)
    for byte in rest:
        if byte != 255:
            put(byte)
            continue
        code = next(rest, None)
        if code is None:
            break
        if code == 255:
            put(255)
            continue
        option = None
        if code >= 251:
            option = next(rest, None)
            if option is None:
                break
        if body is not None:
            if code == 240 and 0 < len(body) <= SUBOPTION_LIMIT:
                tokens.append(Suboption(bytes(body)))
            else:
                malformed += 1
            body = None
        if option is not None:
            tokens.append(OptionWord(code, option))
        elif code == 250:
            body = bytearray()
        elif code < 236:
            malformed += 1
        elif code != 240:
            tokens.append(Command(code))
    return tokens, malformed


def put_together(tokens: list[Token]) -> list[Token]:
    result: list[Token] = []
    for token in tokens:
        if isinstance(token, bytes) and result and isinstance(result[-1], bytes):
            result[-1] += token
        else:
            result.append(token)
    return result


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_chunking_says_what_the_slow_reader_says(data: st.DataObject) -> None:
    stream = data.draw(streams)
    reader = TelnetReader()
    tokens = [token for chunk in data.draw(cut(stream)) for token in reader.feed(chunk)]
    assert b"" not in tokens
    expected, malformed = read_slowly(stream)
    assert put_together(tokens) == put_together(expected)
    assert reader.malformed == malformed


@given(st.lists(st.binary(max_size=400) | st.integers(0, 600).map(lambda n: b"\xff" * n)))
def test_data_between_commands_survives(parts: list[bytes]) -> None:
    tokens = TelnetReader().feed(bytes((255, BRK)).join(escape(part) for part in parts))
    said = [b""]
    for token in tokens:
        if isinstance(token, bytes):
            said[-1] += token
        else:
            assert token == Command(BRK)
            said.append(b"")
    assert said == (parts or [b""])


@given(st.binary(min_size=1, max_size=300))
def test_suboptions_survive(body: bytes) -> None:
    assert TelnetReader().feed(suboption(body)) == [Suboption(body)]


@given(st.integers(0, 255), st.integers(0, 40_000), st.integers(0, 40_000), st.binary(max_size=3))
@settings(deadline=None)
def test_long_stretches(byte: int, before: int, after: int, middle: bytes) -> None:
    """Windows of every size are tried: neither a byte more nor one less."""
    data = bytes((byte,)) * before + middle + b"\xff" * after
    stream = escape(data) + b"\xff\xf3" + escape(data)
    tokens = TelnetReader().feed(stream)
    assert put_together(list(tokens)) == [
        *filter(None, [data]),
        Command(BRK),
        *filter(None, [data]),
    ]
