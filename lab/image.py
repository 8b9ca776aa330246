"""What the machine boots from: the unpacked kernel and a small initial file system, both kept."""

from __future__ import annotations

import fcntl
import lzma
import os
import platform
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lab.errors import LabError
from lab.kernel import Kernel, available, program, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BUILD", "Image", "build"]

HERE: Final = Path(__file__).resolve().parent

BUILD: Final = Path(os.environ.get("PORTLINE_LAB_BUILD", HERE / "build"))
"""Where builds are kept; several working trees may share one by the environment."""

FIRST: Final = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console")
"""The modules without which the machine would not see the host's files, nor say anything."""

LOADED: Final = (
    "cuse",
    "vhci_hcd",
    "pl2303",
    "ftdi_sio",
    "cdc_acm",
    "ppp_async",
    "ppp_deflate",
    "bsd_comp",
)
"""What is loaded too: without udev, no device loads its driver.

From here, because from the host's files it would take seconds."""

APPLETS: Final = (
    "sh",
    "cat",
    "chmod",
    "insmod",
    "mkdir",
    "mount",
    "reboot",
    "sleep",
    "switch_root",
    "ip",
)

KEPT: Final = 2
"""Builds kept beside a new one: what still runs must not lose its modules."""


@dataclass(frozen=True, slots=True)
class Image:
    """All that the machine boots from."""

    kernel: Kernel
    initramfs: Path


def build() -> Image:
    """Return the image of the newest kernel, made now unless it is there.

    Without apt's lists the newest image that is there is taken.  Raises LabError.
    """
    require_machine()
    for name in ("qemu-system-x86_64", "busybox", "cpio", "depmod"):
        program(name)
    try:
        package = available()
    except LabError:
        there = sorted(BUILD.glob("*/done"), key=lambda path: path.stat().st_mtime)
        if not there:
            raise
        return _image(there[-1].parent)
    folder = BUILD / package.key
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another lab may be making the same
        if not (folder / "done").exists():
            started = time.monotonic()
            print(f"lab: fetching {package.name} {package.version}", flush=True)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            unpack(package, folder)
            (folder / "done").touch()
            print(f"lab: unpacked in {time.monotonic() - started:.1f} s", flush=True)
            _discard_old(folder)
        image = _image(folder)
        sources = [HERE / "init", Path(__file__)]
        if not _newer(image.initramfs, sources):
            _pack(image)
    return image


def require_machine() -> None:
    """Raise LabError unless this is a Linux on x86-64."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise LabError(
            f"the lab runs on Linux on x86-64, not on {platform.system()} {platform.machine()}"
        )


def _image(folder: Path) -> Image:
    modules = folder / "lib" / "modules"
    [release] = os.listdir(modules)
    return Image(Kernel(release, folder / "vmlinux", modules), folder / "initramfs.img")


def _newer(path: Path, sources: list[Path]) -> bool:
    return path.exists() and all(
        path.stat().st_mtime > source.stat().st_mtime for source in sources
    )


def _discard_old(new: Path) -> None:
    others = [path.parent for path in BUILD.glob("*/done") if path.parent != new]
    others.sort(key=lambda path: path.stat().st_mtime)
    for folder in others[: -KEPT + 1]:
        shutil.rmtree(folder, ignore_errors=True)


def _pack(image: Image) -> None:
    """Make the initial file system."""
    tree = image.initramfs.with_name("initramfs")
    shutil.rmtree(tree, ignore_errors=True)
    for name in ("bin", "dev", "host", "modules", "over", "proc", "newroot", "sys"):
        (tree / name).mkdir(parents=True)
    shutil.copy(_static_busybox(), tree / "bin" / "busybox")
    for applet in APPLETS:
        (tree / "bin" / applet).symlink_to("busybox")
    shutil.copy(HERE / "init", tree / "init")
    (tree / "init").chmod(0o755)
    names = list(_with_needs(image.kernel, FIRST + LOADED))
    for number, path in enumerate(names):
        content = path.read_bytes()
        if path.suffix == ".xz":
            content = lzma.decompress(content)
        (tree / "modules" / f"{number:02}.ko").write_bytes(content)
    files = "\n".join(sorted(str(path.relative_to(tree)) for path in tree.rglob("*")))
    done = subprocess.run(
        [program("cpio"), "--create", "--format=newc", "--quiet", "--owner=0:0"],
        input=files.encode(),
        cwd=tree,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise LabError(f"cpio failed: {done.stderr.decode().strip()}")
    new = image.initramfs.with_suffix(".new")
    new.write_bytes(done.stdout)
    new.rename(image.initramfs)
    shutil.rmtree(tree)


def _static_busybox() -> str:
    path = program("busybox")
    with Path(path).open("rb") as file:
        if b"/ld-linux" in file.read(4096):
            raise LabError(f"{path} is not static; install busybox-static")
    return path


def _with_needs(kernel: Kernel, names: tuple[str, ...]) -> Iterator[Path]:
    """Give the files of modules in an order in which they can be loaded, each once."""
    root = kernel.modules / kernel.release
    needs: dict[str, tuple[str, list[str]]] = {}
    for line in (root / "modules.dep").read_text("ascii").splitlines():
        file, _, rest = line.partition(":")
        needs[_module(file)] = (file, rest.split())
    built_in = {_module(line) for line in (root / "modules.builtin").read_text().splitlines()}
    given: set[str] = set()
    for name in names:
        if name in needs:
            own, others = needs[name]
            for each in (*reversed(others), own):
                if each not in given:
                    given.add(each)
                    yield root / each
        elif name not in built_in:
            raise LabError(f"the kernel {kernel.release} has no module {name}")


def _module(file: str) -> str:
    return Path(file).name.partition(".")[0].replace("-", "_")
