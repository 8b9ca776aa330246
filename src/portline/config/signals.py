"""The options of the signal lines: their levels at both moments, and who may change them."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel

from portline.config.kinds import Choice, Switch
from portline.config.options import Group, Option
from portline.hub.lines import Level
from portline.hub.recogniser import BOARDS

__all__ = ["LevelOptions", "LineOptions"]

_OTHER_WORDS: Final = {
    "on": "high",
    "1": "high",
    "true": "high",
    "off": "low",
    "0": "low",
    "false": "low",
    "keep": "leave",
}
_OUTPUT: Final = Choice(
    {item.value: item for item in Level if item is not Level.FOLLOW}, _OTHER_WORDS
)
"""The outputs of a real port."""

_INPUT: Final = Choice({item.value: item for item in Level}, _OTHER_WORDS)
"""What the application of a virtual port reads."""

_RTS: Final = "the application's own RTS"
_DTR: Final = "the application's own DTR"
_LOW: Final = "low"

_CONNECTED: Final = ("when the first peer connects", "while a peer is connected")
_DISCONNECTED: Final = ("when the last peer has gone", "while nobody is connected")


def _allow(text: str) -> Option:
    return Option(Group.LINES, Switch(), text, "it is what RFC 2217 is for")


def _take_over(line: str) -> Option:
    return _allow(f"Let the application read the {line} that the remote side tells")


def _drive(line: str, moment: tuple[str, str]) -> Option:
    return Option(
        Group.LINES,
        _OUTPUT,
        f"What {line} becomes {moment[0]}",
        f"many boards reset when {line} moves",
    )


def _show(line: str, source: str, moment: tuple[str, str]) -> Option:
    return Option(
        Group.LINES,
        _INPUT,
        f"What the application of a virtual port reads as {line} {moment[1]}; follow means what "
        f"the remote side tells, else {source}",
        "programs that wait for the line see what a cable would show them",
    )


class PermissionOptions(BaseModel):
    """Who may change signal lines, where peers have words for them."""

    allow_dtr: Annotated[bool, _allow("Let the peer change DTR")] = True
    allow_rts: Annotated[bool, _allow("Let the peer change RTS")] = True
    allow_break: Annotated[bool, _allow("Let the peer send a break")] = True
    allow_cts: Annotated[bool, _take_over("CTS")] = True
    allow_dsr: Annotated[bool, _take_over("DSR")] = True
    allow_dcd: Annotated[bool, _take_over("DCD")] = True
    allow_ri: Annotated[bool, _take_over("RI")] = True

    reset_sequences: Annotated[
        str,
        Option(
            Group.LINES,
            Choice({word: word for word in ("off", *BOARDS)}, {"none": "off", "esp8266": "esp32"}),
            "Recognise the commands by which a peer's program resets such a board, and run the "
            "sequence here, because the network would spoil its timing",
            "a peer's commands are otherwise carried out as they come",
        ),
    ] = "off"

    cross_lines: Annotated[
        bool,
        Option(
            Group.LINES,
            Switch(),
            "Between two real ports: drive RTS as CTS is at the other one, and DTR as DSR is there",
            "many boards reset when these lines move",
        ),
    ] = False


class LevelOptions(BaseModel):
    """The levels of signal lines."""

    dtr_connected: Annotated[Level, _drive("DTR", _CONNECTED)] = Level.LEAVE
    rts_connected: Annotated[Level, _drive("RTS", _CONNECTED)] = Level.LEAVE
    dtr_disconnected: Annotated[Level, _drive("DTR", _DISCONNECTED)] = Level.LEAVE
    rts_disconnected: Annotated[Level, _drive("RTS", _DISCONNECTED)] = Level.LEAVE

    cts_connected: Annotated[Level, _show("CTS", _RTS, _CONNECTED)] = Level.FOLLOW
    dsr_connected: Annotated[Level, _show("DSR", _DTR, _CONNECTED)] = Level.FOLLOW
    dcd_connected: Annotated[Level, _show("DCD", _DTR, _CONNECTED)] = Level.FOLLOW
    ri_connected: Annotated[Level, _show("RI", _LOW, _CONNECTED)] = Level.FOLLOW
    cts_disconnected: Annotated[Level, _show("CTS", _RTS, _DISCONNECTED)] = Level.FOLLOW
    dsr_disconnected: Annotated[Level, _show("DSR", _DTR, _DISCONNECTED)] = Level.FOLLOW
    dcd_disconnected: Annotated[Level, _show("DCD", _DTR, _DISCONNECTED)] = Level.FOLLOW
    ri_disconnected: Annotated[Level, _show("RI", _LOW, _DISCONNECTED)] = Level.FOLLOW


class LineOptions(LevelOptions, PermissionOptions):
    """Signal lines."""
