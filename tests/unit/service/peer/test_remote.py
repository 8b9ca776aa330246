from __future__ import annotations

import pytest

from portline.hub.drain import Answering
from portline.line import FlowControl, Item, Parity, Query, SetLine, SetModem, Told
from portline.service.peer.remote import RemoteSetting, RemoteState

FAST = SetLine(baudrate=115200, parity=Parity.EVEN)


def test_what_was_asked_stands_beside_what_is_in_force() -> None:
    port = RemoteState()
    port.asks(FAST)
    port.asks(SetModem(dtr=True))
    port.asks(Query(Item.SIGNATURE))
    assert port.told(Told(Item.BAUDRATE, 115200, FAST)) == ""
    assert port.settings == (
        RemoteSetting(Item.BAUDRATE, 115200, 115200),
        RemoteSetting(Item.PARITY, Parity.EVEN, None),
        RemoteSetting(Item.DTR, True, None),
    )


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        (Told(Item.BAUDRATE, 115200, FAST), ""),
        (Told(Item.BAUDRATE, 113000, FAST), ""),
        (Told(Item.BAUDRATE, 9600, FAST), "baudrate is 9600 and not 115200"),
        (Told(Item.PARITY, Parity.NONE, FAST), "parity is none and not even"),
        (Told(Item.DTR, False, SetModem(dtr=True)), "dtr is off and not on"),
        (
            Told(Item.FLOW_CONTROL, FlowControl.NONE, SetLine(flow_control=FlowControl.HARDWARE)),
            "flow-control is none and not hardware",
        ),
        (Told(Item.BAUDRATE, 9600), ""),
        (Told(Item.BAUDRATE, None, FAST), "baudrate was asked for and not answered"),
        (Told(Item.SIGNATURE, None, Query(Item.SIGNATURE)), ""),
        (Told(Item.MODEM_MASK, None), ""),
    ],
)
def test_a_difference_is_named(told: Told, wrong: str) -> None:
    assert RemoteState().told(told) == wrong


def test_a_transmitter_that_says_it_is_empty_is_remembered() -> None:
    port = RemoteState()
    for value, answering in ((0, Answering.UNKNOWN), (0x60, Answering.EMPTY), (0, Answering.EMPTY)):
        assert port.told(Told(Item.LINE_STATE, value, Query(Item.LINE_STATE))) == ""
        assert port.transmitter.answering is answering
    assert port.settings == ()


def test_a_difference_is_told_once_and_again_after_it_was_gone() -> None:
    port = RemoteState()
    slow, fast = Told(Item.BAUDRATE, 9600, FAST), Told(Item.BAUDRATE, 115200, FAST)
    assert [bool(port.told(each)) for each in (slow, slow, fast, slow)] == [
        True,
        False,
        False,
        True,
    ]


WHO = Query(Item.SIGNATURE)
DTR = SetModem(dtr=True)


def test_silence_about_dtr_is_no_news_of_a_server_without_a_signature():
    port = RemoteState()
    port.asks(DTR)
    assert port.told(Told(Item.SIGNATURE, None, WHO)) == ""
    assert port.told(Told(Item.DTR, None, DTR)) == ""
    assert port.settings[0].in_force is None


def test_silence_about_a_rate_is_news_all_the_same():
    port = RemoteState()
    rate = SetLine(baudrate=9600)
    port.told(Told(Item.SIGNATURE, None, WHO))
    assert port.told(Told(Item.BAUDRATE, None, rate)) == "baudrate was asked for and not answered"


def test_silence_about_dtr_is_news_of_a_server_that_answers_it_otherwise():
    port = RemoteState()
    port.told(Told(Item.SIGNATURE, "ser2net", WHO))
    assert port.told(Told(Item.DTR, None, DTR)) == "dtr was asked for and not answered"
    assert port.told(Told(Item.DTR, None, DTR)) == ""
