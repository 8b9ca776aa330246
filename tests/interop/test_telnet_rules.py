"""Telnet, as an RFC 2217 server has to speak it: negotiation, escapes, and no loops."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.interop.telnet_client import (
    BINARY,
    BREAK,
    COM_PORT,
    DO,
    DONT,
    ECHO,
    IAC,
    NOP,
    SB,
    SE,
    SEGMENTATIONS,
    SGA,
    WILL,
    WONT,
    TelnetClient,
    command,
    escape,
    option,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.interop.device import Device
    from tests.interop.server import Server

SUPPORTED = {BINARY, ECHO, SGA, COM_PORT}
UNKNOWN = [code for code in range(256) if code not in SUPPORTED]
EVERY_OCTET = bytes(range(256))


@pytest.fixture
def stranger(
    request: pytest.FixtureRequest, access_server: Server, shared_device: Device
) -> Iterator[TelnetClient]:
    """A client that has not said anything yet."""
    shared_device.drain()
    TelnetClient.when_free(access_server.port).close()
    with TelnetClient(access_server.port, getattr(request, "param", "whole")) as made:
        yield made


segmented = pytest.mark.parametrize("client", SEGMENTATIONS, indirect=True)
segmented_stranger = pytest.mark.parametrize("stranger", SEGMENTATIONS, indirect=True)


# --- negotiation ---------------------------------------------------------------------------------


def test_server_offers_rfc2217_first(stranger: TelnetClient) -> None:
    stranger.until(lambda: (DO, COM_PORT) in stranger.options)


def test_data_passes_without_any_negotiation(stranger: TelnetClient, shared_device: Device) -> None:
    stranger.send(b"hello")
    assert shared_device.read(5) == b"hello"
    shared_device.write(b"world")
    assert stranger.read(5) == b"world"


@segmented_stranger
def test_will_of_the_client_is_agreed_to_once(stranger: TelnetClient) -> None:
    stranger.send(option(WILL, COM_PORT) * 3)
    stranger.until(lambda: (DO, COM_PORT) in stranger.options)
    stranger.exchange(b"")
    assert stranger.options.count((DO, COM_PORT)) == 1


@segmented_stranger
def test_do_of_an_odd_client_is_agreed_to_once(stranger: TelnetClient) -> None:
    stranger.send(option(DO, COM_PORT) * 3)
    stranger.until(lambda: (WILL, COM_PORT) in stranger.options)
    stranger.exchange(b"")
    assert stranger.options.count((WILL, COM_PORT)) == 1


@segmented_stranger
def test_commands_right_behind_will_are_answered(stranger: TelnetClient) -> None:
    stranger.send(option(WILL, COM_PORT) + command(4, 1) + command(2, 0))
    stranger.until(lambda: len(stranger.replies) == 2)
    assert [code for code, _ in stranger.replies] == [104, 102]


@pytest.mark.parametrize("code", [BINARY, SGA])
@segmented
def test_binary_and_suppress_go_ahead_are_agreed_to(client: TelnetClient, code: int) -> None:
    client.exchange(option(WILL, code) * 5 + option(DO, code) * 5)
    assert client.options.count((DO, code)) == 1
    assert client.options.count((WILL, code)) == 1
    assert (DONT, code) not in client.options
    assert (WONT, code) not in client.options


def test_echo_is_not_offered(client: TelnetClient) -> None:
    assert not {(WILL, ECHO), (DO, ECHO)} & set(client.options)


@segmented
def test_echo_is_answered_once(client: TelnetClient) -> None:
    client.exchange(option(DO, ECHO))
    assert len([verb for verb, code in client.options if code == ECHO]) == 1


@segmented
def test_unknown_options_are_refused_each(client: TelnetClient) -> None:
    client.options.clear()
    client.exchange(b"".join(option(WILL, code) + option(DO, code) for code in UNKNOWN))
    refused = [code for code in client.options if code[1] not in SUPPORTED]
    assert refused == [pair for code in UNKNOWN for pair in ((DONT, code), (WONT, code))]


@segmented
def test_refusals_of_what_was_never_agreed_are_not_answered(client: TelnetClient) -> None:
    client.options.clear()
    client.exchange(b"".join(option(WONT, code) + option(DONT, code) for code in UNKNOWN))
    assert client.options == []


@pytest.mark.parametrize(("verb", "answer"), [(WILL, DONT), (DO, WONT)], ids=["will", "do"])
def test_storm_of_an_unknown_option_is_refused_each_time(
    client: TelnetClient, verb: int, answer: int
) -> None:
    client.options.clear()
    client.exchange(option(verb, 99) * 1000)
    assert client.options == [(answer, 99)] * 1000


@pytest.mark.parametrize("opposite", [False, True], ids=["agreeing", "contradicting"])
def test_client_that_answers_everything_makes_no_loop(client: TelnetClient, opposite: bool) -> None:
    answers = {DO: WILL, DONT: WONT, WILL: DO, WONT: DONT}
    if opposite:  # of what is offered; who asks again for what is refused makes the loop himself
        answers = {DO: WONT, WILL: DONT}
    client.send(b"".join(option(verb, code) for verb in (DO, WILL) for code in range(50)))
    answered = 0
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        client.pump(0.1)
        for verb, code in client.options[answered:]:
            if verb in answers:
                client.send(option(answers[verb], code))
            answered += 1
    assert answered <= 250  # 100 refusals, and not one for each answer to an answer, for ever
    client.pump(0.1)
    assert len(client.options) - answered < 60


@segmented
def test_terminal_options_are_refused_and_do_not_leak(
    client: TelnetClient, shared_device: Device
) -> None:
    window = bytes((IAC, SB, 31, 0, 80, 0, 24, IAC, SE))
    kind = bytes((IAC, SB, 24, 0)) + b"xterm" + bytes((IAC, SE))
    client.exchange(option(WILL, 31) + option(WILL, 24) + window + kind + b"data")
    assert {(DONT, 31), (DONT, 24)} <= set(client.options)
    assert shared_device.read(4) == b"data"


@segmented
def test_session_goes_on_after_the_client_takes_binary_back(
    client: TelnetClient, shared_device: Device
) -> None:
    client.exchange(option(WILL, BINARY) + option(WONT, BINARY) + option(DONT, SGA))
    client.exchange(EVERY_OCTET[:255])
    assert shared_device.read(255) == EVERY_OCTET[:255]


# --- data ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("binary", [False, True], ids=["nvt", "binary"])
@segmented
def test_every_octet_reaches_the_device(
    client: TelnetClient, shared_device: Device, binary: bool
) -> None:
    if binary:
        client.exchange(option(WILL, BINARY) + option(DO, BINARY))
    client.send(escape(EVERY_OCTET * 2))
    assert shared_device.read(512) == EVERY_OCTET * 2


@pytest.mark.parametrize("binary", [False, True], ids=["nvt", "binary"])
def test_every_octet_reaches_the_client(
    client: TelnetClient, shared_device: Device, binary: bool
) -> None:
    if binary:
        client.exchange(option(WILL, BINARY) + option(DO, BINARY))
    shared_device.write(EVERY_OCTET * 2)
    assert client.read(512) == EVERY_OCTET * 2


LINE_ENDS = [b"\r\0", b"\r\n", b"\r", b"\n", b"\0\0\r\0\0", b"\r\r\0\n\r", b"\xff\r\0\xff"]


@pytest.mark.parametrize("binary", [False, True], ids=["nvt", "binary"])
@segmented
def test_line_ends_are_data(client: TelnetClient, shared_device: Device, binary: bool) -> None:
    """Peers in practice never pad a CR; whoever drops NULs spoils binary data."""
    if binary:
        client.exchange(option(WILL, BINARY) + option(DO, BINARY))
    data = b"|".join(LINE_ENDS) + b"."
    client.send(escape(data))
    assert shared_device.read(len(data)) == data
    shared_device.write(data)
    assert client.read(len(data)) == data


@segmented
def test_runs_of_iac_are_data(client: TelnetClient, shared_device: Device) -> None:
    client.send(escape(b"\xff" * 300 + b"."))
    assert shared_device.read(301) == b"\xff" * 300 + b"."
    shared_device.write(b"\xff" * 300 + b".")
    assert client.read(301) == b"\xff" * 300 + b"."


# --- commands of Telnet itself -------------------------------------------------------------------


@pytest.mark.parametrize("code", [SE, NOP, 242, 244, 245, 247, 248, 249, 236, 239, 100, 0])
@segmented
def test_telnet_command_is_not_data(client: TelnetClient, shared_device: Device, code: int) -> None:
    """Data mark, interrupt, abort, erase, go ahead, a stray SE, and what nobody has defined."""
    client.exchange(b"a" + bytes((IAC, code)) + b"b")
    assert shared_device.read(2) == b"ab"


@segmented
def test_are_you_there(client: TelnetClient, shared_device: Device) -> None:
    client.exchange(b"a" + bytes((IAC, 246)) + b"b")
    assert shared_device.read(2) == b"ab"
    assert bytes(client.data).strip() in (b"", b"[Yes]")


@segmented
def test_telnet_break_is_no_data_and_no_fault(client: TelnetClient, shared_device: Device) -> None:
    client.exchange(b"a" + bytes((IAC, BREAK)) + b"b")
    assert shared_device.read(2) == b"ab"
    assert client.ask(5, 4) == b"\x06"


# --- suboptions ----------------------------------------------------------------------------------


@segmented
def test_suboption_of_another_option_is_ignored(
    client: TelnetClient, shared_device: Device
) -> None:
    client.exchange(b"a" + bytes((IAC, SB, 99, 1, IAC, IAC, 2, IAC, SE)) + b"b")
    assert shared_device.read(2) == b"ab"


@segmented
def test_empty_suboption_is_ignored(client: TelnetClient, shared_device: Device) -> None:
    empty = bytes((IAC, SB, IAC, SE)) + bytes((IAC, SB, COM_PORT, IAC, SE))
    assert client.exchange(b"a" + empty + b"b") == []
    assert shared_device.read(2) == b"ab"


@pytest.mark.parametrize("size", [300, 5000, 200_000])
def test_oversize_suboption_is_skipped(
    client: TelnetClient, shared_device: Device, size: int
) -> None:
    long = bytes((IAC, SB, COM_PORT, 1)) + b"\1" * size + bytes((IAC, SE))
    client.replies.clear()
    client.send_while_reading(b"a" + long + b"b" + command(4, 1))
    client.until(lambda: bool(client.replies))
    assert client.replies == [(104, b"\1")]
    assert shared_device.read(2) == b"ab"


@segmented
def test_server_recovers_from_a_suboption_without_an_end(
    client: TelnetClient, shared_device: Device
) -> None:
    broken = bytes((IAC, SB, COM_PORT, 1, 0, 0)) + option(WILL, 24)
    client.exchange(broken + bytes((IAC, SE)) + command(4, 1))
    client.exchange(b"fine")
    assert shared_device.read(4).endswith(b"fine")
    assert client.ask(4, 1) == b"\1"


# --- the end -------------------------------------------------------------------------------------


@segmented
def test_half_closed_client_still_gets_its_answers(client: TelnetClient) -> None:
    client.replies.clear()
    client.send(command(4, 1) + command(2, 0))
    client.finish()
    client.until(lambda: len(client.replies) == 2)
    assert [code for code, _ in client.replies] == [104, 102]
