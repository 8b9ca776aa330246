"""What is put right before anything is opened."""

from __future__ import annotations

import pytest

from portline.config.models import GatewayConfig
from portline.errors import PortDenied
from portline.port.names.repair import Repairs
from portline.service.process import recovery


def recovered(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    repairs: Repairs,
    *,
    overlap: bool = False,
    private: bool = False,
) -> list[str]:
    connection = {"virtual": "/dev/ttyS1", "overlap": True} if overlap else {"virtual": "v"}
    config = GatewayConfig.model_validate({"connections": {"a": connection}})
    monkeypatch.setattr(recovery, "repair_overlaps", lambda: repairs)
    monkeypatch.setattr(recovery, "is_private", lambda: private)
    recovery.recover(config)
    return [f"{record.levelname} {record.getMessage()}" for record in caplog.records]


def test_nothing_is_said_when_all_is_well(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert recovered(monkeypatch, caplog, Repairs(), overlap=True) == []
    assert recovered(monkeypatch, caplog, Repairs(), private=True) == []


def test_what_was_repaired_and_what_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    repairs = Repairs(("/dev/ttyS1",), (PortDenied("/dev/ttyS2", "run it"),))
    assert recovered(monkeypatch, caplog, repairs) == [
        "WARNING /dev/ttyS1: is the device again; a virtual port that was killed lay over it",
        "WARNING /dev/ttyS2: run it",
    ]


def test_an_overlap_that_nobody_sees(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (said,) = recovered(monkeypatch, caplog, Repairs(), overlap=True, private=True)
    assert "only this program sees" in said
    assert "PrivateDevices" in said
