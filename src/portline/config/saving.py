"""Configuration files written back, whole or not at all.

The new text goes into a file beside the old one, is forced to the disk, and takes the old one's
place in one step (rename(2)), so that whoever reads meanwhile, or a machine that loses its power,
has one of the two.  What a symbolic link leads to is replaced, not the link.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portline.config.document import (
    check,
    content,
    demand_toml,
    examined,
    keys_of_connection,
    load_again,
)
from portline.config.options import key_of
from portline.config.secrets import file_faults
from portline.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from portline.config.document import Mistake
    from portline.config.models import GatewayConfig
    from portline.config.rules import Fault

    Edit = Callable[[str], str]

__all__ = ["ConfigFile", "change", "rewrite"]

_NEW_MODE = 0o600
"""Of a file that was not there: what it says, passwords may be in some day."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The file that a running Portline has read; it may be read again, and changed.  Blocks.

    ``web`` and ``needed`` are those of :func:`portline.config.document.load`.
    """

    path: Path
    web: Mapping[str, object] | None = None
    needed: bool = True

    def load(self) -> GatewayConfig:
        """Return what it says now; raises what :func:`portline.config.document.load_again` does."""
        return load_again(self.path, self.web, needed=self.needed)

    def demand(self) -> None:
        """Raise ConfigError where there is no such file (any more)."""
        if not self.path.exists():
            raise ConfigError(
                [
                    f"{self.path}: there is no such file any more, and its connections would end; "
                    "put it back, or write an empty one if that is meant"
                ]
            )

    def change(self, edit: Edit, judge: Callable[[GatewayConfig], object]) -> GatewayConfig:
        """Make a change; see :func:`change`."""
        return change(self.path, edit, judge, web=self.web)


def change(
    path: Path,
    edit: Edit,
    judge: Callable[[GatewayConfig], object] = lambda config: None,
    *,
    web: Mapping[str, object] | None = None,
) -> GatewayConfig:
    """Make a change to a configuration file, and return what it says then.

    ``web`` is what the command line says of the page, as :func:`portline.config.document.load` has
    it.  Blocks.  Raises what :func:`rewrite` raises, and, with the file as it was, ConfigError with
    every mistake that there would be in it (with the line of those that are there already), and
    whatever ``judge`` raises of it.
    """

    made: list[GatewayConfig] = []

    def checked(text: str) -> str:
        demand_toml(text, str(path))
        after = edit(text)
        # Once: with hundreds of connections each time takes tenths of a second.
        config, mistakes = examined(after, str(path), web)
        if config is None:
            raise _told(mistakes, check(text, str(path), web))
        if faults := file_faults(config):
            raise _unplaced(map(_described, faults))
        judge(config)
        made.append(config)
        return after

    rewrite(path, checked)
    return made[-1]


def _told(mistakes: Iterable[Mistake], before: Iterable[Mistake]) -> ConfigError:
    """Return the error of mistakes, with the lines of those that were in the file ``before``.

    Lines of the others would be those of a text that nobody ever sees.
    """
    old = {(each.path, each.text): str(each) for each in before}
    pairs = [(each.path, each.text) for each in mistakes]
    return ConfigError([old.get((path, text), _line(path, text)) for path, text in pairs], pairs)


def _line(path: str, text: str) -> str:
    return f"{path}: {text}" if path else text


def _unplaced(faults: Iterable[tuple[str, str]]) -> ConfigError:
    """Return the error of mistakes that have no line."""
    found = list(faults)
    return ConfigError([_line(path, text) for path, text in found], found)


def _described(fault: Fault) -> tuple[str, str]:
    table, *names, field = fault.location
    where = keys_of_connection(names[0]) if names else table
    return f"{where}.{key_of(field)}", fault.text


def rewrite(path: Path, edit: Edit) -> str:
    """Replace the text of a file by what ``edit`` makes of it, and return that.

    A file that is not there has the text "".  Its mode and, where this user may set it, its owner
    stay.  Blocks.  Raises ConfigError, with the file as it was, when it cannot be read or written
    or somebody has changed it meanwhile, and whatever ``edit`` raises.
    """
    try:
        target = _resolved(path)
        before = content(target) if target.exists() else None
        after = edit(before or "")
        if after != before:
            _replace(target, before, after)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError([f"{path}: cannot be written: {reason}; nothing was changed"]) from None
    return after


def _resolved(path: Path) -> Path:
    """Return what a path leads to.  Raises OSError for links that lead in a circle."""
    try:
        return path.resolve(strict=False)
    except RuntimeError:  # so says Python before 3.13
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None


def _replace(target: Path, before: str | None, after: str) -> None:
    fd, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            _take_over(target, file.fileno())
            file.write(after.encode())
            file.flush()
            os.fsync(file.fileno())
        # Between here and the rename nobody is kept out; an editor needs longer than that.
        _demand(target, before)
        os.replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _demand(target: Path, text: str | None) -> None:
    """Raise ConfigError unless this is what a file says; None if there is none."""
    if (content(target) if target.exists() else None) != text:
        raise ConfigError([f"{target}: somebody has changed it meanwhile; try again"])


def _take_over(target: Path, fd: int) -> None:
    """Give the new file the mode and the owner of the old one."""
    try:
        found = target.stat()
    except FileNotFoundError:
        os.fchmod(fd, _NEW_MODE)
        return
    with suppress(PermissionError):
        os.fchown(fd, found.st_uid, found.st_gid)
    os.fchmod(fd, stat.S_IMODE(found.st_mode))
