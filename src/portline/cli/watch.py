"""A picture on the terminal that is drawn again and again in the same place."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING

from portline.cli.layout import cut, span
from portline.cli.watching import forget_output
from portline.plural import plural

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Picture", "repeat"]


class Picture:
    """What is on the terminal; elsewhere each picture follows the last, behind an empty line."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._rows = 0
        self._drawn = False

    def draw(self, lines: list[str]) -> None:
        """Draw printable lines in the place of those before; what has no room is counted."""
        if not self._live:
            text = "".join(f"{line}\n" for line in (*[""][: self._drawn], *lines))
        else:
            columns, rows = shutil.get_terminal_size((80, 24))
            room = max(1, rows - 1)
            if len(lines) > room:
                left = plural(len(lines) - room + 1, "line")
                lines = [*lines[: room - 1], f"... {left} without room"]
            lines = [line if span(line) <= columns else cut(line, columns) for line in lines]
            # Up to where the last picture began, each line anew, and what was below it away.
            up = f"\x1b[{self._rows}F" if self._rows else ""
            text = up + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J"
            self._rows = len(lines)
        self._drawn = True
        sys.stdout.write(text)
        sys.stdout.flush()


def repeat(show: Callable[[], None], interval: float) -> int:
    """Call ``show`` every ``interval`` seconds until Ctrl-C, or until nobody reads any more."""
    try:
        due = time.monotonic()
        while True:
            show()
            due = max(due + interval, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        forget_output()
        return 0
