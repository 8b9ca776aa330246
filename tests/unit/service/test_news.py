from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from portline.config.models import ServerConnection, UdpConnection
from portline.errors import NetworkError, PortAbsent, PortBusy
from portline.hub.keep import Keep
from portline.service.news import News
from tests.memory import MemoryPort


@pytest.fixture
def news(caplog: pytest.LogCaptureFixture) -> News:
    caplog.set_level(logging.INFO)
    return News(logging.LoggerAdapter(logging.getLogger("test"), {}))


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [f"{record.levelname.lower()}: {record.getMessage()}" for record in caplog.records]
    caplog.clear()
    return lines


def test_trouble_with_datagrams_is_told_and_its_end(
    news: News, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint: Any = SimpleNamespace(error=None)
    news.endpoint_changed(endpoint)
    endpoint.error = NetworkError("x", "in use")
    news.endpoint_changed(endpoint)
    endpoint.error = None
    news.endpoint_changed(endpoint)
    news.endpoint_changed(endpoint)
    assert told(caplog) == [
        "warning: x: in use; trying again",
        "notice: datagrams are sent and received as they should be",
    ]


def test_a_trouble_is_told_once_and_its_end_is_a_notice(
    news: News, caplog: pytest.LogCaptureFixture
) -> None:
    port = MemoryPort(cast("Any", None))
    news.port_open(port)
    assert told(caplog) == ["info: /dev/memory: is open with 9600-8N1"]
    news.port_trouble(PortAbsent("x", "hung up"))
    news.port_trouble(PortAbsent("x", "is not there"))
    news.port_trouble(PortBusy("x", "is locked"))
    assert told(caplog) == ["warning: x: hung up", "info: x: is not there", "warning: x: is locked"]
    port.discarded = 7
    news.port_open(port)
    assert told(caplog) == [
        "notice: /dev/memory: is open with 9600-8N1",
        "warning: discarded 7 bytes for the port while it was away",
    ]
    news.port_open(port)
    assert told(caplog) == ["info: /dev/memory: is open with 9600-8N1"]


def test_so_is_that_of_a_listener(news: News, caplog: pytest.LogCaptureFixture) -> None:
    class Place(SimpleNamespace):
        __hash__ = object.__hash__

    place = cast("Any", Place(error=None, listening=True, address="127.0.0.1:1"))
    news.listener_changed(place)
    place.error = NetworkError("127.0.0.1:1", "in use")
    news.listener_changed(place)
    place.error = None
    news.listener_changed(place)
    assert told(caplog) == [
        "info: listening on 127.0.0.1:1",
        "warning: 127.0.0.1:1: in use",
        "notice: listening on 127.0.0.1:1",
    ]


def test_what_did_not_fit_is_told_once(news: News, caplog: pytest.LogCaptureFixture) -> None:
    keep = Keep(4)
    keep.add(b"123456")
    news.kept(keep)
    news.kept(keep)
    assert told(caplog) == [
        "warning: 2 bytes did not fit into buffer-size 4 while nobody was connected"
    ]
    nothing = Keep(0)
    nothing.add(b"123456")
    news.kept(nothing)
    assert told(caplog) == []


def test_what_nobody_will_get_is_told_at_the_end(
    news: News, caplog: pytest.LogCaptureFixture
) -> None:
    keep = Keep(4)
    news.ended(keep)
    assert told(caplog) == []
    keep.add(b"123456")
    news.ended(keep)
    assert told(caplog) == [
        "warning: 2 bytes did not fit into buffer-size 4 while nobody was connected",
        "warning: lost 4 bytes kept for the next peer",
    ]


def test_who_can_read_the_lines_of_a_virtual_port_is_told_where_they_are_set(
    news: News, caplog: pytest.LogCaptureFixture
) -> None:
    for options in ({"port": "/dev/ttyX"}, {"virtual": "ttyV0"}):
        news.unreadable_lines(ServerConnection.model_validate(options))
    assert told(caplog) == []
    lines = {"virtual": "ttyV0", "ri-disconnected": "high", "dcd-connected": "follow"}
    news.unreadable_lines(ServerConnection.model_validate(lines))
    (text,) = told(caplog)
    assert text.startswith("warning: dcd-connected, ri-disconnected: only programs that ")


def test_who_listens_where_a_group_is_not_heard_is_told(
    news: News, caplog: pytest.LogCaptureFixture
) -> None:
    for connect, listen in (
        ("239.1.2.3:5000", "*:5000"),
        ("239.1.2.3:5000", "239.1.2.3:5000"),
        ("192.0.2.7:5000", "127.0.0.1:5000"),
        ("239.1.2.3:5000", ["127.0.0.1:5000", "*:5001"]),
    ):
        options = {"kind": "udp", "virtual": "v", "connect": connect, "listen": listen}
        options |= {"open": True}
        news.unheard_groups(UdpConnection.model_validate(options))
    news.unheard_groups(ServerConnection.model_validate({"virtual": "v", "listen": "127.0.0.1:1"}))
    assert told(caplog) == []
    for group in ("239.1.2.3", "255.255.255.255"):
        options = {"kind": "udp", "virtual": "v", "connect": f"{group}:5000", "listen": 5001}
        news.unheard_groups(UdpConnection.model_validate(options))
        assert told(caplog) == [
            f"warning: listen: what is sent to {group} is not heard at 127.0.0.1:5001; to hear it, "
            "listen at *:5000"
        ]


def test_lines_that_a_device_does_not_have_are_told_to_who_drives_them(
    news: News, caplog: pytest.LogCaptureFixture
) -> None:
    port = MemoryPort(cast("Any", None))
    driven = ServerConnection.model_validate(
        {"port": "/dev/x", "dtr-connected": "high", "rts-disconnected": "low"}
    )
    crossed = ServerConnection.model_validate(
        {"port": "/dev/x", "protocol": "rfc2217", "cross-lines": True}
    )
    news.missing_lines(driven, port)
    port.has_lines = False
    news.missing_lines(ServerConnection.model_validate({"port": "/dev/x"}), port)
    assert told(caplog) == []
    for _ in range(2):
        news.missing_lines(driven, port)
    assert told(caplog) == [
        "warning: /dev/memory: has no signal lines, so dtr-connected = high, "
        "rts-disconnected = low cannot be done; leave that out, or use an adapter that has them"
    ]
    news.missing_lines(crossed, port)
    assert "so cross-lines cannot be done" in told(caplog)[0]


def test_a_refusal_is_told_once_whatever_time_it_tells(
    news: News, caplog: pytest.LogCaptureFixture
) -> None:
    news.taken("far")
    for refusal in ("in use since 9:59", "in use since 10:00", "out of order"):
        news.refused("far", refusal)
    news.taken("far")
    news.taken("far")
    assert told(caplog) == [
        "warning: far: in use since 9:59; trying again",
        "warning: far: out of order; trying again",
        "notice: far: serves us now",
    ]
