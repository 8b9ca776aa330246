"""What can be known of a remote port without asking: the part of a port that only looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portline.errors import UsageError

if TYPE_CHECKING:
    from portline.line import LineSettings, ModemLines
    from portline.remote.cable import Cable

__all__ = ["Knowledge"]


class Knowledge:
    """What a server has told of its port; of a raw one, which tells nothing, UsageError."""

    def __init__(self, name: str, cable: Cable | None) -> None:
        self.name = name
        """The URL."""
        self._cable = cable

    @property
    def raw(self) -> bool:
        """Tell whether it carries data only: no settings, no lines."""
        return self._cable is None

    @property
    def settings(self) -> LineSettings:
        """The settings in force, as the server told them; the default ones where it did not."""
        return self._known.state.settings

    @property
    def lines(self) -> ModemLines:
        """The lines that the port reads, as the server told them last."""
        return self._known.state.lines

    @property
    def cts(self) -> bool:
        """Clear to send."""
        return self.lines.cts

    @property
    def dsr(self) -> bool:
        """Data set ready."""
        return self.lines.dsr

    @property
    def dcd(self) -> bool:
        """Data carrier detected."""
        return self.lines.dcd

    @property
    def ri(self) -> bool:
        """Ring indicator."""
        return self.lines.ri

    @property
    def dtr(self) -> bool:
        """Data terminal ready, as the server told it last; see :meth:`set_lines`."""
        return self._known.state.dtr

    @property
    def rts(self) -> bool:
        """Request to send, as the server told it last; see :meth:`set_lines`."""
        return self._known.state.rts

    @property
    def tells_outputs(self) -> bool:
        """Tell whether the server has ever told DTR or RTS; one whose port has none may not."""
        return self._cable is not None and self._cable.tells_outputs

    @property
    def signature(self) -> str:
        """Who the server says it is; "" if it does not."""
        return "" if self._cable is None else self._cable.wire.peer_signature

    @property
    def _known(self) -> Cable:
        if self._cable is None:
            raise UsageError(f"{self.name}: raw:// carries data only; open it as rfc2217://")
        return self._cable
