from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import portline
from portline.cli.overview import DRIVER_COUNTERS, NUMBERS
from portline.plural import plural

SOURCE = Path(portline.__file__).parent

NOUNS = (
    *("bytes", "changes", "connections", "datagrams", "events", "files", "handshakes", "logins"),
    *("pieces", "records", "requests", "times", "lines"),
)

ALWAYS_MANY = (
    *("len(values) times; give it once", "count requests are more than "),
    "length bytes is not in 0..",
)
"""Where 1 would be no fault."""


def test_one_is_no_plural() -> None:
    assert [plural(count, "byte") for count in range(3)] == ["0 bytes", "1 byte", "2 bytes"]
    assert (plural(1, "entry", "entries"), plural(3, "entry", "entries")) == (
        "1 entry",
        "3 entries",
    )


def unbent(path: Path) -> Iterator[str]:
    """Yield the texts in which a number that may be 1 stands before nouns that do not bend."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, text in zip(node.values, node.values[1:], strict=False):
            if not isinstance(value, ast.FormattedValue) or not isinstance(text, ast.Constant):
                continue
            # Constants and limits are never 1; a place like connections.NAME is no number.
            name = ast.unparse(value.value)
            said = str(text.value)
            if re.match(rf" (\w+ )??({'|'.join(NOUNS)})(?![.\w])", said) and not (
                name.isupper() or "limit" in name
            ):
                yield f"{path.relative_to(SOURCE)}:{node.lineno}: {name}{said}"


def test_no_number_of_the_log_stands_before_a_noun_that_does_not_bend() -> None:
    noun = re.compile(rf"%d (\w+ )??({'|'.join(NOUNS)})\b")
    found = [
        f"{path.relative_to(SOURCE)}: {line.strip()}"
        for path in SOURCE.rglob("*.py")
        for line in path.read_text().splitlines()
        if noun.search(line) and "open files" not in line  # there are dozens
    ]
    assert found == []


def test_no_number_stands_before_a_noun_that_does_not_bend() -> None:
    found = [text for path in SOURCE.rglob("*.py") for text in unbent(path)]
    assert [text for text in found if not text.endswith(ALWAYS_MANY)] == []


def test_counters_have_the_same_words_on_the_page_and_in_the_status() -> None:
    script = (SOURCE / "web/static/script/counters.js").read_text()
    words = dict(re.findall(r'^  (\w+): "(.*)",$', script, re.MULTILINE))
    overrun = words.pop("overrun")  # there are two of that name: datagrams, and of the UART
    assert overrun == DRIVER_COUNTERS["overrun"]
    assert f'overrun: "{NUMBERS["overrun"]}"' in script
    rest = {**NUMBERS, **DRIVER_COUNTERS}
    del rest["overrun"]
    assert words == rest
