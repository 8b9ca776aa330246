"""Whatever applications call, in any order: every call that a CUSE port took is answered, once.

Signals, closes, hang-ups, other settings, a port that pauses, drains that come late, and the end
of the port come in between.  The kernel is played by the test, the line discipline is the true one.
"""

from __future__ import annotations

import asyncio
import os
import struct
from pathlib import Path

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from portline.line import LineFault, ModemLines, Purge, SetInputs
from portline.port.cuse import wire
from portline.port.cuse.port import CusePort
from tests.cuse_kernel import Answer, Caller, ModelKernel
from tests.ports import SETTINGS, VirtualRecorder

ANSWER_NOW = (0x5415, 0x541B, 0x5411, 0x802C542A, 0x5401, 0x545D, 0x540E, 0x5459)
MAY_WAIT = [
    *((0x545C, 0x20), (0x545C, 0x1E0), (0x5409, 1), (0x5409, 0), (0x5425, 1), (0x5427, 0)),
    *((0x5428, 0), (0x540B, 0), (0x540B, 2), (0x540A, 0), (0x540A, 1), (0x540C, 0)),
]


def packed(cflag: int, lflag: int, vmin: int, vtime: int) -> bytes:
    cc = bytearray(19)
    cc[5], cc[6], cc[4] = vtime, vmin, 4
    cflag |= 0x1000 | 0x80
    return struct.pack("=4IB19s2I", 0, 0, cflag, lflag, 0, bytes(cc), 9600, 9600)


class Applications(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.kernel = ModelKernel(Path("/nowhere"), self.loop)
        self.owner = VirtualRecorder()
        self.port = CusePort(
            "model", SETTINGS, owner=self.owner, loop=self.loop, kernel=self.kernel, group=None
        )
        self.port.open()
        self.channel = self.port._device.channel
        self.open: list[Caller] = []
        self.calls: list[int] = []

    def turn(self) -> None:
        async def turns() -> None:
            for _ in range(6):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    def note(self, call: tuple[int, asyncio.Future[Answer]]) -> None:
        self.calls.append(call[0])
        self.turn()

    @rule(flags=st.sampled_from([0, os.O_NONBLOCK]), user=st.sampled_from([0, 1000]))
    def opens(self, flags: int, user: int) -> None:
        caller = Caller(self.kernel, flags)
        number, future = caller.start(wire.OPEN, wire.OPEN_IN.pack(flags, 0), user)

        def done(future: asyncio.Future[Answer]) -> None:
            answer = future.result()
            if not answer.error:
                caller.handle = wire.OPEN_OUT.unpack(answer.body)[0]
                self.open.append(caller)

        future.add_done_callback(done)
        self.note((number, future))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 9))
    def closes(self, which: int) -> None:
        caller = self.open.pop(which % len(self.open))
        self.note(caller.start(wire.RELEASE, wire.RELEASE_IN.pack(caller.handle, 0, 0, 0)))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 9), size=st.sampled_from([0, 1, 10, 5000]))
    def reads(self, which: int, size: int) -> None:
        self.note(self.open[which % len(self.open)].reading(size))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 9), size=st.sampled_from([0, 1, 3000, 9000]))
    def writes(self, which: int, size: int) -> None:
        self.note(self.open[which % len(self.open)].writing(bytes(size)))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 9), wake=st.integers(0, 3), events=st.sampled_from([1, 4, 5]))
    def polls(self, which: int, wake: int, events: int) -> None:
        caller = self.open[which % len(self.open)]
        body = wire.POLL_IN.pack(caller.handle, wake, int(wake > 0), events)
        self.note(caller.start(wire.POLL, body))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 9), request=st.sampled_from(ANSWER_NOW), room=st.booleans())
    def asks(self, which: int, request: int, room: bool) -> None:
        caller = self.open[which % len(self.open)]
        self.note(caller.controlling(request, 1, b"", 80 if room else 0))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 9), call=st.sampled_from(MAY_WAIT))
    def controls(self, which: int, call: tuple[int, int]) -> None:
        self.note(self.open[which % len(self.open)].controlling(*call))

    @precondition(lambda self: self.open)
    @rule(
        which=st.integers(0, 9),
        request=st.sampled_from([0x402C542B, 0x402C542C, 0x402C542D]),
        cflag=st.sampled_from([0x30, 0x30 | 0x800, 0x30 | 0x800 | 0x80000000, 0x120 | 0x800]),
        lflag=st.sampled_from([0, 2, 10]),
        vmin=st.sampled_from([0, 1, 5]),
        vtime=st.sampled_from([0, 1]),
    )
    def sets(self, which: int, request: int, cflag: int, lflag: int, vmin: int, vtime: int) -> None:
        raw = packed(cflag, lflag, vmin, vtime)
        self.note(self.open[which % len(self.open)].controlling(request, 1, raw))

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(0, 50))
    def gets_a_signal(self, which: int) -> None:
        number = self.calls[-1 - which % len(self.calls)]
        Caller(self.kernel).interrupt(number)
        self.turn()
        if self.kernel.socket is not None:
            assert number not in self.kernel.waiting, "who got a signal has an answer"

    @rule(data=st.sampled_from([b"a", b"line\n", b"\x04", bytes(5000)]))
    def the_line_sends(self, data: bytes) -> None:
        self.port.write(data)
        self.turn()

    @rule(lines=st.builds(ModemLines, cts=st.booleans(), dcd=st.booleans(), ri=st.booleans()))
    def lines_move(self, lines: ModemLines) -> None:
        self.port.submit(SetInputs(lines))
        self.turn()

    @rule(fault=st.builds(LineFault, parity=st.booleans(), break_received=st.booleans()))
    def the_line_has_a_fault(self, fault: LineFault) -> None:
        self.port.show_fault(fault)
        self.turn()

    @rule(paused=st.booleans())
    def the_owner_pauses(self, paused: bool) -> None:
        (self.port.pause_reading if paused else self.port.resume_reading)()
        self.turn()

    @rule()
    def the_owner_purges(self) -> None:
        self.port.submit(Purge(True, True))
        self.turn()

    @rule()
    def drains_end(self) -> None:
        while self.owner.draining:
            self.owner.draining.pop()()
        self.turn()

    @rule()
    def the_port_ends_and_comes_again(self) -> None:
        self.port.close()
        self.nothing_is_owed()
        self.open.clear()
        self.calls.clear()
        self.port.open()
        self.channel = self.port._device.channel

    def nothing_is_owed(self) -> None:
        self.turn()
        self.kernel.receive()
        self.kernel.unplug()
        assert self.channel is not None
        owed = self.kernel.asked[: 1 + self.channel.requests]
        assert not set(owed) & set(self.kernel.unanswered)

    @invariant()
    def no_answer_comes_twice(self) -> None:
        assert not self.kernel.wrong

    def teardown(self) -> None:
        self.port.close()
        self.nothing_is_owed()
        self.turn()
        self.loop.close()


Applications.TestCase.settings = hypothesis_settings(
    max_examples=40, stateful_step_count=40, deadline=None
)
TestApplications = Applications.TestCase
