"""A CUSE port without the kernel's module: the test is the kernel, over a socket that keeps
messages apart as /dev/cuse does, with a real pseudo terminal behind the port."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from typing import TYPE_CHECKING

from portline.port.cuse import wire
from portline.port.cuse.channel import Kernel
from portline.port.cuse.port import CusePort
from tests.ports import SETTINGS, FarEnd, VirtualBench, VirtualRecorder, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from portline.port.cuse.channel import Channel

__all__ = ["Answer", "Caller", "CuseBench", "ModelKernel", "StrictCuseBench"]


class Answer:
    """What came back for one request: an error number, and bytes."""

    def __init__(self, error: int, body: bytes) -> None:
        self.error = error
        self.body = body


class ModelKernel(Kernel):
    """The kernel's side of one device; every answer must be to a request without one."""

    def __init__(self, dev: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.dev = dev
        self.loop = loop
        self.socket: socket.socket | None = None
        self.waiting: dict[int, Callable[[Answer], None]] = {}
        self.asked: list[int] = []
        self.unanswered: list[int] = []
        self.woken: list[int] = []
        self.wrong: list[bytes] = []
        self.name = ""
        self.given: tuple[Path, int, str | None] | None = None
        self._unique = 0

    def connect(self, port: str) -> int:
        self.unplug()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.socket = ours
        self.waiting.clear()
        self.asked.clear()
        self.ask(wire.CUSE_INIT, wire.INIT_IN.pack(7, 38, 0, 1), self._made)
        return theirs.detach()

    def is_there(self, node: Path) -> bool:
        self.receive()
        assert self.socket is not None
        self.loop.add_reader(self.socket.fileno(), self.receive)
        return node == self.dev / self.name

    def number(self, node: Path) -> int:
        return -1

    def give_away(self, node: Path, mode: int, group: str | None) -> None:
        self.given = (node, mode, group)

    def _made(self, answer: Answer) -> None:
        size = wire.INIT_OUT.size
        assert struct.unpack_from("=8I", answer.body) == (7, 31, 0, 1, 16384, 16384, 0, 0)
        assert answer.body[size:].startswith(b"DEVNAME=")
        self.name = answer.body[size + 8 : -1].decode()

    def ask(self, opcode: int, body: bytes, done: Callable[[Answer], None], user: int = 0) -> int:
        """Ask something; return its unique number."""
        self._unique += 2
        if self.socket is None:
            done(Answer(errno.ENOTCONN, b""))
            return self._unique
        size = wire.IN_HEADER.size + len(body)
        header = wire.IN_HEADER.pack(size, opcode, self._unique, 0, user, user, 1, 0, 0)
        if opcode != wire.INTERRUPT:
            self.waiting[self._unique] = done
        self.asked.append(self._unique)
        try:
            self.socket.send(header + body)
        except OSError:
            self.receive()  # what was answered before the end
        return self._unique

    def receive(self) -> None:
        """Take what has come."""
        while self.socket is not None:
            try:
                message = self.socket.recv(1 << 17)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # told before what was sent before
            if not message:
                self.unplug()
                return
            size, error, unique = wire.OUT_HEADER.unpack_from(message)
            assert size == len(message)
            if unique == 0:
                assert error == wire.NOTIFY_POLL
                self.woken.append(struct.unpack_from("=Q", message, wire.OUT_HEADER.size)[0])
                continue
            done = self.waiting.pop(unique, None)
            if done is None:
                self.wrong.append(message)
            else:
                done(Answer(-error, message[wire.OUT_HEADER.size :]))

    def unplug(self) -> None:
        """Remove the device: who still waits would hang for ever."""
        if self.socket is not None:
            self.loop.remove_reader(self.socket.fileno())
            self.socket.close()
            self.socket = None
        self.unanswered = list(self.waiting)
        for done in list(self.waiting.values()):
            done(Answer(errno.ENOTCONN, b""))


class Caller:
    """One program that has the device open, call by call."""

    def __init__(self, kernel: ModelKernel, flags: int = 0) -> None:
        self.kernel = kernel
        self.flags = flags
        self.handle = 0

    def start(self, opcode: int, body: bytes, user: int = 0) -> tuple[int, asyncio.Future[Answer]]:
        """Begin a call; return its number and what will be its answer."""
        future: asyncio.Future[Answer] = self.kernel.loop.create_future()

        def done(answer: Answer) -> None:
            if not future.done():
                future.set_result(answer)

        return self.kernel.ask(opcode, body, done, user), future

    async def open(self, user: int = 0) -> Answer:
        _, future = self.start(wire.OPEN, wire.OPEN_IN.pack(self.flags, 0), user)
        answer = await future
        if not answer.error:
            self.handle = wire.OPEN_OUT.unpack(answer.body)[0]
        return answer

    async def close(self) -> Answer:
        return await self.start(wire.RELEASE, wire.RELEASE_IN.pack(self.handle, 0, 0, 0))[1]

    def reading(self, size: int) -> tuple[int, asyncio.Future[Answer]]:
        body = wire.TRANSFER_IN.pack(self.handle, 0, size, 0, 0, self.flags, 0)
        return self.start(wire.READ, body)

    async def read(self, size: int) -> Answer:
        return await self.reading(size)[1]

    def writing(self, data: bytes) -> tuple[int, asyncio.Future[Answer]]:
        body = wire.TRANSFER_IN.pack(self.handle, 0, len(data), 0, 0, self.flags, 0) + data
        return self.start(wire.WRITE, body)

    async def write(self, data: bytes) -> Answer:
        """Write; the answer's ``body`` is how much was taken."""
        return await self.writing(data)[1]

    def controlling(
        self, request: int, argument: int = 0, data: bytes = b"", room: int = 0
    ) -> tuple[int, asyncio.Future[Answer]]:
        body = wire.IOCTL_IN.pack(self.handle, 2, request, argument, len(data), room)
        return self.start(wire.IOCTL, body + data)

    async def ioctl(self, request: int, argument: int = 0, memory: bytes = b"") -> Answer:
        """Do as the kernel does: ask, and again with what the answer wants read or filled."""
        answer = await self.controlling(request, argument)[1]
        if answer.error:
            return answer
        _, flags, reads, fills = wire.IOCTL_OUT.unpack_from(answer.body)
        if flags & wire.RETRY:
            address, size = wire.IOVEC.unpack_from(answer.body, wire.IOCTL_OUT.size)
            assert address == argument
            assert reads + fills == 1
            data = memory[:size].ljust(size, b"\0") if reads else b""
            answer = await self.controlling(request, argument, data, size if fills else 0)[1]
        answer.body = answer.body[wire.IOCTL_OUT.size :]
        return answer

    async def poll(self, wake: int = 0, events: int = 0) -> int:
        body = wire.POLL_IN.pack(self.handle, wake, int(wake > 0), events)
        answer = await self.start(wire.POLL, body)[1]
        assert not answer.error
        return int(wire.POLL_OUT.unpack(answer.body)[0])

    def interrupt(self, unique: int) -> None:
        """Send a signal to who waits for an answer."""
        self.kernel.ask(wire.INTERRUPT, wire.NUMBER.pack(unique), lambda _: None)


class Application(FarEnd):
    """An application with one thread that reads and one that writes, behind a descriptor."""

    def __init__(self, caller: Caller) -> None:
        inner, outer = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        for end in (inner, outer):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        super().__init__(outer.detach())
        self.caller = caller
        self._inner = inner
        self._calls: set[int] = set()
        loop = caller.kernel.loop
        self._tasks = [loop.create_task(self._reads()), loop.create_task(self._writes())]

    async def _reads(self) -> None:
        while True:
            number, future = self.caller.reading(4096)
            answer = await self._wait(number, future)
            if answer.error or not answer.body:
                return
            await self.caller.kernel.loop.sock_sendall(self._inner, answer.body)

    async def _writes(self) -> None:
        while data := await self.caller.kernel.loop.sock_recv(self._inner, 4096):
            while data:
                number, future = self.caller.writing(data)
                answer = await self._wait(number, future)
                if answer.error:
                    return
                data = data[wire.WRITE_OUT.unpack(answer.body)[0] :]

    async def _wait(self, number: int, future: asyncio.Future[Answer]) -> Answer:
        self._calls.add(number)
        try:
            return await future
        finally:
            self._calls.discard(number)

    def close(self) -> None:
        if self.fd < 0:
            return
        super().close()
        for task in self._tasks:
            task.cancel()
        self._inner.close()
        if self.caller.kernel.socket is not None:
            for number in self._calls:
                self.caller.interrupt(number)
            self.caller.start(wire.RELEASE, wire.RELEASE_IN.pack(self.caller.handle, 0, 0, 0))


class CuseBench(VirtualBench):
    """A CusePort; the test is the application, and the kernel too."""

    can_be_lost = True
    much = 200_000

    def __init__(self, folder: Path) -> None:
        self.owner = VirtualRecorder()
        self.far = FarEnd(-1)
        self.channel: Channel | None = None
        self.kernel = ModelKernel(folder / "dev", asyncio.get_running_loop())
        self.virtual = CusePort(
            "virtual",
            SETTINGS,
            owner=self.owner,
            loop=asyncio.get_running_loop(),
            kernel=self.kernel,
            group=None,
            strict=self.strict,
        )
        self.port = self.virtual

    async def caller(self, flags: int = 0) -> Caller:
        """Open the device; return who did."""
        caller = Caller(self.kernel, flags)
        assert not (await caller.open()).error
        return caller

    async def application(self) -> FarEnd:
        """Open an application and wait until the port knows."""
        before = len(self.owner.used)
        self.far = Application(await self.caller())
        await until(lambda: len(self.owner.used) > before)
        return self.far

    def unplug(self) -> None:
        self.kernel.unplug()

    async def open(self) -> FarEnd:
        """Open the port and then an application; return what talks to it."""
        self.port.open()
        self.channel = self.virtual._device.channel
        return await self.application()

    def close(self) -> None:
        self.far.close()
        self.port.close()
        self.kernel.receive()
        self.kernel.unplug()
        assert not self.kernel.wrong
        if self.channel is not None:
            # What was not read from the channel ends with it, in the kernel.
            owed = self.kernel.asked[: 1 + self.channel.requests]
            assert not set(owed) & set(self.kernel.unanswered)


class StrictCuseBench(CuseBench):
    """The same with strict baudrate emulation, as fast as lines can be."""

    strict = True

    async def application(self) -> FarEnd:
        from dataclasses import replace

        from portline.line import BAUDRATE_MAX
        from portline.port.tty.termios2 import Attributes, encode, pack, unpack

        far = await super().application()
        assert isinstance(far, Application)
        fast = replace(SETTINGS, baudrate=BAUDRATE_MAX)
        found = await far.caller.ioctl(0x802C542A)
        wanted: Attributes = encode(fast, unpack(found.body))
        assert not (await far.caller.ioctl(0x402C542B, 0, pack(wanted))).error
        assert self.virtual.application.settings == fast
        self.owner.reports.clear()
        return far
