from __future__ import annotations

import logging
import resource

import pytest

from portline.config.models import GatewayConfig
from portline.service.process.limits import (
    OWN_FILES,
    files_needed,
    forbid_cores,
    raise_file_limit,
)


class Limit:
    """The process' limit, played: tests must not change their own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int) -> None:
        self.now = (soft, hard)
        self.refuses = False
        monkeypatch.setattr(resource, "getrlimit", lambda what: self.now)
        monkeypatch.setattr(resource, "setrlimit", self.set)

    def set(self, what: int, limits: tuple[int, int]) -> None:
        assert what == resource.RLIMIT_NOFILE
        if self.refuses:
            raise ValueError("not allowed to raise maximum limit")
        self.now = limits


def test_each_port_listener_and_peer_is_a_file() -> None:
    config = GatewayConfig.model_validate(
        {
            "connections": {
                "a": {"virtual": "a", "listen": 4001},
                "b": {"virtual": "b", "listen": [4002, 4003]},
            }
        }
    )
    assert files_needed(config) == OWN_FILES + 3 + 4


def test_the_soft_limit_is_raised_to_the_hard_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limit = Limit(monkeypatch, 1024, 4096)
    raise_file_limit(3000)
    assert limit.now == (4096, 4096)
    assert caplog.text == ""


def test_a_hard_limit_that_does_not_suffice_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Limit(monkeypatch, 1024, 1024)
    raise_file_limit(3000)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "need about 3000 open files, and 1024 are allowed" in caplog.text
    assert "LimitNOFILE=3000" in caplog.text


def test_a_limit_that_cannot_be_raised_stays(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limit = Limit(monkeypatch, 256, resource.RLIM_INFINITY)
    limit.refuses = True
    raise_file_limit(100)
    assert limit.now[0] == 256
    raise_file_limit(3000)
    assert "256 are allowed" in caplog.text


def test_no_limit_suffices(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Limit(monkeypatch, resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    raise_file_limit(1 << 40)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, True),
        ({"password_file": "/p"}, False),
        ({"tls": True}, False),
        ({"kind": "client", "connect": "h:1", "listen": None, "tls": True}, False),
        ({"kind": "udp", "connect": "h:1", "password": True}, False),
    ],
)
def test_no_core_of_a_process_with_secrets_is_kept(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, object], kept: bool
) -> None:
    now = {resource.RLIMIT_CORE: (4096, 8192)}
    monkeypatch.setattr(resource, "getrlimit", now.__getitem__)
    monkeypatch.setattr(resource, "setrlimit", now.__setitem__)
    table = {"virtual": "v", "listen": 4001} | options
    written = {key: value for key, value in table.items() if value is not None}
    forbid_cores(GatewayConfig.model_validate({"connections": {"a": written}}))
    assert now == {resource.RLIMIT_CORE: (4096 if kept else 0, 8192)}
