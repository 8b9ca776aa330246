from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.control.message import Request, encode_error, encode_result, result_of
from portline.control.operations.process import Changed, Status
from portline.control.operations.subject import Process
from portline.errors import ConfigError, NameUnknown, PortError, PortlineError, UsageError

PROCESS = Process(7, "serve", None, "1", 0.5)

plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


@given(st.text(), st.dictionaries(st.text(), plain_values))
def test_a_request_is_read_as_it_was_written(name: str, parameters: dict[str, object]) -> None:
    request = Request(name, parameters)
    line = request.encode()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert Request.decode(line) == request


@given(st.binary())
def test_whatever_comes_is_a_request_or_refused(line: bytes) -> None:
    with pytest.raises(UsageError):
        Request.decode(line)


@pytest.mark.parametrize("version", ["0", "2", '"1"', "true", "null", "[]"])
def test_other_versions_are_refused(version: str) -> None:
    with pytest.raises(UsageError, match="version 1"):
        Request.decode(b'{"portline": %s, "operation": "status"}' % version.encode())


@pytest.mark.parametrize(
    "words",
    [{"operation": 1}, {}, {"operation": "x", "parameters": []}, {"operation": "x", "more": 1}],
)
def test_what_has_not_the_shape_is_refused(words: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="a request is a line like"):
        Request.decode(json.dumps({"portline": 1} | words).encode())


@given(st.lists(st.dictionaries(st.text(), st.integers(0, 9) | st.text()), max_size=5))
def test_a_long_result_comes_in_pieces(items: list[dict[str, object]]) -> None:
    pieces = list(encode_result(Status(PROCESS, iter(items), None, {})))
    assert len(pieces) == len(items) + 1
    line = b"".join(pieces)
    assert line.count(b"\n") == 1
    assert result_of(line) == {
        "process": {"pid": 7, "command": "serve", "file": None, "version": "1", "up_for": 0.5},
        "connections": items,
        "page": None,
        "control": {},
    }


def test_a_short_result_is_one_piece() -> None:
    (line,) = encode_result(Changed(PROCESS, ["a"]))
    assert result_of(line)["changes"] == ["a"]


def test_errors_are_lines() -> None:
    line = encode_error(UsageError("what\nnow \udcff"))
    with pytest.raises(PortlineError, match=r"^what now \?$"):
        result_of(line)
    with pytest.raises(ConfigError) as caught:
        result_of(encode_error(ConfigError(["one", "two"])))
    assert caught.value.mistakes == ["one", "two"]
    assert caught.value.faults == []


def test_errors_keep_what_programs_want_to_know() -> None:
    faults = [("baudrate", "is\nwrong"), ("", "needs a port")]
    with pytest.raises(ConfigError) as caught:
        result_of(encode_error(ConfigError(["one"], faults)))
    assert caught.value.faults == [("baudrate", "is wrong"), ("", "needs a port")]
    with pytest.raises(UsageError, match="no connection 'x'; there are: a, b"):
        result_of(encode_error(NameUnknown("x", ["a", "b"])))
    with pytest.raises(PortlineError) as failed:
        result_of(encode_error(PortError("/dev/x", "is not open now")))
    assert not isinstance(failed.value, UsageError)


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[]", b'{"portline": 2, "result": {}}', b'{"portline": 1, "result": 1}']
)
def test_what_is_no_answer(line: bytes) -> None:
    with pytest.raises(PortlineError, match="is not one that this Portline understands"):
        result_of(line)
