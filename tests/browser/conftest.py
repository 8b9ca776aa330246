"""A browser, a service, and pages that tell of everything that a browser complains of."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.home import PATIENCE, Home
from tests.interop.conftest import lacking, require
from tests.interop.device import Device

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage

__all__ = ["CHROMIUM", "PICTURES", "Window", "lacking", "require"]

CHROMIUM = "/usr/bin/chromium"

PICTURES = os.environ.get("PORTLINE_TESTS_PICTURES", "")
"""A folder for pictures of the pages, outside of the repository; none are made without."""

QUIET = re.compile(r"status of 401 .*")
"""What a browser says of a request without a login, by which a page learns that it needs one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, without a window.

    While it is there Playwright's loop runs in this thread, where no test could run another one:
    so it ends with each module.
    """
    if not Path(CHROMIUM).exists():
        lacking("chromium is not installed")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        lacking("the Python package playwright is not installed")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield made
        made.close()


class Window:
    """One browser with its own cookies, which shows ``page`` and complains of ``faults``."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.faults: list[str] = []
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self.sent: list[str] = []
        """The bodies of what was posted, for the message of a test that fails."""
        self.page.on("console", self._said)
        self.page.on("request", lambda request: self.sent.append(request.post_data or ""))
        self.page.on("pageerror", lambda error: self.faults.append(f"{error}\n{error.stack}"))
        context.add_init_script(
            "addEventListener('securitypolicyviolation', (event) => console.error('policy: '"
            " + event.violatedDirective + ' ' + event.blockedURI))"
        )

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not QUIET.search(message.text):
            self.faults.append(f"{message.type}: {message.text} ({message.location})")

    def ask(self, operation: str) -> Any:
        """Ask the service by the session of the page."""
        answer = self.context.request.get(
            f"{self.page.url.split('/', 3)[0]}//{self.page.url.split('/')[2]}/api/{operation}"
        )
        assert answer.ok, answer.text()
        return answer.json()

    def status(self, name: str) -> Any:
        """The status of one connection; None where there is none of that name."""
        found = self.ask("status")["connections"]
        return next((each for each in found if each["name"] == name), None)

    def picture(self, name: str) -> None:
        """Take a picture, where pictures are wanted."""
        if PICTURES:
            Path(PICTURES).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=str(Path(PICTURES) / f"{name}.png"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the ports and the files of a module's service."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def device(folder: Path) -> Iterator[Device]:
    """A device whose other end the test holds; a connection may share it as a real port."""
    made = Device(folder / "ttyDEVICE")
    yield made
    made.unplug()


@pytest.fixture(scope="module")
def configuration() -> str:
    """What the service of a module begins with; a module may say something else."""
    return ""


@pytest.fixture(scope="module")
def home(folder: Path, device: Device, configuration: str) -> Iterator[Home]:
    """The service of a module."""
    made = Home(folder, configuration)
    yield made
    made.stop()


@pytest.fixture
def windows(browser: Browser, home: Home) -> Iterator[Callable[..., Window]]:
    """Return a function that opens a browser that is logged in; none may complain of anything."""
    opened: list[Window] = []
    with ExitStack() as stack:

        def open_it(path: str = "/", *, log_in: bool = True, **options: Any) -> Window:
            context = browser.new_context(
                **{
                    "viewport": {"width": 1280, "height": 860},
                    "reduced_motion": "reduce",
                    **options,
                }
            )
            stack.callback(context.close)
            window = Window(context)
            opened.append(window)
            if log_in:
                answer = context.request.post(
                    f"{home.url}/login",
                    data={"password": home.password},
                    headers={"Origin": home.url},
                )
                assert answer.status == 204, answer.text()
            window.page.goto(home.url + path)
            return window

        yield open_it
        for window in opened:
            assert window.faults == []


@pytest.fixture
def window(windows: Callable[..., Window]) -> Window:
    """A browser that is logged in and shows Home."""
    return windows()
