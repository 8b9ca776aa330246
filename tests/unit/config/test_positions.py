from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from portline.config.positions import line_of, positions

DOCUMENT = """\
# a comment with [brackets] and "quotes
top = 1 # [not.a.table]

[connections.meter]
port = "/dev/#1"
'single' = '#'
"two words" = \"\"\"
parity = "no key"
\"\"\"
listen = [ "4001", # first
  'rfc2217://4002',
]

[connections]
x.port = 1
y = { port = 2, "stop-bits" = [1, { z = 3 }], empty = {} }
[ connections . "dotted.name" ]
baudrate = 9600
text = '''
[connections.none]'''
[[list]]
a = 1
[[list]]
a = 2
"""


def test_every_key_has_its_line() -> None:
    assert positions(DOCUMENT) == {
        ("top",): 2,
        ("connections",): 4,
        ("connections", "meter"): 4,
        ("connections", "meter", "port"): 5,
        ("connections", "meter", "single"): 6,
        ("connections", "meter", "two words"): 7,
        ("connections", "meter", "listen"): 10,
        ("connections", "meter", "listen", "0"): 10,
        ("connections", "meter", "listen", "1"): 11,
        ("connections", "x"): 15,
        ("connections", "x", "port"): 15,
        ("connections", "y"): 16,
        ("connections", "y", "port"): 16,
        ("connections", "y", "stop-bits"): 16,
        ("connections", "y", "stop-bits", "0"): 16,
        ("connections", "y", "stop-bits", "1"): 16,
        ("connections", "y", "stop-bits", "1", "z"): 16,
        ("connections", "y", "empty"): 16,
        ("connections", "dotted.name"): 17,
        ("connections", "dotted.name", "baudrate"): 18,
        ("connections", "dotted.name", "text"): 19,
        ("list",): 21,
        ("list", "0"): 21,
        ("list", "0", "a"): 22,
        ("list", "1"): 23,
        ("list", "1", "a"): 24,
    }


def test_a_key_that_is_not_there_is_looked_for_in_the_tables_around_it() -> None:
    found = positions(DOCUMENT)
    assert line_of(("connections", "meter", "port"), found) == 5
    assert line_of(("connections", "meter", "parity"), found) == 4
    assert line_of(("connections", "none"), found) == 4
    assert line_of(("nothing",), found) is None
    assert line_of((), found) is None


def test_windows_line_ends_count_once() -> None:
    assert positions("a = 1\r\n\r\n[b]\r\nc = 2\r\n") == {("a",): 1, ("b",): 3, ("b", "c"): 4}


@given(st.text(alphabet="ab.=[]{}\"'#,\n \\1"))
@example('"""')
@example("a = [")
@example("a = {b")
@example("a = {=")
@example('"\\x" = 1')
@example("[a")
@example("a = [}")
@example("a = " + "[" * 1000)
def test_any_text_comes_to_an_end(text: str) -> None:
    assert all(1 <= line <= text.count("\n") + 1 for line in positions(text).values())
