from portline.line import Item, Query, SetLine, SetModem, Told
from portline.service.remote import RemotePort

WHO = Query(Item.SIGNATURE)
DTR = SetModem(dtr=True)


def test_silence_about_dtr_is_no_news_of_a_server_without_a_signature():
    port = RemotePort()
    port.asks(DTR)
    assert port.told(Told(Item.SIGNATURE, None, WHO)) == ""
    assert port.told(Told(Item.DTR, None, DTR)) == ""
    assert port.settings[0].in_force is None


def test_silence_about_a_rate_is_news_all_the_same():
    port = RemotePort()
    rate = SetLine(baudrate=9600)
    port.told(Told(Item.SIGNATURE, None, WHO))
    assert port.told(Told(Item.BAUDRATE, None, rate)) == "baudrate was asked for and not answered"


def test_silence_about_dtr_is_news_of_a_server_that_answers_it_otherwise():
    port = RemotePort()
    port.told(Told(Item.SIGNATURE, "ser2net", WHO))
    assert port.told(Told(Item.DTR, None, DTR)) == "dtr was asked for and not answered"
    assert port.told(Told(Item.DTR, None, DTR)) == ""
