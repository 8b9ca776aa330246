"""A tap on a connection on a memory port, with peers on real sockets."""

from __future__ import annotations

import pytest

from portline.errors import PortAbsent, UsageError
from portline.line import (
    BreakChange,
    FlowControl,
    Item,
    LineChange,
    LineFault,
    LineSettings,
    ModemChange,
    ModemLines,
    PortState,
    Purge,
    Query,
    SendBreak,
    SetBreak,
    SetInputs,
    SetLine,
    SetModem,
    Told,
)
from portline.recording.record import Kind, Record, Source
from portline.service.monitor import tap as module
from portline.service.monitor.tap import Tap
from portline.service.monitor.watcher import RING, Watcher
from tests.conftest import Run
from tests.unit.service.conftest import Play
from tests.unit.service.gateways import gateway, peer_of, port_of
from tests.waiting import until


class Eye:
    """One who watches a tap and remembers what it has seen."""

    def __init__(self, tap: Tap) -> None:
        self.watcher = tap.watch(lambda: None)

    def saw(self) -> list[Record]:
        seen: list[Record] = []
        while self.watcher.waiting:
            seen += self.watcher.take()
        return seen

    def facts(self) -> list[tuple[object, ...]]:
        return [
            (r.source.value, r.kind.value, r.data if r.kind is Kind.DATA else dict(r.value))
            for r in self.saw()
        ]


@pytest.mark.parametrize("virtual", [False, True])
def test_reports_of_the_port(virtual: bool) -> None:
    tap = Tap(clock=lambda: 7.0)
    eye = Eye(tap)
    for report in (
        ModemChange(ModemLines(cts=True, dsr=False, dcd=True)),
        LineChange(LineSettings(1200)),
        BreakChange(True),
        LineFault(break_received=True),
        LineFault(parity=True, overrun=True),
        Told(Item.BAUDRATE, 9600),
    ):
        tap.reported(report, virtual=virtual)
    lines = (
        {"dtr": False, "rts": True}
        if virtual
        else {"cts": True, "dsr": False, "dcd": True, "ri": False}
    )
    assert eye.facts() == [
        ("port", "lines", lines),
        ("port", "settings", {"settings": "1200-8N1"}),
        ("port", "break", {"on": True}),
        ("port", "break", {}),
        ("port", "fault", {"overrun": True, "parity": True}),
        ("port", "settings", {"baudrate": "9600"}),
    ]


def test_what_an_access_server_tells() -> None:
    tap = Tap()
    eye = Eye(tap)
    for report in (
        ModemChange(ModemLines(ri=True)),
        LineFault(framing=True),
        Told(Item.FLOW_CONTROL, FlowControl.HARDWARE),
        Told(Item.DTR, True),
        Told(Item.BREAK, False),
        Told(Item.MODEM_MASK, 255),
        Told(Item.PARITY, None),
    ):
        tap.reported(report, virtual=True, peer="192.0.2.1:4")
    seen = eye.saw()
    assert {record.source for record in seen} == {Source.PEER}
    assert {record.peer for record in seen} == {"192.0.2.1:4"}
    assert [(record.kind.value, dict(record.value)) for record in seen] == [
        ("lines", {"cts": False, "dsr": False, "dcd": False, "ri": True}),
        ("fault", {"framing": True}),
        ("settings", {"flow_control": "hardware"}),
        ("lines", {"dtr": True}),
        ("break", {"on": False}),
    ]
    assert seen[1].text == "framing error"
    assert seen[2].text == "tells flow-control=hardware"


@pytest.mark.parametrize(
    ("request_", "kind", "value", "text"),
    [
        (SetLine(baudrate=300), "settings", {"settings": "300-8N1"}, "baudrate=300: 300-8N1"),
        (SetModem(dtr=True), "lines", {"dtr": True}, "DTR=on"),
        (SetBreak(True), "break", {"on": True}, "on"),
        (SendBreak(0.5), "break", {"seconds": 0.5}, "0.5 s"),
        (Purge(unsent=True), "purge", {"received": False, "unsent": True}, "unsent"),
    ],
)
def test_what_peers_ask_for(request_: SetLine, kind: str, value: object, text: str) -> None:
    tap = Tap()
    state = PortState(LineSettings(300))
    tap.asked(request_, state, "192.0.2.1:4")  # nobody watches
    eye = Eye(tap)
    tap.asked(Query(Item.DTR), state, "192.0.2.1:4")
    tap.asked(request_, state, "192.0.2.1:4")
    tap.asked(request_, state, "192.0.2.1:4", False)
    done, refused = eye.saw()
    assert (done.kind.value, done.value, done.text) == (kind, value, text)
    assert (done.source, done.peer) == (Source.PEER, "192.0.2.1:4")
    assert refused.value["allowed"] is False
    assert "(not allowed)" in refused.text


def test_what_the_application_is_shown() -> None:
    tap = Tap()
    eye = Eye(tap)
    tap.asked(SetInputs(ModemLines(dcd=True)), PortState())
    (record,) = eye.saw()
    assert record.text == "CTS=off DSR=off DCD=on RI=off"
    assert (record.source, record.peer) == (Source.PEER, "")


def test_too_many_who_watch_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WATCHERS_MAX", 2)
    tap = Tap()
    changes: list[int] = []
    tap.changed = lambda: changes.append(len(tap.watchers))
    first, second = (tap.watch(lambda: None) for _ in range(2))
    with pytest.raises(UsageError, match="2 watch this connection already"):
        tap.watch(lambda: None)
    first.close()
    second.close()
    second.close()
    assert changes == [1, 0]


def test_bytes_of_both_directions_in_order(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage() as made:
            eye = Eye(made.connection.tap)
            peer = await made.peer()
            name = made.sessions[0].name
            made.connection.port_data(b"from the port")
            await peer.hears(b"from the port")
            peer.send(b"to the port")
            await until(lambda: made.connection.hub.spoken == 11)
            peer.reset()
            await made.alone()
            connected, heard, spoke, gone = eye.saw()
            assert (connected.kind, connected.peer) == (Kind.CONNECTED, name)
            assert (heard.source, heard.peer, heard.data) == (Source.PORT, "", b"from the port")
            assert (spoke.source, spoke.peer, spoke.data) == (Source.PEER, name, b"to the port")
            assert (gone.kind, gone.peer) == (Kind.DISCONNECTED, name)
            assert connected.at <= heard.at <= spoke.at <= gone.at

    run(scenario())


def test_what_a_peer_may_not_say_is_not_told(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(receive_from="none") as made:
            peer = await made.peer()
            eye = Eye(made.connection.tap)
            peer.send(b"nobody listens")
            await until(lambda: made.connection.hub.unspoken == 14)
            assert eye.saw() == []

    run(scenario())


def test_lines_settings_and_purges_of_a_controlling_peer(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(protocol="rfc2217", dtr_connected="high") as made:
            eye = Eye(made.connection.tap)
            asker = await made.asker()
            await asker.asks(SetLine(baudrate=1200), SetModem(rts=True))
            facts = eye.facts()
            assert ("peer", "lines", {"dtr": True}) in facts
            assert ("peer", "settings", {"settings": "1200-8N1"}) in facts
            assert facts[-1] == ("peer", "lines", {"rts": True})

    run(scenario())


def test_the_port_is_watched_while_somebody_watches(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage() as made:
            eye = Eye(made.connection.tap)
            assert made.port.watched == (True, True)
            made.connection.port_report(ModemChange(ModemLines(cts=True)))
            made.connection.port_lost(PortAbsent("/dev/ttyNONE0", "went away"))
            made.connection.keeper.hurry()
            eye.watcher.close()
            assert made.port.watched == (False, False)
            eye = Eye(made.connection.tap)
            made.connection.port_report(ModemChange(ModemLines(cts=False)))
            assert [record.text for record in eye.saw()] == ["CTS=off DSR=off DCD=off RI=off"]

    run(scenario())


def test_a_port_that_goes_and_comes(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage() as made:
            eye = Eye(made.connection.tap)
            made.connection.port_lost(PortAbsent("/dev/ttyNONE0", "went away"))
            made.connection.keeper.hurry()
            assert [record.text for record in eye.saw()] == [
                "/dev/ttyNONE0: went away",
                "the port, 9600-8N1",
            ]

    run(scenario())


def test_an_application_opens_and_closes_a_virtual_port(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(virtual="ttyV0") as made:
            eye = Eye(made.connection.tap)
            made.port.use(True)
            made.port.use(False)
            facts = eye.facts()
            assert ("port", "open", {"what": "application"}) in facts
            assert ("port", "closed", {"what": "application"}) in facts

    run(scenario())


def test_a_watcher_that_does_not_take_costs_nobody_anything(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage() as made:
            eye = Eye(made.connection.tap)
            peer = await made.peer()
            chunk = bytes(32 * 1024)
            for _ in range(2 * RING // len(chunk)):
                made.connection.port_data(chunk)
                await peer.hears(chunk)
            assert eye.watcher._size <= RING
            skipped = made.connection.tap.skipped
            assert skipped == eye.watcher.skipped_bytes > 0
            seen = eye.saw()
            assert sum(len(record.data) for record in seen) + skipped == 2 * RING
            assert seen[-1].kind is Kind.SKIPPED

    run(scenario())


def ready() -> None:
    pass


@pytest.mark.usefixtures("stage")
def test_a_watch_goes_with_the_name_goes_on_when_it_begins_anew_and_ends(run: Run) -> None:
    async def scenario() -> None:
        made = gateway(meter={})
        made.start()
        with pytest.raises(UsageError, match="no connection 'gauge'; there are: meter"):
            made.watch("gauge", ready)
        watcher = made.watch("meter", ready)
        renamed = gateway(gauge={"port": "/dev/ttymeter"}).config
        made.apply(renamed)
        made.connections["gauge"].port_data(b"renamed")
        assert watcher.take()[-1].data == b"renamed"
        assert made.watch("gauge", ready).take() == []
        assert await made.stop_one("gauge")
        assert [record.text for record in watcher.take()] == ["the port"]
        assert await made.start_one("gauge")
        assert [record.text for record in watcher.take()] == ["the port, 9600-8N1"]
        anew = gateway(gauge={"port": "/dev/ttymeter", "rs485": "on"}).config
        made.apply(anew)
        await until(lambda: made.connections["gauge"].keeper.open)
        port_of(made, "gauge")
        made.connections["gauge"].port_data(b"anew")
        kinds = seen_until(watcher, b"anew")
        assert kinds[:2] == [Kind.CLOSED, Kind.OPEN]
        with peer_of(made, "gauge"):
            await until(lambda: made.connections["gauge"].hub.peers)
            made.apply(gateway(other={}).config)
            last = [record for record in watcher.take() if record.value.get("what") == "connection"]
            assert [record.text for record in last] == ["the connection was removed"]
            assert watcher.ended
        other = made.watch("other", ready)
        await made.stop()
        *_, end = other.take()
        assert end.text == "Portline stops"
        assert other.ended

    run(scenario())


def seen_until(watcher: Watcher, data: bytes) -> list[Kind]:
    seen: list[Record] = []
    while not seen or seen[-1].data != data:
        taken = watcher.take()
        assert taken
        seen += taken
    return [record.kind for record in seen]
