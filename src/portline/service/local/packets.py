"""Packet rules with a clock: calls the packetizer back when time completes a packet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from portline.frame.rules import Packetizer

__all__ = ["PacketFlow"]


class PacketFlow:
    """The packets of one port; ``send`` is called for each, ``full`` when back-pressure changes.

    Without ``rules`` nothing is to be fed: each chunk goes on as it comes.
    """

    def __init__(
        self,
        rules: Packetizer | None,
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

    def gather_by(self, rules: Packetizer | None) -> None:
        """Go on by other rules; what is gathered already is sent."""
        rest = self.rest()
        self.rules = rules
        if rest:
            self._send(rest)

    def feed(self, data: bytes) -> None:
        """Take a chunk of the port."""
        assert self.rules is not None
        self._pass_on(self.rules, self.rules.feed(data, self._loop.time()))

    def call_idle(self, seconds: float) -> None:
        """Regard the line as quiet after ``seconds``, from the last byte that has come."""
        if self.rules is not None:
            self.rules.idle = seconds
            self._tick()

    def rest(self) -> bytes:
        """Return what is gathered and forget it: there is nobody to send it to."""
        if self.rules is None:
            return b""
        self._stop()
        rest = self.rules.rest()
        self._full(False)
        return rest

    def _tick(self) -> None:
        if self.rules is not None:
            self._pass_on(self.rules, self.rules.tick(self._loop.time()))

    def _pass_on(self, rules: Packetizer, packets: list[bytes]) -> None:
        for packet in packets:
            self._send(packet)
        self._full(rules.full)
        self._stop()
        if (deadline := rules.deadline()) is not None:
            self._timer = self._loop.call_at(deadline, self._tick)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
