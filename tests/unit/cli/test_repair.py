"""``portline repair``."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from portline.cli import repair as module
from portline.cli.app import main
from portline.errors import PortDenied
from portline.port.names.repair import Repairs


def run(monkeypatch: pytest.MonkeyPatch, overlaps: Repairs, links: Repairs) -> Result:
    monkeypatch.setattr(module, "repair_overlaps", lambda: overlaps)
    monkeypatch.setattr(module, "link_folders", lambda: [Path("/run/portline")])
    monkeypatch.setattr(module, "repair_links", lambda folders: links)
    return CliRunner().invoke(main, ["repair"])


def test_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, Repairs(), Repairs())
    assert (result.exit_code, result.output) == (0, "Nothing to repair.\n")


def test_what_was_done_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, Repairs(("/dev/ttyS1",)), Repairs(("/run/portline/plc",)))
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "/dev/ttyS1: is the device again; a virtual port that is gone lay over it",
        "/run/portline/plc: removed; it led to a virtual port that is gone",
    ]


def test_what_could_not_be_done_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Repairs((), (PortDenied("/dev/ttyS1", "run `sudo portline repair`"),))
    result = run(monkeypatch, failed, Repairs(("/run/portline/plc",)))
    assert result.exit_code == 1
    assert result.stdout.startswith("/run/portline/plc: removed")
    assert result.stderr == "portline: error: /dev/ttyS1: run `sudo portline repair`\n"
