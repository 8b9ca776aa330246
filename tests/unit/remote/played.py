"""A server with a serial port, played by the test in an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from portline.line import Item, ModemChange, ModemLines, PortState, Query, Report, Request, Watch
from portline.net.listen import Listener
from portline.net.stream import StreamLink
from portline.wire.rfc2217 import Rfc2217Wire
from tests.helpers import carry_out

__all__ = ["Played"]


class Played:
    """Serves RFC 2217 (or with ``raw`` only data) to whoever connects.

    ``obeys(request)``: whether it does what it is asked.  ``answers(request)``: whether it says
    anything at all.  ``farewell``: what it says instead of talking.  ``silent``: says nothing.
    """

    def __init__(
        self,
        *,
        raw: bool = False,
        silent: bool = False,
        farewell: bytes | None = None,
        obeys: Callable[[Request], bool] = lambda request: True,
        answers: Callable[[Request], bool] = lambda request: True,
    ) -> None:
        self.raw, self.silent, self.farewell = raw, silent, farewell
        self.obeys, self.answers = obeys, answers
        self.state = PortState(lines=ModemLines(cts=True))
        self.asked: list[Request] = []
        self.received = bytearray()
        self.echoes = False
        self.wire: Any = None
        self.link: Any = None
        self._loop = asyncio.get_running_loop()
        self._listener = Listener(self._loop, "127.0.0.1", 0, accepted=self._accept)
        self._listener.open()
        self.address = self._listener.address

    @property
    def url(self) -> str:
        return f"{'raw' if self.raw else 'rfc2217'}://{self.address}"

    @property
    def done(self) -> list[Request]:
        """What was asked of it, without queries."""
        return [request for request in self.asked if not isinstance(request, Query)]

    def close(self) -> None:
        self._listener.close()
        if self.link is not None:
            self.link.abort()

    async def __aenter__(self) -> Played:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()

    def _accept(self, link: StreamLink) -> None:
        self.link = link
        if self.farewell is not None:
            link.finish(self.farewell)
            return
        link.start(self)
        self.wire = Rfc2217Wire(serves=True, asks=False, signature="played")
        if not (self.raw or self.silent):
            link.write(self.wire.start(0.0))

    def say(self, data: bytes) -> None:
        """Send what the device says."""
        self.link.write(data if self.raw else self.wire.encode(data))

    def tell(self, report: Report) -> None:
        if isinstance(report, ModemChange):
            self.state = replace(self.state, lines=report.lines)
        self.link.write(self.wire.report(report, 0.0))

    def link_data(self, data: bytes) -> None:
        events = [data] if self.raw or self.silent else self.wire.feed(data, 0.0)
        for event in events:
            match event:
                case bytes():
                    self.received += event
                    if self.echoes:
                        self.say(event)
                case Watch():
                    pass
                case Query(Item.MODEM_MASK | Item.LINE_MASK):
                    self.link.write(self.wire.answer(event, self.state))
                case _:
                    self.asked.append(event)
                    if self.obeys(event):
                        self.state = carry_out(event, self.state)
                    if self.answers(event):
                        self.link.write(self.wire.answer(event, self.state))
        if words := self.wire.outgoing():
            self.link.write(words)

    def link_eof(self) -> None:
        self.link.finish()

    def link_ready(self) -> None:
        pass

    def link_lost(self, reason: str) -> None:
        pass
