"""Compile the C programs into bench/build/, when they are older than their source."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from bench.process import BridgeError

__all__ = ["compile_program"]

HERE: Final = Path(__file__).parent
SOURCES: Final = {
    "load": ("load.c", "load_transfer.c", "load_latency.c", "load_wire.c"),
    "load-tls": ("load.c", "load_transfer.c", "load_latency.c", "load_wire.c"),
    "relay": ("relay.c",),
}
EXTRA: Final = {"load-tls": ("-DBENCH_TLS", "-lssl", "-lcrypto")}
"""What the compiler is told beside the sources; these need libssl-dev."""
COMPILE_MAX: Final = 120.0
"""Seconds that the compiler may take."""


def compile_program(name: str) -> Path:
    """Return the path of an up-to-date program, one of `SOURCES`.

    Raises :class:`BridgeError` without a C compiler (`$CC`, else ``cc``) or when it refuses.
    """
    sources = [HERE / source for source in SOURCES[name]]
    program = HERE / "build" / name
    newest = max(path.stat().st_mtime for path in (*sources, HERE / "load.h"))
    if program.exists() and program.stat().st_mtime > newest:
        return program
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise BridgeError("no C compiler: install one, or name it in $CC")
    program.parent.mkdir(exist_ok=True)
    argv = [compiler, "-O2", "-Wall", "-Wextra", *map(str, sources), "-o", str(program)]
    argv += EXTRA.get(name, ())
    done = subprocess.run(argv, capture_output=True, text=True, timeout=COMPILE_MAX, check=False)
    if done.returncode:
        raise BridgeError(f"{compiler} refused {name}: {done.stderr[-500:]}")
    return program
