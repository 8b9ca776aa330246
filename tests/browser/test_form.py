"""The form: every option arrives in the file and takes effect, and mistakes are told beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from portline.config.document import load
from portline.config.spelling import option_values
from tests.browser.home import eventually
from tests.browser.values import Filled, filled_forms, options_of
from tests.interop.server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.browser.conftest import Window
    from tests.browser.home import Home
    from tests.interop.device import Device


@pytest.fixture(scope="module")
def forms(folder: Path, device: Device) -> list[Filled]:
    return filled_forms(folder, device.path)


def fill(page: Page, kind: str, key: str, value: Any) -> None:
    """Fill one option in, as a person does."""
    entry = options_of(kind)[key]
    field = page.locator(f"#option-{key}")
    if entry.many:
        values = value if isinstance(value, list) else [value]
        field.fill(str(values[0]))
        inputs = page.locator(f".field[data-key='{key}'] input")
        for number, each in enumerate(values[1:], 1):
            page.locator(f".field[data-key='{key}'] .add").click()
            inputs.nth(number).fill(str(each))
    elif entry.value == "flag":
        field.set_checked(value)
    elif entry.value == "choice":
        field.select_option(str(value))
    else:
        field.fill(str(value))


def fill_in(page: Page, form: Filled) -> None:
    page.locator("#option-name").fill(form.name)
    # A font that comes late moves what is about to be clicked.
    page.evaluate("document.fonts.ready.then(() => null)")
    page.locator(f"input[name=kind][value={form.kind}]").check()
    page.locator(f"input[name=port-kind][value={'virtual' if form.virtual else 'real'}]").check()
    first = [key for key in ("port", "virtual", "protocol") if key in form.options]
    for key in [*first, *(key for key in form.options if key not in first)]:
        fill(page, form.kind, key, form.options[key])
    shown = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("input[id^=option-]")]
          .filter((input) => input.type === "text").map((input) => [input.id, input.value]))"""
    )
    for key, value in form.options.items():
        if (there := shown.get(f"option-{key}")) is not None:
            assert there == str(value[0] if isinstance(value, list) else value), key


def save(window: Window, home: Home) -> None:
    window.page.locator("button[type=submit]").click()
    window.page.locator(".listing:not([hidden]), .summary:not([hidden])").wait_for()
    if window.page.url != f"{home.url}/":
        sent = "\n".join([each for each in window.sent if each][-3:])
        raise AssertionError(f"{window.page.locator('.summary').inner_text()}\n{sent}")


def test_the_forms_set_every_option_of_every_kind(forms: list[Filled]) -> None:
    for kind in ("server", "client", "udp"):
        filled = {key for form in forms if form.kind == kind for key in form.options}
        assert filled == set(options_of(kind))


@pytest.mark.parametrize("number", range(12))
def test_options_arrive_in_the_file_and_take_effect(
    windows: Callable[..., Window], home: Home, forms: list[Filled], number: int
) -> None:
    form = forms[number]
    window = windows("/new")
    fill_in(window.page, form)
    window.picture(f"form-{form.name}")
    save(window, home)

    kind = {} if form.kind == "server" else {"kind": form.kind}
    assert home.connections[form.name] == kind | form.options
    config = load(home.file).connections[form.name]
    assert {key.replace("-", "_") for key in form.options} <= config.model_fields_set
    told = window.status(form.name)
    in_force = option_values(config)
    assert {key: told["options"][key] for key in form.options} == {
        key: in_force[key] for key in form.options
    }
    default = option_values(type(config).model_construct())
    same = [
        key
        for key in form.options
        if key not in ("port", "virtual") and in_force[key] == default[key]
    ]
    assert same == [], "these were set to their defaults, which proves nothing"


def test_there_are_as_many_forms_as_are_tested(forms: list[Filled]) -> None:
    assert len(forms) == 12


def test_an_edited_connection_shows_its_options_and_forgets_what_is_cleared(
    windows: Callable[..., Window], home: Home, folder: Path, forms: list[Filled]
) -> None:
    form = next(each for each in forms if each.name == "server-virtual-rfc2217")
    # One of its own: the tests of this module may come in any order.
    own = {"virtual": str(folder / "ttyEDITED"), "listen": f"127.0.0.1:{free_port()}"}
    form = Filled("edited", form.kind, form.options | own)
    window = windows("/new")
    fill_in(window.page, form)
    save(window, home)
    window = windows(f"/edit/{form.name}")
    page = window.page
    page.locator("#option-name").fill("renamed")
    for key, value in form.options.items():
        entry = options_of("server")[key]
        field = page.locator(f"#option-{key}")
        if key in ("virtual", "protocol", "listen"):
            continue
        if entry.value == "flag":
            assert field.is_checked() is value
            field.set_checked(entry.default)
        elif entry.value == "choice":
            assert field.input_value() == str(value)
            field.select_option(entry.default)
        else:
            assert field.input_value() not in ("", entry.default), key
            for extra in page.locator(f".field[data-key='{key}'] .one button").all():
                extra.click()
            field.fill("")
    save(window, home)
    assert form.name not in home.connections
    assert home.connections["renamed"] == {
        key: form.options[key] for key in ("virtual", "protocol", "listen")
    }
    assert window.status("renamed")["state"] == "listening"


def test_a_real_port_becomes_a_virtual_one_without_what_does_not_apply(
    windows: Callable[..., Window], home: Home, folder: Path
) -> None:
    window = windows("/new")
    page = window.page
    fill_in(
        page,
        Filled(
            "turned",
            "server",
            {
                "port": str(folder / "ttyNONE"),
                "listen": "127.0.0.1:0",
                "baudrate": 115200,
                "parity": "even",
            },
        ),
    )
    save(window, home)
    page.goto(f"{home.url}/edit/turned")
    page.locator("input[name=port-kind][value=virtual]").check()
    page.locator("#option-virtual").fill(str(folder / "ttyTURNED"))
    page.locator(".field[data-key=baudrate].off").wait_for()
    assert (
        "the application that opens it decides"
        in page.locator("#option-baudrate-reason").inner_text()
    )
    assert page.locator("#option-baudrate").is_disabled()
    save(window, home)
    assert home.connections["turned"] == {
        "listen": "127.0.0.1:0",
        "virtual": str(folder / "ttyTURNED"),
    }


def test_mistakes_are_told_beside_their_fields_and_above(
    windows: Callable[..., Window], home: Home
) -> None:
    window = windows("/new")
    page = window.page
    page.locator("#option-baudrate").fill("12")
    beside = page.locator("#option-baudrate-mistake")
    beside.get_by_text("must be 50 to 4000000 bit/s; the nearest is 50").wait_for()
    assert page.locator("#option-baudrate").get_attribute("aria-invalid") == "true"
    assert "option-baudrate-mistake" in page.locator("#option-baudrate").get_attribute(
        "aria-describedby"
    )
    # What nobody has touched is not called wrong before somebody wants to save.
    assert page.locator("#option-name-mistake").inner_text() == ""
    assert not page.locator(".summary").is_visible()

    page.locator("button[type=submit]").click()
    page.locator(".summary").wait_for()
    window.picture("form-mistakes")
    assert page.locator(".summary").evaluate("node => node === document.activeElement")
    summary = page.locator(".summary").inner_text()
    assert "Baudrate" in summary
    assert "Name" in summary
    assert "a connection needs a name" in page.locator("#option-name-mistake").inner_text().lower()
    assert "choose one that was found" in page.locator("#option-port-mistake").inner_text().lower()
    page.locator(".summary a", has_text="Baudrate").click()
    assert page.locator("#option-baudrate").evaluate("node => node === document.activeElement")

    page.locator("#option-baudrate").fill("1200")
    eventually(lambda: beside.inner_text() == "")
    assert home.file.exists() is False or "1200" not in home.file.read_text()


def test_what_does_not_apply_is_greyed_with_the_reason(windows: Callable[..., Window]) -> None:
    page = windows("/new").page
    page.locator("#option-protocol").select_option("rfc2217")
    page.locator(".field[data-key=max-connections].off").wait_for()
    reason = page.locator("#option-max-connections-reason").inner_text()
    assert "exactly one peer controls the port" in reason
    assert page.locator("#option-max-connections").is_disabled()
    assert page.locator("#option-cts-connected").is_disabled()
    page.locator("#option-protocol").select_option("raw")
    page.locator(".field[data-key=max-connections]:not(.off)").wait_for()
    assert page.locator("#option-max-connections").is_enabled()


def test_what_was_filled_in_is_not_lost_by_a_click(
    windows: Callable[..., Window], home: Home
) -> None:
    page = windows("/new").page
    page.locator("#option-name").fill("meter")
    page.get_by_role("link", name="Log", exact=True).click()
    page.get_by_role("dialog").get_by_text("Leave without saving?").wait_for()
    page.keyboard.press("Escape")
    assert page.url == f"{home.url}/new"
    assert page.locator("#option-name").input_value() == "meter"
    page.get_by_role("link", name="Log", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Leave").click()
    page.wait_for_url("**/log")


def test_an_option_of_a_sort_that_the_page_does_not_know_is_text(
    windows: Callable[..., Window], home: Home
) -> None:
    window = windows("/", log_in=True)
    described = window.ask("options")
    for group in described["kinds"]["server"]["groups"]:
        for option in group["options"]:
            if option["key"] == "baudrate":
                option.update(value="of the future", choices=[])
    window.page.route("**/api/options", lambda route: route.fulfill(json=described))
    window.page.goto(f"{home.url}/new")
    field = window.page.locator("#option-baudrate")
    assert field.get_attribute("type") == "text"
    field.fill("fast")
    window.page.locator("#option-baudrate-mistake").get_by_text("must be a whole number").wait_for()


def test_the_form_speaks_in_its_own_words_and_not_those_of_a_file(
    windows: Callable[..., Window],
) -> None:
    page = windows("/new").page
    for kind in ("server", "client", "udp"):
        page.locator(f"input[name=kind][value={kind}]").check()
        for port in ("real", "virtual"):
            page.locator(f"input[name=port-kind][value={port}]").check()
            page.locator("button[type=submit]").click()
            page.locator(".summary").wait_for()
            told = page.locator(".why-not, .mistake, .summary, .reasons li").all_text_contents()
            assert any(told)
            for text in told:
                assert "leave it out" not in text
                assert "(option " not in text
                assert " = " not in text
    page.locator("input[name=kind][value=server]").check()
    reason = page.locator("#option-certificate-reason")
    reason.get_by_text("Is about TLS, which is off; turn TLS on too", exact=True).wait_for()
    page.locator("#option-idle-after-reason").get_by_text("“When full: replace-idle”").wait_for()
    page.locator("#option-listen").fill("*:4001")
    open_door = page.locator("#option-listen-mistake")
    open_door.get_by_text("or turn Open on if that is meant").wait_for()


def test_an_edit_that_the_device_refuses_says_so(
    windows: Callable[..., Window], home: Home, device: Device
) -> None:
    """A pseudo terminal has 8 bits and no parity, whatever is asked for."""
    home.file.write_text(f'[connections.odd]\nport = "{device.path}"\nlisten = 0\n')
    page = windows("/log").page
    page.get_by_role("heading", name="Log").wait_for()  # so it knows its session
    page.evaluate("""async () => (await import("/static/script/server.js")).act("reload")""")
    page.goto(f"{home.url}/edit/odd")
    page.locator("#option-parity").select_option("even")
    page.locator("button[type=submit]").click()
    told = page.get_by_role("alert").get_by_text("odd is saved, but the device does not do")
    told.wait_for()
