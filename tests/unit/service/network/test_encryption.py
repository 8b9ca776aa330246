"""An encrypted server in the house: what is read and when, who gets through, what a reload does."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portline.net.tls.certificate import fingerprint, first_certificate
from portline.service.adoption import adopt
from portline.service.network import encryption
from portline.service.status import State
from tests.authority import Authority
from tests.waiting import until

if TYPE_CHECKING:
    from tests.authority import Issued
    from tests.conftest import Run
    from tests.unit.service.conftest import Play, Stage


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def of(issued: Issued, **more: object) -> dict[str, object]:
    return {"tls": True, "certificate": issued.certificate, "key": issued.key, **more}


async def peer(
    meter: Stage, maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect by Python's own TLS, and wait until that has been let in."""
    await until(lambda: meter.connection.network.state[0] is not State.STOPPED)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = maximum
    count = len(meter.sessions)
    made = await asyncio.open_connection("127.0.0.1", meter.tcp_port(0), ssl=context)
    await until(lambda: len(meter.sessions) > count)
    return made


async def leave(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    await asyncio.sleep(0)


def issued_for_another(authority: Authority) -> str:
    return authority.issue("another").key


def changed(meter: Stage, **options: object) -> None:
    """Go on with other options, as after a reload."""
    config = meter.connection.config
    table = {name: getattr(config, name) for name in config.model_fields_set}
    for name, value in options.items():
        if value is None:
            table.pop(name, None)
        else:
            table[name] = value
    adopt(meter.connection, "meter", type(config).model_validate(table), frozenset(options))


def test_bytes_go_through_the_house(run: Run, stage: Play, authority: Authority) -> None:
    async def scenario() -> None:
        issued = authority.issue("server")
        async with stage(**of(issued)) as meter:
            reader, writer = await peer(meter)
            meter.connection.port_data(b"from the device")
            assert await reader.readexactly(15) == b"from the device"
            writer.write(b"to the device")
            await until(lambda: meter.port.written == b"to the device")
            (session,) = meter.sessions
            assert session.link.security is not None
            status = meter.connection.network.security
            assert status is not None
            assert status.certificate == fingerprint(first_certificate(issued.pem))
            (place,) = meter.connection.network.places
            assert place.endswith("(raw, TLS)")
            await leave(writer)

    run(scenario())


def test_who_is_not_through_is_nobody(run: Run, stage: Play, authority: Authority) -> None:
    async def scenario() -> None:
        issued = authority.issue("server")
        options = of(issued, max_connections=1, open_when_connected=True, buffer_size=100)
        async with stage(**options) as meter:
            await until(lambda: meter.connection.network.state[0] is State.LISTENING)
            silent = [meter.knock() for _ in range(5)]
            await until(lambda: meter.connection.network.security.handshakes == 5)
            assert meter.connection.network.state[0] is State.LISTENING
            assert not meter.port.opened
            _, writer = await peer(meter)
            assert meter.port.opened
            assert meter.connection.network.turned_away == 0
            await leave(writer)
            assert len(silent) == 5

    run(scenario())


def test_files_that_cannot_be_read_are_a_state_and_are_tried_again(
    run: Run,
    stage: Play,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(encryption, "RETRY", 0.02)
        issued = authority.issue("server")
        late = Path(issued.key).with_name("late.key")
        async with stage(tls=True, certificate=issued.certificate, key=str(late)) as meter:
            await until(lambda: bool(meter.connection.network.error))
            assert f"key {late}: cannot be read" in meter.connection.network.error
            assert not any(each.listening for each in meter.connection.network.entrance.listeners)
            await asyncio.sleep(0.1)
            assert caplog.text.count("cannot be read") == 1
            late.write_bytes(Path(issued.key).read_bytes())
            _, writer = await peer(meter)
            assert meter.connection.network.error == ""
            await leave(writer)

    run(scenario())


def test_a_change_of_encryption_sends_those_away_who_come_in_the_other_way(
    run: Run, stage: Play, authority: Authority
) -> None:
    async def scenario() -> None:
        first, second = authority.issue("first"), authority.issue("second")
        async with stage(listen="127.0.0.1:0", max_connections=3) as meter:
            plain = await meter.peer()
            changed(meter, **of(first))
            await plain.hears_end()
            reader, writer = await peer(meter)
            changed(meter, **of(second))
            _, other = await peer(meter)
            shown = [
                fingerprint(each.get_extra_info("ssl_object").getpeercert(True))
                for each in (writer, other)
            ]
            assert shown == [fingerprint(first_certificate(each.pem)) for each in (first, second)]
            assert len(meter.sessions) == 2
            changed(meter, key=issued_for_another(authority))
            with pytest.raises(OSError):  # noqa: PT011 - whichever end closes first
                await peer(meter)
            await until(lambda: "does not belong" in meter.connection.network.error)
            assert not any(each.listening for each in meter.connection.network.entrance.listeners)
            changed(meter, tls=None, certificate=None, key=None)
            assert await reader.read() == b""
            await meter.alone()
            for each in (writer, other):
                await leave(each)

    run(scenario())


def test_old_sessions_do_not_pile_up(
    run: Run, stage: Play, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(encryption, "SESSIONS_MAX", 3)
        options = of(authority.issue("server"), tls_minimum="1.2", max_connections=100)
        async with stage(**options) as meter:
            contexts = set()
            writers = []
            for _ in range(12):
                _, writer = await peer(meter, ssl.TLSVersion.TLSv1_2)
                writers.append(writer)
                contexts.add(meter.connection.network.encryption._context)
                await until(lambda: not meter.connection.network.encryption.reading)
            assert len(contexts) > 1
            assert all(context.sessions <= 5 for context in contexts)
            for writer in writers:
                await leave(writer)

    run(scenario())
