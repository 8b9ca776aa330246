"""Choosing Debian's kernel and taking it out of its image."""

from __future__ import annotations

import gzip
import lzma
import subprocess

import pytest

from lab.errors import LabError
from lab.kernel import Package, newest, program, vmlinux

ELF = b"\x7fELF" + bytes(range(256)) * 40


def bzimage(payload: bytes, setup: int = 27) -> bytes:
    """Return an image as the kernel's boot protocol lays it out, with this payload."""
    image = bytearray((setup + 1) * 512 + 100)
    image[0x1F1] = setup
    image[0x1FE:0x200] = b"\x55\xaa"
    image[0x202:0x206] = b"HdrS"
    image[0x248:0x24C] = (100).to_bytes(4, "little")
    payload += len(ELF).to_bytes(4, "little")
    image[0x24C:0x250] = len(payload).to_bytes(4, "little")
    return bytes(image) + payload + b"what follows"


def test_the_newest_kernel_for_machines_is_chosen() -> None:
    names = [
        "linux-image-6.1.0-9-amd64",
        "linux-image-6.1.0-56-amd64",
        "linux-image-6.1.0-56-amd64-dbg",
        "linux-image-6.1.0-57-amd64-unsigned",
        "linux-image-6.1.0-58-cloud-amd64",
        "linux-image-6.1.0-58-rt-amd64",
        "linux-image-amd64",
        "linux-image-6.1.0-58-686",
    ]
    assert newest(names) == "linux-image-6.1.0-56-amd64"
    newer = "linux-image-6.12.107+deb13-amd64"
    assert newest([newer, *names]) == newer


def test_without_any_kernel_the_remedy_is_told() -> None:
    with pytest.raises(LabError, match="apt-get update"):
        newest(["linux-image-6.1.0-58-cloud-amd64"])


def test_another_version_of_a_kernel_is_another_build() -> None:
    keys = {
        Package("linux-image-6.1.0-56-amd64", version).key for version in ("6.1.192-2", "1:6.1.192")
    }
    assert keys == {"6.1.0-56-amd64_6.1.192-2", "6.1.0-56-amd64_1.6.1.192"}


@pytest.mark.parametrize("pack", [lzma.compress, gzip.compress])
def test_the_elf_file_is_taken_out_of_the_image(pack: object) -> None:
    assert callable(pack)
    assert vmlinux(bzimage(pack(ELF))) == ELF
    assert vmlinux(bzimage(pack(ELF), setup=3)) == ELF


def test_a_kernel_packed_by_zstd() -> None:
    try:
        zstd = program("zstd")
    except LabError as error:
        pytest.skip(str(error))
    packed = subprocess.run([zstd, "-q"], input=ELF, capture_output=True, check=True).stdout
    assert vmlinux(bzimage(packed)) == ELF


@pytest.mark.parametrize(
    ("image", "fault"),
    [
        (bytes(4096), "no bzImage"),
        (bzimage(b"LZ4 or so"), "unknown way: 4c5a"),
        (bzimage(gzip.compress(b"something else")), "no ELF"),
    ],
)
def test_another_image_is_refused(image: bytes, fault: str) -> None:
    with pytest.raises(LabError, match=fault):
        vmlinux(image)


def test_a_missing_program_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(LabError, match="depmod is missing; install kmod"):
        program("depmod")
