"""Where one connection listens: its addresses, and what is spoken at each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portline.net.listen import Listener

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from portline.config.values import Place
    from portline.net.stream import StreamLink

__all__ = ["Entrance"]


class Entrance:
    """The listeners of one connection.

    ``knock(link, protocol)`` is called for each newcomer, ``changed(listener)`` on news.
    """

    def __init__(
        self,
        places: Iterable[Place],
        *,
        loop: asyncio.AbstractEventLoop,
        knock: Callable[[StreamLink, str], None],
        changed: Callable[[Listener], None],
    ) -> None:
        self._loop = loop
        self._knock = knock
        self._changed = changed
        self.wanted = False
        """Whether listening is wanted now."""
        self._doors = [(place, self._made(place)) for place in places]

    @property
    def listeners(self) -> list[Listener]:
        """The listeners, in the order of the configuration."""
        return [listener for _, listener in self._doors]

    @property
    def protocols(self) -> list[str]:
        """What is spoken at each of them."""
        return [place.protocol.value for place, _ in self._doors]

    def listen(self, wanted: bool) -> None:
        """Listen now, or as soon as that is possible, or no longer."""
        self.wanted = wanted
        for listener in self.listeners:
            if wanted:
                listener.open()
            else:
                listener.close()

    def accept(self) -> None:
        """Let those knock who have connected already, without waiting for the loop to tell."""
        for listener in self.listeners:
            listener.accept()

    def move(self, places: Iterable[Place], *, wanted: bool) -> None:
        """Listen at ``places`` instead, if that is ``wanted``; where it was done it goes on.

        New places are tried in the next turn of the loop, when others have left them.
        """
        before, self._doors = self._doors, []
        for place in places:
            same = next((door for door in before if door[0] == place), None)
            if same is not None:
                before.remove(same)
            self._doors.append(same or (place, self._made(place)))
        for _, listener in before:
            listener.close()
        if not wanted:
            self.listen(False)
        self.wanted = wanted
        self._loop.call_soon(self._listen_again)

    def _listen_again(self) -> None:
        if self.wanted:
            self.listen(True)

    def _made(self, place: Place) -> Listener:
        protocol = place.protocol.value
        return Listener(
            self._loop,
            place.host,
            place.port,
            accepted=lambda link: self._knock(link, protocol),
            changed=self._changed,
        )
