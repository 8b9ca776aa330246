"""Who comes to the door of a server with a password, over real loopback sockets."""

from __future__ import annotations

import asyncio
import logging
import socket
from ipaddress import ip_network
from pathlib import Path

import pytest

import portline
from portline.auth import throttle
from portline.auth.password import Password
from portline.auth.secret import Secret
from portline.auth.throttle import TRIES
from portline.errors import LoginError, UsageError
from portline.service.connection import Connection
from portline.service.network import gate
from portline.service.status import State
from tests.conftest import Run
from tests.login_client import Client, Refused, log_in
from tests.proxies import HttpProxy, SocksProxy
from tests.unit.service.conftest import Play, Stage
from tests.waiting import until

WORD = "correct horse battery staple"
SECRET = Secret(verifier=Password(WORD).verifier(4096))
FILE = {"password_file": "/nowhere"}


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the connections of a stage have the secret that their configuration speaks of."""

    def made(name: str, config: object, loop: asyncio.AbstractEventLoop) -> Connection:
        wanted = getattr(config, "wants_password", False)
        return Connection(name, config, loop, secret=SECRET if wanted else None)  # type: ignore[arg-type]

    monkeypatch.setattr("tests.unit.service.conftest.Connection", made)


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody regain a try while a test runs, however slow the machine is."""
    monkeypatch.setattr(throttle, "PACE", 10000.0)


def count(stage: Stage, name: str) -> int:
    return stage.connection.network.counts[name]


async def logged_in(stage: Stage, password: str = WORD, listener: int = 0) -> Client:
    """Return one who has logged in; raises Refused."""
    port = stage.tcp_port(listener)
    sock = await asyncio.to_thread(socket.create_connection, ("127.0.0.1", port), 10)
    stage.peers.enter_context(sock)
    return await asyncio.to_thread(log_in, sock, password)


def test_a_connection_is_not_made_without_the_password_that_it_wants(run: Run) -> None:
    async def scenario() -> None:
        from portline.config.models import ServerConnection

        config = ServerConnection.model_validate({"port": "/dev/x", **FILE})
        with pytest.raises(UsageError, match="meter: a connection with a password"):
            Connection("meter", config, asyncio.get_running_loop())

    run(scenario())


def test_before_the_login_nobody_is_there(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        table = {"max_connections": 1, "when_full": "replace-oldest", "open_when_connected": True}
        async with stage(**FILE, **table) as meter:
            stranger = meter.knock()
            await stranger.hears(b"portline: login 1 SCRAM-SHA-256\r\n")
            meter.connection.port_data(b"secret of the device")
            await asyncio.sleep(0)
            assert (meter.sessions, meter.connection.keeper.open) == ((), False)
            sock = (await logged_in(meter)).sock
            await until(lambda: meter.sessions and meter.connection.keeper.open)
            (peer,) = meter.sessions
            assert peer.link.login == "SCRAM-SHA-256"
            others = [meter.knock() for _ in range(3)]
            for other in others:
                await until(lambda other=other: other.look())
            stranger.send(b"not a login\n")
            said = await stranger.hears_end()
            assert said.startswith(b"portline: refused no-login")
            assert meter.sessions == (peer,)
            sock.sendall(b"*IDN?\n")
            await until(lambda: meter.port.written)
            assert bytes(meter.port.written) == b"*IDN?\n"
            assert (count(meter, "logins"), count(meter, "no_login")) == (1, 1)
            assert b"secret" not in b"".join(bytes(o.received) for o in others) + said

    run(scenario())


@pytest.mark.parametrize("kind", ["http", "socks5"])
@pytest.mark.parametrize("tls", [False, True])
def test_a_login_goes_through_a_proxy(
    run: Run, stage: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, tls: bool
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    made = HttpProxy if kind == "http" else SocksProxy

    async def scenario() -> None:
        async with stage(**FILE, tls=tls) as meter, made(server_begins=not tls).running() as proxy:
            await until(lambda: meter.connection.network.state[0] is State.LISTENING)
            url = f"raw{'s' if tls else ''}://127.0.0.1:{meter.tcp_port()}"
            via = f"{kind}://127.0.0.1:{proxy.port}"
            async with portline.open(url, proxy=via, password=WORD) as port:
                await until(lambda: meter.sessions)
                link = meter.sessions[0].link
                assert link.login == ("SCRAM-SHA-256-PLUS" if tls else "SCRAM-SHA-256")
                port.write(b"*IDN?\n")
                await until(lambda: meter.port.written == b"*IDN?\n")
                meter.connection.port_data(b"meter\n")
                assert await port.read_exactly(6) == b"meter\n"
            with pytest.raises(LoginError, match="the password is not the one of the server"):
                await portline.open(url, proxy=via, password="pencil")
            assert len(proxy.asked) == 2

    run(scenario())


def test_a_flood_of_strangers_opens_no_port_and_takes_no_place(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        table = {"max_connections": 1, "open_when_connected": True, "when_full": "replace-oldest"}
        async with stage(**FILE, **table) as meter:
            flood = []
            for number in range(300):
                stranger = meter.knock()
                flood.append(stranger)
                match number % 4:
                    case 0:
                        stranger.send(
                            b"login 1 SCRAM-SHA-256 n,,n=portline,r=abc\r\nproof c=biws\r\n"
                        )
                    case 1:
                        stranger.send(b"\xff\xfb\x2c*IDN?\n")
                    case 2:
                        stranger.send(b"login 1 SCRAM-")
                    case _:
                        pass  # it says nothing
                await asyncio.sleep(0)  # it is accepted, before the queue of the listener is full
                assert (meter.sessions, meter.port.happened) == ((), [])
            await until(lambda: count(meter, "bad_login") and count(meter, "no_login"))
            assert count(meter, "login_under_way") <= gate.PER_ORIGIN
            assert (meter.sessions, meter.port.happened) == ((), [])
            for each in flood:
                each.reset()
            await until(lambda: not count(meter, "login_under_way"))
            await logged_in(meter)
            await until(lambda: "open" in meter.port.happened)
            (peer,) = meter.sessions
            for each in [meter.knock() for _ in range(20)]:
                each.send(b"not a login\n")
                await each.hears_end()
            assert meter.sessions == (peer,)

    run(scenario())


def test_one_too_many_is_told_so_after_the_login(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(**FILE, max_connections=1) as meter:
            await logged_in(meter)
            await until(lambda: meter.sessions)
            second = await logged_in(meter)
            second.sock.setblocking(False)
            await until(lambda: second.more().startswith(b"portline: meter is in use by"))

    run(scenario())


def test_wrong_passwords_are_counted_told_once_and_slow_down(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture, slowly: None
) -> None:
    async def scenario() -> None:
        async with stage(**FILE) as meter:
            for _ in range(TRIES):
                with pytest.raises(Refused, match="wrong-password"):
                    await logged_in(meter, "pencil")
            assert count(meter, "addresses_slowed") == 1
            with pytest.raises(Refused, match="slowed"):
                await logged_in(meter)
            assert count(meter, "wrong_password") == TRIES
            assert count(meter, "login_slowed") == 1
            texts = [r.getMessage() for r in caplog.records if "wrong-password" in r.getMessage()]
            assert len(texts) == TRIES
            assert texts[-1].endswith("s: the password is wrong")
            assert " waits=" in texts[-1]
            assert " waits=" not in texts[-2]
            # Time passes, and there is a turn again.
            known = meter.connection.network.gate.throttle  # type: ignore[attr-defined]
            (place,) = known._paid_at
            known._paid_at[place] -= throttle.PACE
            await logged_in(meter)
            assert count(meter, "addresses_slowed") == 0

    run(scenario())


def test_garbage_costs_nobody_else_anything(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(**FILE) as meter:
            inside = (await logged_in(meter)).sock
            for data in (b"\xff" * 5000, b"x" * 10**5, b"\n" * 100, b"login 1 SCRAM-SHA-256 \r\n"):
                stranger = meter.knock()
                stranger.send(data[:60000])
                assert (await stranger.hears_end()).count(b"portline: refused") <= 1
            for _ in range(5):
                stranger = meter.knock()
                stranger.reset()
            meter.connection.port_data(b"1.5 V\r\n")
            assert await asyncio.to_thread(inside.recv, 100) == b"1.5 V\r\n"
            assert await logged_in(meter)

    run(scenario())


def test_the_time_for_a_login_is_bounded(
    run: Run, stage: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "LOGIN_LIMIT", 0.2)

    async def scenario() -> None:
        async with stage(**FILE) as meter:
            slow = meter.knock()
            await slow.hears(b"portline: login 1 SCRAM-SHA-256\r\n")
            for byte in b"login":  # a slowloris
                slow.send(bytes([byte]))
                await asyncio.sleep(0.01)
            assert (await slow.hears_end()).startswith(b"portline: refused too-late")
            assert count(meter, "login_too_late") == 1
            assert count(meter, "login_under_way") == 0

    run(scenario())


def test_logins_under_way_are_bounded_and_a_crowd_keeps_nobody_out(
    run: Run, stage: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "UNDER_WAY", 4)
    monkeypatch.setattr(gate, "PER_ORIGIN", 3)

    async def scenario() -> None:
        async with stage(**FILE) as meter:
            crowd = [meter.knock() for _ in range(3)]
            await until(lambda: count(meter, "login_under_way") == 3)
            late = meter.knock()
            assert (await late.hears_end()).startswith(b"portline: refused crowded")
            sides = []
            for host in ("127.0.0.2", "127.0.0.3"):
                side = socket.create_connection(
                    ("127.0.0.1", meter.tcp_port()), source_address=(host, 0)
                )
                sides.append(meter.peers.enter_context(side))
            await until(lambda: crowd[0].look() and crowd[0].end)  # the oldest of the crowd
            assert b"refused crowded" in crowd[0].received
            assert count(meter, "login_under_way") == 4
            await asyncio.to_thread(log_in, sides[1], WORD)

    run(scenario())


def test_who_breaks_off_is_counted_and_not_told(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with stage(**FILE) as meter:
            monitor = meter.knock()
            await monitor.hears(b"portline: login 1 SCRAM-SHA-256\r\n")
            monitor.close()
            await until(lambda: count(meter, "login_broken_off"))
            assert not [r for r in caplog.records if "refused" in r.getMessage()]

    run(scenario())


def test_a_flood_of_refusals_fills_no_log(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with stage(**FILE) as meter:
            for _ in range(3 * gate.TOLD):
                stranger = meter.knock()
                stranger.send(b"x\n")
                await stranger.hears_end()
            lines = [r for r in caplog.records if "login refused" in r.getMessage()]
            assert len(lines) == gate.TOLD
            assert count(meter, "no_login") == 3 * gate.TOLD

    run(scenario())


def test_addresses(run: Run, stage: Play, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with stage(allow=["127.0.0.0/30", "::1"], deny="127.0.0.2") as meter:

            def come(host: str) -> socket.socket:
                sock = socket.create_connection(
                    ("127.0.0.1", meter.tcp_port()), source_address=(host, 0)
                )
                return meter.peers.enter_context(sock)

            for number, host in enumerate(("127.0.0.2", "127.0.0.9"), start=1):
                stranger = come(host)
                await until(lambda number=number: count(meter, "denied") == number)
                assert _ended(stranger)
            come("127.0.0.1")
            await until(lambda: meter.sessions)
            texts = [r.getMessage() for r in caplog.records if r.getMessage().startswith("denied")]
            assert len(texts) == 2

    run(scenario())


def test_a_new_password_is_for_newcomers(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(**FILE) as meter:
            await logged_in(meter)
            await until(lambda: meter.sessions)
            new = Secret(verifier=Password("pencil").verifier(4096))
            meter.connection.network.trust(new)
            with pytest.raises(Refused, match="wrong-password"):
                await logged_in(meter)
            await logged_in(meter, "pencil")
            await until(lambda: len(meter.sessions) == 2)

    run(scenario())


@pytest.mark.parametrize(("typed", "right"), [(WORD, True), ("pencil", False), ("\udcff", False)])
def test_people_may_type_the_password_where_that_is_forced(
    run: Run, stage: Play, typed: str, right: bool
) -> None:
    async def scenario() -> None:
        async with stage(**FILE, password_prompt="forced") as meter:
            person = meter.knock()
            await person.hears(b"portline: login 1 SCRAM-SHA-256\r\nPassword: ")
            person.send(typed.encode("utf-8", "surrogateescape") + b"\r\n*IDN?\n")
            if right:
                await until(lambda: meter.port.written)
                assert bytes(meter.port.written) == b"*IDN?\n"
                assert meter.sessions[0].link.login == "prompt"
            else:
                assert (await person.hears_end()).startswith(b"portline: refused wrong-password")
                assert (meter.sessions, bytes(meter.port.written)) == ((), b"")
            await logged_in(meter)  # programs that can log in still do

    run(scenario())


def test_a_terminal_shows_again_what_is_typed_after_the_password(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        places = ["rfc2217://127.0.0.1:0"]
        async with stage(listen=places, **FILE, password_prompt="forced") as meter:
            person = meter.knock()
            await person.hears(b"portline: login 1 SCRAM-SHA-256\r\n\xff\xfb\x01Password: ")
            person.received.clear()
            person.send(b"\xff\xfd\x01" + WORD.encode() + b"\r\0")
            await until(lambda: b"\xff\xfc\x01" in person.look())
            assert person.received.startswith(b"\xff\xfc\x01")
            person.send(b"\xff\xfe\x01*IDN?\r\n")  # DONT ECHO, which is so already
            await until(lambda: meter.port.written)
            assert bytes(meter.port.written).startswith(b"*IDN?")
            await logged_in(meter)  # our own

    run(scenario())


def test_nobody_may_type_the_password_in_plain_text_unless_forced(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(**FILE, password_prompt="off") as meter:
            person = meter.knock()
            await person.hears(b"portline: login 1 SCRAM-SHA-256\r\n")
            person.send(WORD.encode() + b"\n")
            assert (await person.hears_end()).startswith(b"portline: refused no-login")

    run(scenario())


def test_typed_guesses_are_judged_one_after_the_other_and_slow_down(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(**FILE, password_prompt="forced") as meter:
            people = [meter.knock() for _ in range(TRIES + 2)]
            for person in people:
                person.send(b"guess\n")
            said = b""
            for person in people:
                said += await person.hears_end()
            assert said.count(b"refused wrong-password") == TRIES
            assert said.count(b"refused slowed") == 2

    run(scenario())


def test_a_client_without_the_password_says_so_and_takes_no_word_for_data(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with stage(listen=["127.0.0.1:0", "rfc2217://127.0.0.1:0"], **FILE) as meter:
            for number, kind in enumerate(("raw", "rfc2217")):
                place = f"{kind}://127.0.0.1:{meter.tcp_port(number)}"
                async with stage(kind="client", connect=place, virtual="ttyV0") as far:
                    far.connection.port_data(b"an application's question")
                    await until(lambda far=far: "asks for a password" in _reason(far))
                    assert bytes(far.port.written) == b""
                    # What the application has said waits for a server that takes it.
                    await until(lambda far=far: len(far.connection.hub.keep) == 25)
            assert bytes(meter.port.written) == b""
            assert meter.sessions == ()

    run(scenario())


def _ended(sock: socket.socket) -> bool:
    """Tell that the other side has closed the connection without a word."""
    try:
        return sock.recv(10) == b""
    except ConnectionResetError:
        return True


def _reason(stage: Stage) -> str:
    return stage.connection.network.state[1]


def test_a_client_with_a_password_refuses_who_does_not_ask(run: Run, stage: Play) -> None:
    async def scenario() -> None:
        async with stage(listen=["127.0.0.1:0", "rfc2217://127.0.0.1:0"]) as meter:
            table = {"kind": "client", "connect": f"rfc2217://127.0.0.1:{meter.tcp_port(1)}"}
            async with _client(stage, **table) as far:
                await until(lambda: "it does not ask for a password" in _reason(far))
                assert far.sessions == ()

    run(scenario())


def _client(stage: Play, **table: object) -> Stage:
    made = stage(virtual="ttyV0", **FILE, **table)
    made.connection.network.trust(Secret(password=Password(WORD)))
    return made


@pytest.mark.parametrize("protocol", ["raw", "rfc2217"])
def test_a_client_with_the_password(run: Run, stage: Play, protocol: str) -> None:
    async def scenario() -> None:
        async with stage(protocol=protocol, **FILE) as meter:
            table = {"kind": "client", "connect": f"{protocol}://127.0.0.1:{meter.tcp_port()}"}
            async with _client(stage, **table) as far:
                await until(lambda: meter.sessions and far.sessions)
                meter.connection.port_data(b"from the device")
                far.connection.port_data(b"from the application")
                await until(lambda: far.port.written and meter.port.written)
                assert bytes(far.port.written) == b"from the device"
                assert bytes(meter.port.written) == b"from the application"
                assert far.sessions[0].link.login == "SCRAM-SHA-256"

    run(scenario())


def test_networks_of_an_unix_socket_do_not_matter() -> None:
    from portline.net.networks import Networks

    nets = Networks([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])
    assert nets.admits("unix")
    assert nets.admits("::ffff:10.1.2.3")
    assert nets.admits("[fd00::1%eth0]")
    assert not nets.admits("::ffff:11.1.2.3")
    assert not Networks(deny=[ip_network("0.0.0.0/0")]).admits("[::ffff:1.2.3.4]")
    assert Networks(deny=[ip_network("0.0.0.0/0")]).admits("::1")


def test_the_log_does_not_tell_the_password(
    run: Run, stage: Play, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def scenario() -> None:
        async with stage(**FILE, password_prompt="forced") as meter:
            await logged_in(meter)
            person = meter.knock()
            person.send(WORD.encode() + b"x\n")
            await person.hears_end()
            assert WORD not in caplog.text
            assert WORD not in repr(vars(meter.connection.network))

    run(scenario())
