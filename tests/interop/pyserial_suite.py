"""Runs pyserial's own tests against a port, and says of each how it ended, one line each.

Usage: pyserial_suite.py TEST_FOLDER URL [MODULE...] [-TEST...]; run as a process of its own,
because pyserial's tests set module globals, change signal handlers and start threads.

They wait 50 ms for what they have sent to come back, which says something about the machine, too.
So a test that fails is run again with longer waits; what fails with the longest has failed.  A
TEST that cannot pass is run once.
"""

from __future__ import annotations

import importlib
import sys
import time
import unittest
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

STRETCHES = (2, 6, 20)
"""What the waits of the tests are multiplied by, one after the other until the test passes."""

SHORT = 0.2
"""Seconds: longer waits are for something else than an echo."""

ECHO = 0.05
"""Seconds for an echo, as the tests have it."""

_sleep = time.sleep


def stretch(times: int) -> None:
    """Make short waits of the tests longer."""
    time.sleep = lambda seconds: _sleep(seconds * times if seconds < SHORT else seconds)


def each(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """The single tests of it."""
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from each(part)
        else:
            yield part


def outcome(test: unittest.TestCase, stretches: tuple[int, ...]) -> str:
    """Run it, and return "passed", "failed" or "skipped"; print why it failed at last."""
    for times in stretches:
        stretch(times)
        result = unittest.TestResult()
        test.run(result)
        # Some end before what they have sent comes back, which the next would take for its own.
        _sleep(ECHO * times)
        if result.wasSuccessful():
            return "skipped" if result.skipped else "passed"
    for _, trouble in result.errors + result.failures:
        print(f"--- {test.id()}\n{trouble}", file=sys.stderr)
    return "failed"


def main(folder: str, url: str, *words: str) -> None:
    sys.path.insert(0, folder)
    impossible = {word[1:] for word in words if word.startswith("-")}
    names = [word for word in words if not word.startswith("-")]
    for name in names or sorted(path.stem for path in Path(folder).glob("test*.py")):
        module = importlib.import_module(name)
        module.PORT = url
        for test in each(unittest.defaultTestLoader.loadTestsFromModule(module)):
            stretches = STRETCHES[:1] if test.id() in impossible else STRETCHES
            print(outcome(test, stretches), test.id(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
