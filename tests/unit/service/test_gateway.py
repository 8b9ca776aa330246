from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from portline.config.models import GatewayConfig
from portline.errors import NameUnknown
from portline.line import Purge
from portline.recording.record import Kind
from portline.service import retirement as module
from portline.service.gateway import NOT_ENABLED, STOPPED_BY_HAND, Gateway
from portline.service.status import State
from tests.conftest import Run
from tests.unit.service.gateways import gateway, peer_of, port_of
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("stage")


def table(*names: str, **options: object) -> GatewayConfig:
    """Make a configuration of these connections, each with its device and the same options."""
    return GatewayConfig.model_validate(
        {
            "connections": {
                name: {"port": f"/dev/tty{name}", "listen": "127.0.0.1:0"} | options
                for name in names
            }
        }
    )


def test_a_connection_that_nothing_changes_notices_nothing(run: Run) -> None:
    async def scenario() -> None:
        made = Gateway(table("meter", "other"))
        made.start()
        with peer_of(made) as peer:
            await until(lambda: made.connections["meter"].hub.peers)
            port_of(made).happened.clear()
            meter = made.connections["meter"]
            found = made.apply(table("meter", "third"))
            assert found.lines() == ["other: removed", "third: added"]
            assert list(made.connections) == ["meter", "third"]
            assert made.connections["meter"] is meter
            await until(lambda: made.status()[1].state is State.LISTENING)
            meter.port_data(b"not a byte is lost")
            await peer.hears(b"not a byte is lost")
            assert port_of(made).happened == []
        assert made.apply(table("meter", "third")).lines() == []
        await made.stop()

    run(scenario())


def test_a_connection_may_get_another_name(run: Run) -> None:
    async def scenario() -> None:
        made = Gateway(table("meter"))
        made.start()
        with peer_of(made) as peer:
            await until(lambda: made.connections["meter"].hub.peers)
            config = {"connections": {"gauge": {"port": "/dev/ttymeter", "listen": "127.0.0.1:0"}}}
            found = made.apply(GatewayConfig.model_validate(config))
            assert found.lines() == ["meter: is called gauge now"]
            assert made.status()[0].name == "gauge"
            made.connections["gauge"].port_data(b"x")
            await peer.hears(b"x")
        await made.stop()

    run(scenario())


def test_a_connection_goes_on_when_another_one_gets_its_name(run: Run) -> None:
    async def scenario() -> None:
        made = Gateway(table("meter"))
        made.start()
        meter = made.connections["meter"]
        with peer_of(made) as peer:
            await until(lambda: meter.hub.peers)
            gauge = {"port": "/dev/ttymeter", "listen": "127.0.0.1:0"}
            for name, other in (("gauge", "meter"), ("meter", "gauge")):  # back by a swap
                tables = {other: gauge | {"port": "/dev/ttyother"}, name: gauge}
                made.apply(GatewayConfig.model_validate({"connections": tables}))
                assert made.connections[name] is meter
                assert meter.name == name
                await until(lambda: made.status()[0].state is State.LISTENING)
                meter.port_data(b"x")
                await peer.hears(b"x")
        await made.stop()

    run(scenario())


def test_another_port_begins_when_the_old_one_is_closed(run: Run) -> None:
    async def scenario() -> None:
        made = Gateway(table("meter"))
        made.start()
        old = port_of(made)
        with peer_of(made) as peer:
            await until(lambda: made.connections["meter"].hub.peers)
            old.queued = 100
            made.apply(table("meter", exclusive=False))
            new = port_of(made)
            assert new is not old
            assert await peer.hears_end() == b""
            assert (old.opened, new.opened) == (True, False)
            old.queued = 0
            await until(lambda: new.opened)
            assert not old.opened
        await made.stop()

    run(scenario())


def test_what_waits_to_begin_does_not_when_it_is_removed_or_all_stops(run: Run) -> None:
    async def scenario() -> None:
        made = Gateway(table("meter"))
        made.start()
        ports = [port_of(made)]
        ports[0].queued = 100
        for options in ({"exclusive": False}, {"exclusive": True}, {"exclusive": False}):
            made.apply(table("meter", **options))
            ports.append(port_of(made))
        ports[0].queued = 0
        await made.stop()
        for _ in range(5):
            await asyncio.sleep(module.POLL)
        assert ["open" in port.happened for port in ports] == [True, False, False, False]

    run(scenario())


# --- the end --------------------------------------------------------------------------------------


def test_a_stop_lets_the_ports_send_what_they_have(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(module, "GOODBYE_LIMIT", 30.0)
        made = gateway(meter={}, other={})
        made.start()
        port = port_of(made)
        port.queued = 100
        with peer_of(made) as peer:
            await until(lambda: made.status()[0].peers)
            async with asyncio.TaskGroup() as group:
                stop = group.create_task(made.stop())
                assert await peer.hears_end() == b""
                peer.close()
                await until(lambda: not made.status()[0].peers)
                assert not stop.done()
                assert port.opened
                port.queued = 0
        assert [port_of(made, name).happened for name in ("meter", "other")] == [
            ["open", "close"]
        ] * 2

    run(scenario())


def test_a_stop_waits_for_nobody_for_long(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(module, "GOODBYE_LIMIT", 0.02)
        made = gateway(meter={})
        made.start()
        port = port_of(made)
        port.queued = 100
        with peer_of(made):  # and it does not end when it is told goodbye
            await until(lambda: made.status()[0].peers)
            await made.stop()
            assert port.happened == ["open", Purge(unsent=True), "close"]

    run(scenario())


def test_a_stop_that_is_cancelled_closes_everything_at_once(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(module, "GOODBYE_LIMIT", 30.0)
        made = gateway(meter={})
        made.start()
        port_of(made).queued = 100
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await made.stop()
        assert not port_of(made).opened

    run(scenario())


def test_a_stopped_connection_is_free_at_once_and_may_be_started(run: Run) -> None:
    async def scenario() -> None:
        made = Gateway(table("meter", "other"))
        made.start()
        meter, other, port = made.connections["meter"], made.connections["other"], port_of(made)
        with peer_of(made) as peer:
            await until(lambda: meter.hub.peers)
            meter.port_data(b"last")
            address = meter.network.places
            assert await made.stop_one("meter") is True
            await peer.hears(b"last")
            await peer.hears_end()
        assert not meter.keeper.open
        assert not meter.network.entrance.listeners[0].listening
        assert "close" in map(str, port.happened) or not port.is_open
        status = made.status()[0]
        assert (status.name, status.state, status.reason) == (
            "meter",
            State.STOPPED,
            STOPPED_BY_HAND,
        )
        assert address
        assert await made.stop_one("meter") is False
        assert made.connections["other"] is other
        assert made.status()[1].state is State.LISTENING
        assert await made.start_one("meter") is True
        assert await made.start_one("meter") is False
        assert made.status()[0].state is State.LISTENING
        with peer_of(made) as peer:
            await until(lambda: made.connections["meter"].hub.peers)
            made.connections["meter"].port_data(b"again")
            await peer.hears(b"again")
        for call in (made.start_one, made.stop_one):
            with pytest.raises(NameUnknown, match="no connection 'x'; there are: meter, other"):
                await call("x")
        await made.stop()

    run(scenario())


def test_what_is_not_enabled_is_there_and_rests(run: Run) -> None:
    async def scenario() -> None:
        made = Gateway(table("meter", enabled=False))
        made.start()
        port = port_of(made)
        (status,) = made.status()
        assert (status.state, status.reason) == (State.STOPPED, NOT_ENABLED)
        assert port.happened == []
        found = made.apply(table("meter"))
        assert found.lines() == ["meter: enabled"]
        await until(lambda: made.status()[0].state is State.LISTENING)
        assert made.apply(table("meter", enabled=False)).lines() == ["meter: disabled"]
        await until(lambda: not made._retiring)
        assert made.status()[0].reason == NOT_ENABLED
        assert await made.start_one("meter")
        assert made.status()[0].state is State.LISTENING
        made.apply(table("meter", enabled=False, baudrate=300))  # what was done by hand holds
        assert made.status()[0].state is State.LISTENING
        await made.stop()

    run(scenario())


def test_a_stopped_connection_may_be_changed_and_renamed_and_removed(run: Run) -> None:
    async def scenario() -> None:
        made = Gateway(table("meter"))
        made.start()
        await made.stop_one("meter")
        made.apply(table("meter", baudrate=300))
        assert made.status()[0].reason == STOPPED_BY_HAND
        assert made.status()[0].config.baudrate == 300
        renamed = {"connections": {"water": {"port": "/dev/ttymeter", "listen": "127.0.0.1:0"}}}
        lines = made.apply(GatewayConfig.model_validate(renamed)).lines()
        assert lines == ["meter: is called water now, with baudrate changed"]
        assert (made.status()[0].name, made.status()[0].reason) == ("water", STOPPED_BY_HAND)
        other = {"connections": {"water": {"port": "/dev/ttyx", "listen": "127.0.0.1:0"}}}
        made.apply(GatewayConfig.model_validate(other))
        assert made.status()[0].reason == STOPPED_BY_HAND
        assert port_of(made, "water").happened == []
        await made.start_one("water")
        assert made.status()[0].state is State.LISTENING
        await made.stop_one("water")
        made.apply(table("new"))
        assert [each.name for each in made.status()] == ["new"]
        await until(lambda: made.status()[0].state is State.LISTENING)
        await made.stop()

    run(scenario())


def test_one_that_begins_may_be_stopped_and_all_may_end_meanwhile(run: Run) -> None:
    async def scenario() -> None:
        made = Gateway(table("meter"))
        made.start()
        old = port_of(made)
        old.queued = 100  # its device is slow
        made.apply(table("meter", exclusive=False))
        begins = made.connections["meter"]
        await asyncio.gather(made.stop_one("meter"), made.start_one("meter"))
        assert not begins.keeper.open
        stopped, _ = await asyncio.gather(made.stop_one("meter"), made.stop())
        assert stopped is True

    run(scenario())


def test_who_is_sent_away_is_told_of_with_the_reason(run: Run) -> None:
    async def reasons(end: Callable[[Gateway], object]) -> list[str]:
        """Return what is told of a peer of "meter" when something ends it."""
        made = Gateway(table("meter", "other"))
        made.start()
        watcher = made.watch("meter", lambda: None)
        with peer_of(made) as peer:
            await until(lambda: made.connections["meter"].hub.peers)
            ended = end(made)
            if asyncio.iscoroutine(ended):
                await ended
            await peer.hears_end()
        await made.settled()
        records = watcher.take(1 << 20)
        if not made._stopped:
            await made.stop()
        return [each.text for each in records if each.kind is Kind.DISCONNECTED]

    async def scenario() -> None:
        assert await reasons(lambda made: made.stop_one("meter")) == ["the connection was stopped"]
        assert await reasons(lambda made: made.apply(table("other"))) == [
            "the connection was removed"
        ]
        changed = table("meter", "other", exclusive=False)
        assert await reasons(lambda made: made.apply(changed)) == [
            "the connection begins anew with other options"
        ]
        disabled = table("meter", "other", enabled=False)
        assert await reasons(lambda made: made.apply(disabled)) == ["the connection was stopped"]
        assert await reasons(lambda made: made.stop()) == ["Portline stops"]

    run(scenario())
