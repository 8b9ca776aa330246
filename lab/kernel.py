"""The kernel of the lab: Debian's newest one, fetched and unpacked without installing it."""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["Kernel", "Package", "newest", "program", "unpack", "vmlinux"]

PACKAGE: Final = re.compile(r"linux-image-(?P<release>\d\S*-amd64)")
"""The kernels for machines; those of the next line lack USB and 9p, or are for other uses."""

CHOICE: Final = "PORTLINE_LAB_KERNEL"
"""The environment's name for another kernel package than the distribution's own."""

OTHERS: Final = ("-cloud-", "-rt-")

LEFT_OUT: Final = (
    "kernel/drivers/gpu",
    "kernel/drivers/infiniband",
    "kernel/drivers/media",
    "kernel/drivers/net/ethernet",
    "kernel/drivers/net/wireless",
    "kernel/drivers/scsi",
    "kernel/sound",
)
"""Modules that no serial port needs: two thirds of the 400 MB."""

COMMAND_MAX: Final = 300.0
"""Seconds for one command of the build: the download of 70 MB is the longest."""

PROGRAMS: Final = {
    "apt-cache": "apt (the lab's kernel is Debian's)",
    "apt-get": "apt (the lab's kernel is Debian's)",
    "busybox": "busybox-static",
    "cpio": "cpio",
    "depmod": "kmod",
    "dpkg-deb": "dpkg",
    "qemu-system-x86_64": "qemu-system-x86",
    "zstd": "zstd",
}
"""The programs of the lab and the Debian packages that bring them."""


@dataclass(frozen=True, slots=True)
class Package:
    """A kernel as a package: its name and the version that apt would fetch."""

    name: str
    version: str

    @property
    def key(self) -> str:
        """The name of its build folder."""
        return f"{self.name.removeprefix('linux-image-')}_{self.version.replace(':', '.')}"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel unpacked: what boots, and the folder that belongs at /lib/modules."""

    release: str
    image: Path
    modules: Path


def program(name: str) -> str:
    """Return the path of a program.  Raises LabError with the package that brings it."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")
    if path is None:
        raise LabError(f"{name} is missing; install {PROGRAMS[name]}")
    return path


def command(argv: Sequence[str | Path], *, folder: Path | None = None) -> str:
    """Run a command of the build; return what it prints.  Raises LabError with its last words."""
    try:
        done = subprocess.run(
            [program(str(argv[0])), *argv[1:]],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=COMMAND_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{argv[0]} took longer than {COMMAND_MAX:g} s") from error
    if done.returncode:
        words = " | ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise LabError(f"{argv[0]} {argv[1]} failed: {words}")
    return done.stdout


def newest(names: Iterable[str]) -> str:
    """Return the newest kernel for real machines among package names.

    Raises LabError when there is none.
    """
    found = [
        name for name in names if PACKAGE.fullmatch(name) and not any(o in name for o in OTHERS)
    ]
    if not found:
        raise LabError(
            "apt knows no linux-image-*-amd64; run `apt-get update`, on a Debian for x86-64"
        )
    return max(found, key=_numbers)


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", name.removesuffix("-amd64"))))


def available() -> Package:
    """Ask apt for the kernel that this Debian installs, else for the newest.  Raises LabError."""
    name = os.environ.get(CHOICE) or newest(_own() or _known())
    shown = command(["apt-cache", "show", "--no-all-versions", name])
    version = re.search(r"^Version: (\S+)", shown, re.MULTILINE)
    if version is None:
        raise LabError(f"apt tells no version of {name}")
    return Package(name, version[1])


def _own() -> list[str]:
    lines = command(["apt-cache", "depends", "--important", "linux-image-amd64"]).splitlines()
    return [line.split()[-1] for line in lines if PACKAGE.fullmatch(line.split()[-1])]


def _known() -> list[str]:
    lines = command(["apt-cache", "search", "--names-only", "^linux-image-.*-amd64$"])
    return [line.split(maxsplit=1)[0] for line in lines.splitlines()]


def unpack(package: Package, folder: Path) -> Kernel:
    """Fetch a kernel and unpack it into an empty folder.  Raises LabError."""
    as_root = ["-o", "APT::Sandbox::User=root"]  # else apt warns of a folder it cannot enter
    command(["apt-get", "download", "-qq", *as_root, package.name], folder=folder)
    [archive] = folder.glob("*.deb")
    tree = folder / "tree"
    command(["dpkg-deb", "--extract", archive, tree])
    archive.unlink()
    [image] = tree.glob("boot/vmlinuz-*")
    release = image.name.removeprefix("vmlinuz-")
    [found] = [*tree.glob(f"lib/modules/{release}"), *tree.glob(f"usr/lib/modules/{release}")][:1]
    for part in LEFT_OUT:
        shutil.rmtree(found / part, ignore_errors=True)
    modules = folder / "lib" / "modules"
    modules.mkdir(parents=True)
    (folder / "usr").mkdir()
    (folder / "usr" / "lib").symlink_to("../lib")  # newer depmods look only there
    found.rename(modules / release)
    command(["depmod", "--basedir", folder, release])
    kernel = Kernel(release, folder / "vmlinux", modules)
    kernel.image.write_bytes(vmlinux(image.read_bytes()))
    shutil.rmtree(tree)
    return kernel


def vmlinux(image: bytes) -> bytes:
    """Return the ELF file in a bzImage, which QEMU boots without the guest unpacking it.

    The places are those of the kernel's Documentation/x86/boot.rst.  Raises LabError when the
    payload is packed in a way that Debian does not use.
    """
    if image[0x202:0x206] != b"HdrS":
        raise LabError("the kernel's image is no bzImage")
    setup = (image[0x1F1] or 4) + 1
    start = setup * 512 + int.from_bytes(image[0x248:0x24C], "little")
    payload = image[start : start + int.from_bytes(image[0x24C:0x250], "little")]
    if payload.startswith(b"\xfd7zXZ\x00"):
        elf = lzma.LZMADecompressor(format=lzma.FORMAT_XZ).decompress(payload)
    elif payload.startswith(b"\x1f\x8b"):
        elf = zlib.decompressobj(31).decompress(payload)
    elif payload.startswith(b"\x28\xb5\x2f\xfd"):
        # The last four bytes are the kernel's own note of the size.
        done = subprocess.run(
            [program("zstd"), "-dcq"], input=payload[:-4], capture_output=True, check=False
        )
        elf = done.stdout
    else:
        raise LabError(f"the kernel is packed in an unknown way: {payload[:6].hex()}")
    if not elf.startswith(b"\x7fELF"):
        raise LabError("the kernel's image holds no ELF file")
    return elf
