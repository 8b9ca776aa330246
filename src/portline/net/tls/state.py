"""The folder for what has to outlast a process: our own key, and the servers that are known."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from portline.errors import PortlineError

__all__ = ["make_state_folder", "state_folder"]


def state_folder() -> Path:
    """Return where state belongs for this user.

    ``$STATE_DIRECTORY``, which systemd has made for the service (systemd.exec(5)), its first;
    ``/var/lib/portline`` for root; else ``portline`` in ``$XDG_STATE_HOME``, which is
    ``~/.local/state`` unless it is set (XDG Base Directory Specification).
    """
    if given := os.environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/lib/portline")
    base = os.environ.get("XDG_STATE_HOME", "")
    home = Path(base) if base.startswith("/") else Path("~/.local/state").expanduser()
    return home / "portline"


def make_state_folder(folder: Path | None = None) -> Path:
    """Return the folder, made for this user alone unless it is there.

    Raises PortlineError where it cannot be made, or somebody else could put files there.
    """
    path = state_folder() if folder is None else folder
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PortlineError(
            f"the folder {path} for keys and known servers cannot be made: {reason}; name another "
            "with STATE_DIRECTORY"
        ) from None
    if found.st_uid not in (os.geteuid(), 0) or stat.S_IMODE(found.st_mode) & 0o022:
        raise PortlineError(
            f"the folder {path} for keys and known servers belongs to somebody else, or others may "
            f"write to it; mend that: chown {os.geteuid()} {path}; chmod 700 {path}"
        )
    return path
