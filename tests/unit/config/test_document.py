from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.config.document import DOCUMENT_LIMIT, check, load, load_again, parse
from portline.errors import ConfigError

GOOD = """\
[connections.meter]
port = "/dev/ttyUSB0"
"""


def told(text: str) -> list[str]:
    return [str(mistake) for mistake in check(text, "portline.toml")]


def test_a_good_document_is_read(tmp_path: Path) -> None:
    path = tmp_path / "portline.toml"
    path.write_text(GOOD, encoding="utf-8-sig")
    assert load(path).connections["meter"].port == "/dev/ttyUSB0"
    assert check(GOOD) == []


def test_mistakes_come_in_the_order_of_the_lines_with_what_was_meant() -> None:
    text = """\
[connections.meter]
port = "/dev/ttyUSB0"
parity = "evn"

baudrat = 9600
listen_when_open = true
max-connections = 1
max_connections = 2
[connections."a b"]
virtual = "v"
stop-bits = 1
"""
    assert told(text) == [
        'portline.toml:3: connections.meter.parity: "evn" must be one of none, odd, even, mark, '
        "space; did you mean even?",
        'portline.toml:5: connections.meter.baudrat: unknown option; did you mean "baudrate"?',
        "portline.toml:6: connections.meter.listen_when_open: does not apply to a real port, "
        "because no application opens it, Portline does; leave it out, or share a virtual port "
        "(option virtual)",
        "portline.toml:8: connections.meter.max_connections: written twice, as "
        '"max-connections" and as "max_connections"; keep one',
        'portline.toml:9: connections."a b".listen: 127.0.0.1:4001 (the default) is already '
        "listened on by connections.meter; choose another TCP port",
        'portline.toml:11: connections."a b".stop-bits: does not apply to a virtual port, because '
        "the application that opens it decides the line settings; leave it out, or share a real "
        "port (option port)",
    ]


def test_a_document_without_connections_says_what_to_write() -> None:
    assert told("") == [
        "portline.toml: connections: no connections; write one, like: [connections.meter] with "
        'port = "/dev/ttyUSB0"'
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a =", "portline.toml:1: not TOML"),
        ("\n\n[connections\n", "portline.toml:3: not TOML, column 13: "),
        ("x = 1\nx = 2\n", "portline.toml:2: not TOML"),
        ("x = [\n\n", "portline.toml:2: not TOML, at the end: "),
        ("x = " + "9" * 5000, "portline.toml: not TOML: "),
    ],
)
def test_what_is_not_toml_has_its_place_too(text: str, place: str) -> None:
    (line,) = told(text)
    assert line.startswith(place)
    assert line.isprintable()


def test_a_name_with_odd_characters_stays_on_one_line() -> None:
    (line,) = told('[connections."a\\nb"]\nport = "/dev/x"\n')
    assert line.startswith('portline.toml:1: connections."a?b": "a?b" is no usable name')


def test_a_refused_document_raises_with_all_mistakes() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(GOOD + "x = 1\ny = 2\n", "p.toml")
    assert caught.value.mistakes == [
        "p.toml:3: connections.meter.x: unknown option; take it out",
        "p.toml:4: connections.meter.y: unknown option; take it out",
    ]


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path)
    (line,) = caught.value.mistakes
    return line.removeprefix(str(path))


def test_a_file_that_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "portline.toml"
    assert refusal(path) == ": there is no such file"
    assert refusal(tmp_path) == ": cannot be read: Is a directory"
    path.write_bytes(b"# \xc3\xa4\n# \xff\n")
    assert refusal(path) == ":2: is not UTF-8 text"
    path.write_bytes(b"#" * (DOCUMENT_LIMIT + 1))
    assert refusal(path).startswith(": is larger than 4194304 bytes")
    assert "cannot be read: embedded null byte" in refusal(Path("a\0b"))


def test_what_has_become_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "portline.toml"
    path.write_text(GOOD)
    assert load_again(path) == load(path)
    path.unlink()
    with pytest.raises(ConfigError, match="there is no such file"):
        load_again(path)
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="is not a file any more"):
        load_again(path)


# --- k planted mistakes are k told mistakes -------------------------------------------------------

PLANTED = {
    "baudrat": "9600",
    "baudrate": "49",
    "data-bits": '"eight"',
    "parity": '"evn"',
    "stop_bits": "3",
    "flow-control": "true",
    "keepalive": '"ten"',
    "max-connections": "0",
    "listen-when-open": "true",
    "notify": "true",
    "exclusive": '"no"',
    "buffer-size": '"1GiB"',
    "kind": '"router"',
    "colour": '"red"',
}


@given(
    st.dictionaries(
        st.sampled_from(["a", "b b", '"', "d.e"]),
        st.lists(st.sampled_from(sorted(PLANTED)), unique=True),
        min_size=1,
    ),
    st.booleans(),
)
def test_every_planted_mistake_is_told_at_its_line(
    planted: dict[str, list[str]], inline: bool
) -> None:
    lines = ["# planted"]
    expected: set[tuple[int, str]] = set()
    for number, (name, keys) in enumerate(planted.items()):
        quoted = '"' + name.replace('"', '\\"') + '"'
        port = f'port = "/dev/tty{number}"'
        listen = f"listen = {4001 + number}"
        wrong = [f"{key} = {PLANTED[key]}" for key in keys]
        if inline:
            lines.append(f"connections.{quoted} = {{ {', '.join([port, listen, *wrong])} }}")
            expected |= {(len(lines), key) for key in keys}
        else:
            lines += [f"[connections.{quoted}]", port, listen]
            for key, line in zip(keys, wrong, strict=True):
                lines.append(line)
                expected.add((len(lines), key))
    found = check("\n".join(lines))
    assert {(m.line, m.path.rpartition(".")[2]) for m in found} == expected
    assert len(found) == len(expected)
