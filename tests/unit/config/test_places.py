from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portline.config.places import LISTENERS_MAX, Device, ListenAddresses, VirtualName
from portline.config.values import Address

ANYTHING = st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.lists(st.text()))


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("/dev/ttyUSB0", "/dev/ttyUSB0"),
        (" //dev/./ttyUSB0/ ", "/dev/ttyUSB0"),
        ("/dev/serial/by-id/usb-FTDI_A50-if00", "/dev/serial/by-id/usb-FTDI_A50-if00"),
        ("usb:0403:6001:A50285BI", "usb:0403:6001:A50285BI"),
        ("usb:10C4:EA60", "usb:10c4:ea60"),
        ("usb:10C4:EA60::01", "usb:10c4:ea60::01"),
        ("usb:303A:1001:34:85:18:8B:5C:04:00", "usb:303a:1001:34:85:18:8B:5C:04:00"),
        ("usb:0403:6001:a/b c:", "usb:0403:6001:a/b c"),
        ("/dev/ttyUSB*", "/dev/ttyUSB*"),
        ("/dev/serial/by-id/*FTDI*", "/dev/serial/by-id/*FTDI*"),
        ("path:1-1.4", "path:1-1.4"),
        ("path:pci-0000:00:14.0-usb-0:1.4:1.0-port0", "path:pci-0000:00:14.0-usb-0:1.4:1.0-port0"),
    ],
)
def test_the_spellings_of_a_real_port(text: str, device: str) -> None:
    assert Device().read(text) == device
    assert Device().show(device) == device


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        " ",
        "usb:403:6001",
        "usb:0403:6001x",
        "path:",
        "path:a b",
        "path:abc",
        "dev/x y",
        "/dev/\n",
        3,
        None,
    ],
)
def test_what_is_no_real_port(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"must be a path like /dev/ttyUSB0 .*, a USB identity"):
        Device().read(wrong)


def test_a_bare_device_name_is_understood_and_refused() -> None:
    with pytest.raises(ValueError, match='did you mean "/dev/ttyUSB0"'):
        Device().read("ttyUSB0")


@pytest.mark.parametrize(
    "name",
    [
        "ttyV0",
        "COM7",
        "a.b-c_d",
        "/dev/ttyS0",
        "./ttyV0",
        "serial/COM7",
        "Zähler 2",
        "#1",
        "x" * 200,
    ],
)
def test_the_spellings_of_a_virtual_port(name: str) -> None:
    assert VirtualName().read(f" {name} ") == name
    assert VirtualName().show(name) == name


@pytest.mark.parametrize(
    "wrong",
    ["", ".", "..", "-x", "a\nb", "ä" * 101, "/tmp/", "/a\tb", "/tmp/" + "x" * 201, 1, None],
)
def test_what_is_no_virtual_port(wrong: object) -> None:
    with pytest.raises(ValueError, match="must be a name like ttyV0"):
        VirtualName().read(wrong)


@pytest.mark.parametrize("kind", [Device(), VirtualName(), ListenAddresses()])
@given(value=ANYTHING)
def test_any_value_is_read_or_refused(
    kind: Device | VirtualName | ListenAddresses, value: object
) -> None:
    message = ""
    try:
        result = kind.read(value)
    except ValueError as error:
        message = str(error)
    else:
        assert kind.read(result) == result
    assert message.isprintable()


def test_one_address_or_a_list_of_them() -> None:
    listen = ListenAddresses()
    home = Address("127.0.0.1", 4001)
    assert listen.read(4001) == listen.read("4001") == listen.read(["4001"]) == (home,)
    assert listen.read((home, "4002")) == (home, Address("127.0.0.1", 4002))
    assert listen.show((home, Address("::1", 2))) == "127.0.0.1:4001, [::1]:2"


def test_every_address_that_cannot_be_used_is_told() -> None:
    with pytest.raises(ValueError, match="names no host") as caught:
        ListenAddresses().read(["4001", "4001", ":1", True])
    assert [part.split(";")[0] for part in str(caught.value).split("; ")][:2] == [
        "127.0.0.1:4001 is listed twice",
        '":1" names no host',
    ]
    assert "true must be an address" in str(caught.value)


@pytest.mark.parametrize("wrong", [[], list(range(1, LISTENERS_MAX + 2))])
def test_a_list_of_addresses_is_neither_empty_nor_endless(wrong: list[int]) -> None:
    with pytest.raises(ValueError, match=r"an empty list|must be 1 to 16 addresses"):
        ListenAddresses().read(wrong)


def test_places_describe_themselves() -> None:
    kinds = (Device(), VirtualName(), ListenAddresses())
    assert [kind.metavar for kind in kinds] == ["PORT", "NAME", "[HOST:]PORT"]
    assert [kind.choices for kind in kinds] == [(), (), ()]
    assert all(kind.allowed for kind in kinds)


@pytest.mark.parametrize("serial", ["", "A50285BI", "FT4X 01"])
@pytest.mark.parametrize("interface", ["", "01"])
def test_every_identity_that_is_listed_can_be_shared(serial: str, interface: str) -> None:
    identity = f"usb:0403:6010:{serial}:{interface}".rstrip(":")
    assert Device().read(identity) == identity


@pytest.mark.parametrize("name", ["/tmp/..", "a/.", "./..", "/tmp/", ".."])
def test_a_name_that_means_a_folder(name: str) -> None:
    with pytest.raises(ValueError, match="must be a name"):
        VirtualName().read(name)
