"""Runs pyserial's own tests against a port, and says of each how it ended, one line each.

Usage: pyserial_suite.py TEST_FOLDER URL [MODULE...]; run as a process of its own, because
pyserial's tests set module globals, change signal handlers and start threads.

They wait 50 ms for what they have sent to come back.  PORTLINE_TESTS_STRETCH multiplies such short
waits, for machines on which other things run, and processors that are emulated.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
import unittest
from pathlib import Path


class _Report(unittest.TestResult):
    """Prints ``<outcome> <test>`` as each test ends.

    Some end before what they have sent comes back, which the next one would take for its own: so
    there is a pause, in seconds.
    """

    pause = 0.0

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._trouble = len(self.errors) + len(self.failures)
        self._skips = len(self.skipped)

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        outcome = "passed"
        if len(self.errors) + len(self.failures) > self._trouble:
            outcome = "failed"
        elif len(self.skipped) > self._skips:
            outcome = "skipped"
        print(outcome, test.id(), flush=True)
        if self.pause:
            time.sleep(self.pause)


SHORT = 0.2
"""Seconds: longer waits are for something else than an echo."""


ECHO = 0.05
"""Seconds for an echo, as the tests have it."""


def stretch(times: float) -> None:
    """Make short waits of the tests longer."""
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(seconds * times if seconds < SHORT else seconds)


def main(folder: str, url: str, *names: str) -> None:
    sys.path.insert(0, folder)
    report = _Report()
    times = float(os.environ.get("PORTLINE_TESTS_STRETCH", "1"))
    if times > 1:
        report.pause = ECHO * times
        stretch(times)
    for name in names or sorted(path.stem for path in Path(folder).glob("test*.py")):
        module = importlib.import_module(name)
        module.PORT = url
        unittest.defaultTestLoader.loadTestsFromModule(module).run(report)
    for test, trouble in report.errors + report.failures:
        print(f"--- {test.id()}\n{trouble}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
