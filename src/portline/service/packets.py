"""Packet rules with a clock: calls the packetizer back when time completes a packet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.frame.rules import Packetizer

__all__ = ["PacketFlow"]


class PacketFlow:
    """The packets of one port; ``send`` is called for each, ``full`` when back-pressure changes."""

    def __init__(
        self,
        rules: Packetizer,
        *,
        loop: asyncio.AbstractEventLoop,
        send: Callable[[bytes], None],
        full: Callable[[bool], None],
    ) -> None:
        self.rules = rules
        self._loop = loop
        self._send = send
        self._full = full
        self._timer: asyncio.TimerHandle | None = None

    @property
    def coming(self) -> bool:
        """Whether a packet is to be sent when its time has come."""
        return self._timer is not None

    def feed(self, data: bytes) -> None:
        """Take a chunk of the port."""
        self._pass_on(self.rules.feed(data, self._loop.time()))

    def call_idle(self, seconds: float) -> None:
        """Regard the line as quiet after ``seconds``, from the last byte that has come."""
        self.rules.idle = seconds
        self._tick()

    def rest(self) -> bytes:
        """Return what is gathered and forget it: there is nobody to send it to."""
        self._stop()
        rest = self.rules.rest()
        self._full(False)
        return rest

    def _tick(self) -> None:
        self._pass_on(self.rules.tick(self._loop.time()))

    def _pass_on(self, packets: list[bytes]) -> None:
        for packet in packets:
            self._send(packet)
        self._full(self.rules.full)
        self._stop()
        if (deadline := self.rules.deadline()) is not None:
            self._timer = self._loop.call_at(deadline, self._tick)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
