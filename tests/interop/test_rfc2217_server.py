"""RFC 2217, the commands: each is answered once, in order, with the value in force.

Every value answered is compared with what the kernel says, not with what was asked for.
"""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

import pytest

from tests.interop.server import SUT
from tests.interop.telnet_client import SEGMENTATIONS, TelnetClient, baudrate, command

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.device import Device
    from tests.interop.server import Server

segmented = pytest.mark.parametrize("client", SEGMENTATIONS, indirect=True)

SET_BAUDRATE, SET_DATASIZE, SET_PARITY, SET_STOPSIZE, SET_CONTROL = 1, 2, 3, 4, 5
NOTIFY_LINESTATE, NOTIFY_MODEMSTATE, SUSPEND, RESUME = 6, 7, 8, 9
LINE_MASK, MODEM_MASK, PURGE = 10, 11, 12

CISCO = {3: 300, 4: 600, 5: 1200, 6: 2400, 7: 4800, 8: 9600}
CISCO |= {10: 19200, 12: 38400, 13: 57600, 14: 115200, 15: 230400}

RATES = (50, 300, 1200, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
ODD_RATES = (12345, 31250, 65280, 250000, 16711935, 1000000, 4000000)  # 65280 = 00 00 FF 00


def number(value: bytes) -> int:
    assert len(value) == 4, value
    return int(struct.unpack("!I", value)[0])


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", RATES + ODD_RATES)
@segmented
def test_baudrate_is_set(client: TelnetClient, shared_device: Device, rate: int) -> None:
    ((code, value),) = client.exchange(baudrate(rate))
    assert code == 101
    assert number(value) == shared_device.in_force().baudrate
    if rate <= 4_000_000:  # a pty does them all; above, a server may have a bound
        assert number(value) == rate


@pytest.mark.parametrize("rate", [1, 49, 0x7FFFFFFF, 0xFFFFFFFF])
@segmented
def test_impossible_baudrate_is_answered_with_the_one_in_force(
    client: TelnetClient, shared_device: Device, rate: int
) -> None:
    client.exchange(baudrate(19200))
    ((code, value),) = client.exchange(baudrate(rate))
    assert (code, number(value)) == (101, shared_device.in_force().baudrate)


@pytest.mark.parametrize("code", CISCO)
@segmented
def test_baudrate_as_cisco_writes_it(
    client: TelnetClient, shared_device: Device, code: int
) -> None:
    client.exchange(baudrate(110))
    value = client.ask(SET_BAUDRATE, code)
    assert shared_device.in_force().baudrate == CISCO[code]
    assert value in (bytes((code,)), struct.pack("!I", CISCO[code]))


@pytest.mark.parametrize("size", [5, 6, 7, 8, 4, 9, 99, 255])
@segmented
def test_data_size(client: TelnetClient, shared_device: Device, size: int) -> None:
    value = client.ask(SET_DATASIZE, size)
    assert value == bytes((shared_device.in_force().data_size,))


@pytest.mark.parametrize("parity", [1, 2, 3, 4, 5, 6, 99, 255])
@segmented
def test_parity(client: TelnetClient, shared_device: Device, parity: int) -> None:
    value = client.ask(SET_PARITY, parity)
    assert value == bytes((shared_device.in_force().parity,))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 99, 255])
@segmented
def test_stop_size(client: TelnetClient, shared_device: Device, size: int) -> None:
    client.ask(SET_STOPSIZE, 1)
    value = client.ask(SET_STOPSIZE, size)
    assert value == bytes((shared_device.in_force().stop_size,))
    if size in (1, 2):
        assert value == bytes((size,))


@pytest.mark.parametrize("flow", [1, 2, 3])
@segmented
def test_flow_control(client: TelnetClient, shared_device: Device, flow: int) -> None:
    value = client.ask(SET_CONTROL, flow)
    assert value == bytes((flow,))
    assert flow in shared_device.in_force().flow_out


@pytest.mark.parametrize("outbound", [1, 2, 3])
@pytest.mark.parametrize("inbound", [14, 15, 16])
@segmented
def test_inbound_flow_control(
    client: TelnetClient, shared_device: Device, outbound: int, inbound: int
) -> None:
    client.ask(SET_CONTROL, outbound)
    (value,) = client.ask(SET_CONTROL, inbound)
    assert value in shared_device.in_force().flow_in
    (value,) = client.ask(SET_CONTROL, 0)
    assert value in shared_device.in_force().flow_out


@pytest.mark.parametrize("flow", [17, 18, 19])
@segmented
def test_flow_control_by_other_lines_is_answered_with_the_one_in_force(
    client: TelnetClient, shared_device: Device, flow: int
) -> None:
    (value,) = client.ask(SET_CONTROL, flow)
    assert value in shared_device.in_force().flow_out | shared_device.in_force().flow_in


@pytest.mark.parametrize("asked_twice", [False, True])
@segmented
def test_queries_tell_what_is_in_force(
    client: TelnetClient, shared_device: Device, asked_twice: bool
) -> None:
    client.exchange(baudrate(57600) + command(SET_STOPSIZE, 2) + command(SET_CONTROL, 2))
    queries = [(SET_BAUDRATE, bytes(4)), (SET_DATASIZE, b"\0"), (SET_PARITY, b"\0")]
    queries += [(SET_STOPSIZE, b"\0"), (SET_CONTROL, b"\0"), (SET_CONTROL, b"\x0d")]
    queries *= 1 + asked_twice
    before = shared_device.in_force()
    replies = client.exchange(b"".join(command(*query) for query in queries))
    now = shared_device.in_force()
    assert now == before
    assert [code for code, _ in replies] == [code + 100 for code, _ in queries]
    values = [value for _, value in replies]
    for at in range(0, len(queries), 6):
        assert number(values[at]) == now.baudrate
        assert values[at + 1 : at + 4] == [
            bytes((value,)) for value in (now.data_size, now.parity, now.stop_size)
        ]
        assert values[at + 4][0] in now.flow_out
        assert values[at + 5][0] in now.flow_in


@segmented
def test_one_setting_leaves_the_others(client: TelnetClient, shared_device: Device) -> None:
    client.exchange(baudrate(38400) + command(SET_STOPSIZE, 2) + command(SET_CONTROL, 3))
    client.exchange(command(SET_PARITY, 2) + command(SET_DATASIZE, 7) + command(PURGE, 3))
    now = shared_device.in_force()
    assert (now.baudrate, now.stop_size, now.flow_out) == (38400, 2, frozenset({3}))


@segmented
def test_impossible_value_changes_nothing(client: TelnetClient, shared_device: Device) -> None:
    client.exchange(baudrate(38400) + command(SET_STOPSIZE, 2) + command(SET_CONTROL, 1))
    before = shared_device.in_force()
    for code, value in [(SET_DATASIZE, 99), (SET_PARITY, 77), (SET_STOPSIZE, 66)]:
        client.ask(code, value)
    client.exchange(command(SET_CONTROL, 200))
    assert shared_device.in_force() == before


# --- lines and break -----------------------------------------------------------------------------


@pytest.mark.parametrize(("query", "on", "off"), [(7, 8, 9), (10, 11, 12)], ids=["dtr", "rts"])
@segmented
def test_lines_that_a_pty_lacks_are_remembered(
    client: TelnetClient, query: int, on: int, off: int
) -> None:
    for value in (on, off, off, on, on):
        assert client.ask(SET_CONTROL, value) == bytes((value,))
        assert client.ask(SET_CONTROL, query) == bytes((value,))


@segmented
def test_dtr_and_rts_are_apart(client: TelnetClient) -> None:
    client.exchange(command(SET_CONTROL, 8) + command(SET_CONTROL, 12))
    assert client.ask(SET_CONTROL, 7) == b"\x08"
    assert client.ask(SET_CONTROL, 10) == b"\x0c"


@segmented
def test_break_is_answered_with_the_state_in_force(client: TelnetClient) -> None:
    assert client.ask(SET_CONTROL, 4) == b"\x06"
    answered = client.ask(SET_CONTROL, 5)
    assert answered in (b"\x05", b"\x06")  # a pty cannot send one; either way, one truth:
    assert client.ask(SET_CONTROL, 4) == answered
    assert client.ask(SET_CONTROL, 6) == b"\x06"
    assert client.ask(SET_CONTROL, 4) == b"\x06"


# --- notifications and masks ---------------------------------------------------------------------


@pytest.mark.parametrize("code", [LINE_MASK, MODEM_MASK], ids=["line", "modem"])
@pytest.mark.parametrize("mask", [0, 1, 15, 16, 127, 128, 240, 254, 255])
@segmented
def test_mask_is_confirmed(client: TelnetClient, code: int, mask: int) -> None:
    assert client.ask(code, mask) == bytes((mask,))


@segmented
def test_modem_state_is_told_after_the_agreement(client: TelnetClient) -> None:
    assert [notice[0] for notice in client.notices] == [107]
    assert client.notices[0][1] == b"\0"  # a pty has none of the lines; no delta bits


@pytest.mark.parametrize("value", [b"", b"\0"], ids=["empty", "zero"])
@segmented
def test_modem_state_is_told_when_asked_for(client: TelnetClient, value: bytes) -> None:
    client.notices.clear()
    client.exchange(command(NOTIFY_MODEMSTATE, value) * 3)
    assert client.notices == [(107, b"\0")] * 3


@segmented
def test_modem_state_is_told_when_asked_for_with_a_mask_of_nothing(client: TelnetClient) -> None:
    client.ask(MODEM_MASK, 0)
    client.notices.clear()
    client.exchange(command(NOTIFY_MODEMSTATE))
    assert client.notices == [(107, b"\0")]


@segmented
def test_line_state_is_silent_by_default(client: TelnetClient, shared_device: Device) -> None:
    shared_device.write(b"data")
    client.read(4)
    client.exchange(b"")
    assert not [notice for notice in client.notices if notice[0] == 106]


@segmented
def test_line_state_may_be_asked_for(client: TelnetClient) -> None:
    client.notices.clear()
    assert client.exchange(command(NOTIFY_LINESTATE, 0)) == []
    assert [notice[0] for notice in client.notices] in ([], [106])


# --- purge, suspend, resume ----------------------------------------------------------------------


@pytest.mark.parametrize("what", [1, 2, 3])
@segmented
def test_purge_is_confirmed(client: TelnetClient, what: int) -> None:
    assert client.ask(PURGE, what) == bytes((what,))


@pytest.mark.parametrize("what", [0, 4, 255])
@segmented
def test_purge_of_something_else_is_no_fault(client: TelnetClient, what: int) -> None:
    replies = client.exchange(command(PURGE, what))
    assert [reply[0] for reply in replies] in ([], [112])
    assert client.ask(PURGE, 1) == b"\1"


@pytest.mark.parametrize("what", [1, 2, 3])
@segmented
def test_purge_spares_what_comes_after_it(
    client: TelnetClient, shared_device: Device, what: int
) -> None:
    client.exchange(command(PURGE, what) + b"after")
    assert shared_device.read(5) == b"after"


@segmented
def test_purge_of_what_was_received_spares_what_is_sent(
    client: TelnetClient, shared_device: Device
) -> None:
    client.exchange(b"before" + command(PURGE, 1) + b"after")
    assert shared_device.read(11) == b"beforeafter"


def test_purge_empties_what_waits_for_the_device(
    client: TelnetClient, shared_device: Device
) -> None:
    client.send(b"x" * 60000)  # a pty swallows about 20000 of them while the device does not read
    assert client.ask(PURGE, 2) == b"\2"
    client.send(b"end")
    received = shared_device.read_until(b"end")
    assert received.endswith(b"end")
    assert len(received) < 60000


@segmented
def test_purge_empties_what_waits_for_the_client(
    client: TelnetClient, shared_device: Device
) -> None:
    client.exchange(command(SUSPEND))
    shared_device.write(b"old")
    assert client.nothing_for(0.2)
    client.exchange(command(PURGE, 1) + command(RESUME))
    shared_device.write(b"new")
    assert client.read(3) == b"new"


@segmented
def test_suspend_holds_data_but_not_replies(client: TelnetClient, shared_device: Device) -> None:
    assert client.exchange(command(SUSPEND)) == []
    shared_device.write(b"held")
    assert client.nothing_for(0.2)
    assert client.ask(SET_STOPSIZE, 1) == b"\1"
    assert client.nothing_for(0)
    assert client.exchange(command(RESUME)) == []
    assert client.read(4) == b"held"


@segmented
def test_suspend_twice_is_resumed_once(client: TelnetClient, shared_device: Device) -> None:
    client.exchange(command(SUSPEND) * 2 + command(RESUME))
    shared_device.write(b"goes on")
    assert client.read(7) == b"goes on"


@segmented
def test_suspend_ends_with_the_session(
    client: TelnetClient, shared_device: Device, access_server: Server
) -> None:
    client.exchange(command(SUSPEND))
    client.close()
    with TelnetClient(access_server.port) as successor:
        successor.agree()
        shared_device.write(b"for the next")
        assert successor.read(12) == b"for the next"


# --- signature -----------------------------------------------------------------------------------


@segmented
def test_signature_names_the_product(client: TelnetClient) -> None:
    client.replies.clear()
    client.send(command(0))
    client.until(lambda: bool(client.replies))
    ((code, text),) = client.replies
    assert code == 100
    assert text
    assert text.decode("ascii").isprintable()
    assert len(text) <= 200  # older gensio cuts longer ones
    assert SUT in text.decode("ascii").lower()


@pytest.mark.parametrize("text", [b"a client", b"\xff", b"long" * 100], ids=["text", "iac", "long"])
@segmented
def test_signature_of_the_client_is_not_answered(client: TelnetClient, text: bytes) -> None:
    assert client.exchange(command(0, text)) == []


# --- malformed and unknown -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", [*range(13, 40, 3), 44, 0x33, 0x37, *range(99, 113), 200, 254, 255]
)
@segmented
def test_unknown_command_is_ignored(client: TelnetClient, code: int) -> None:
    client.notices.clear()
    assert client.exchange(command(code, 1)) == []
    assert client.notices == []


@pytest.mark.parametrize("length", [0, 2, 3, 5, 8])
@segmented
def test_baudrate_of_a_wrong_length_is_ignored(
    client: TelnetClient, shared_device: Device, length: int
) -> None:
    client.exchange(baudrate(9600))
    assert client.exchange(command(SET_BAUDRATE, b"\1" * length)) == []
    assert shared_device.in_force().baudrate == 9600


@pytest.mark.parametrize("code", [2, 3, 4, 5, 10, 11, 12])
@pytest.mark.parametrize("length", [0, 2])
@segmented
def test_value_of_a_wrong_length_is_ignored(client: TelnetClient, code: int, length: int) -> None:
    assert client.exchange(command(code, b"\1" * length)) == []


@pytest.mark.parametrize("value", [20, 99, 255])
@segmented
def test_unknown_control_is_answered_once_at_most(client: TelnetClient, value: int) -> None:
    replies = client.exchange(command(SET_CONTROL, value))
    assert [reply[0] for reply in replies] in ([], [105])


# --- order ---------------------------------------------------------------------------------------

MIXED = [
    (command(SET_DATASIZE, 8), (102, b"\x08")),
    (command(SET_PARITY, 1), (103, b"\1")),
    (command(SET_STOPSIZE, 2), (104, b"\2")),
    (command(SET_STOPSIZE, 0), (104, b"\2")),
    (command(SET_STOPSIZE, 1), (104, b"\1")),
    (command(SET_CONTROL, 3), (105, b"\3")),
    (command(SET_CONTROL, 1), (105, b"\1")),
    (command(SET_CONTROL, 8), (105, b"\x08")),
    (command(SET_CONTROL, 12), (105, b"\x0c")),
    (command(SET_CONTROL, 7), (105, b"\x08")),
    (command(MODEM_MASK, 255), (111, b"\xff")),
    (command(LINE_MASK, 0), (110, b"\0")),
    (command(PURGE, 1), (112, b"\1")),
    *((baudrate(rate), (101, struct.pack("!I", rate))) for rate in (300, 65280, 115200)),
]


def shuffled(count: int) -> tuple[bytes, list[tuple[int, bytes]]]:
    """Return commands in a random order whose answers do not depend on it, and these answers."""
    free = [pair for pair in MIXED if pair[0] not in (MIXED[3][0], MIXED[9][0])]
    chosen = random.Random(count).choices(free, k=count)
    return b"".join(pair[0] for pair in chosen), [pair[1] for pair in chosen]


@segmented
def test_replies_come_in_order(client: TelnetClient) -> None:
    assert client.exchange(b"".join(pair[0] for pair in MIXED)) == [pair[1] for pair in MIXED]


@pytest.mark.parametrize("count", [100, 5000])
def test_many_commands_in_one_piece(client: TelnetClient, count: int) -> None:
    octets, replies = shuffled(count)
    client.replies.clear()
    client.send_while_reading(octets)
    client.until(lambda: len(client.replies) >= count)
    assert client.replies == replies
    assert client.exchange(b"") == []


def test_many_queries_before_the_first_reply_is_read(client: TelnetClient) -> None:
    replies = client.exchange(command(SET_STOPSIZE, 1) + command(SET_STOPSIZE, 0) * 2000)
    assert replies == [(104, b"\1")] * 2001


@segmented
def test_order_of_commands_and_data(client: TelnetClient, shared_device: Device) -> None:
    octets = b"A" + baudrate(300) + b"B\xff\xff" + command(SET_STOPSIZE, 2) + b"C"
    octets += command(SET_STOPSIZE, 0) + baudrate(19200) + b"D"
    replies = client.exchange(octets)
    assert [code for code, _ in replies] == [101, 104, 104, 101]
    assert replies[2][1] == b"\2"
    assert shared_device.read(5) == b"AB\xffCD"
    assert shared_device.in_force().baudrate == 19200


def test_long_data_with_commands_between(client: TelnetClient, shared_device: Device) -> None:
    blocks = [bytes([index]) * 200 for index in range(100)]
    octets = b"".join(
        block.replace(b"\xff", b"\xff\xff") + baudrate(300 + index)
        for index, block in enumerate(blocks)
    )
    client.replies.clear()
    client.send(octets)
    assert shared_device.read(20000) == b"".join(blocks)
    client.until(lambda: len(client.replies) >= 100)
    assert [number(value) for _, value in client.replies] == list(range(300, 400))


# --- who may connect -----------------------------------------------------------------------------


def test_second_client_is_told_who_holds_the_port(
    client: TelnetClient, access_server: Server, shared_device: Device
) -> None:
    with TelnetClient(access_server.port) as second:
        second.until_closed()
        text = second.data.decode("ascii")
    holder, port = client.socket.getsockname()
    assert holder in text
    if SUT == "portline":
        assert str(port) in text
    assert text.endswith("\r\n")
    assert text.strip().isprintable()
    shared_device.write(b"undisturbed")
    assert client.read(11) == b"undisturbed"


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("unread", [False, True], ids=["read", "unread"])
def test_port_is_free_as_soon_as_its_holder_has_gone(
    client: TelnetClient, access_server: Server, shared_device: Device, end: str, unread: bool
) -> None:
    """A program that closes its port and opens it again at once must not be locked out by itself.

    The end of the first connection is there before the second begins, if anybody looks for it.
    """
    for _ in range(20):
        if unread:
            shared_device.write(b"data that the client leaves unread")
            client.send(b"data" + command(SET_STOPSIZE, 1))
        getattr(client, end)()
        client = TelnetClient(access_server.port)
        client.agree()
    client.close()
    shared_device.drain()


def test_settings_survive_a_device_that_comes_back(
    client: TelnetClient, device: Device, share: Callable[..., Server]
) -> None:
    server = share()
    with TelnetClient(server.port) as own:
        own.agree()
        own.exchange(baudrate(19200) + command(SET_STOPSIZE, 2))
        device.unplug()
        device.plug()
        server_reopened(own, device)
        assert (device.in_force().baudrate, device.in_force().stop_size) == (19200, 2)
        assert number(own.ask(SET_BAUDRATE, bytes(4))) == 19200


def server_reopened(client: TelnetClient, device: Device) -> None:
    """Wait until data of the client reaches the device again."""
    received = b""
    for _ in range(150):
        client.send(b"?")
        received += device.read(1, 0.1)
        if received:
            return
    raise AssertionError("the device came back and is not used")
