from __future__ import annotations

from pathlib import Path

import pytest

from portline.config.document import check, load, parse
from portline.config.saving import change
from portline.config.values import Address
from portline.config.web import DEFAULT_PAGE, HOSTS_MAX, WebConfig
from portline.errors import ConfigError

METER = '[connections.meter]\nport = "/dev/ttyUSB0"\nlisten = 4001\n'


def test_a_page_is_for_this_machine_unless_the_file_says_otherwise() -> None:
    config = parse("[web]\n")
    assert config.web == WebConfig()
    assert config.web is not None
    assert (config.web.listen, config.web.tls, config.web.open) == ((DEFAULT_PAGE,), False, False)
    assert config.connections == {}
    assert parse(METER).web is None


def test_without_a_page_there_have_to_be_connections() -> None:
    assert "no connections" in str(check("")[0])


def test_every_mistake_is_told_with_its_line() -> None:
    text = (
        '[web]\nlisten = ["*:80", "raw://127.0.0.1:81"]\nhots = "x"\nkey = "/k"\nhosts = ["a b"]\n'
        '[connections.x]\nprot = "/dev/ttyUSB0"\n'
    )
    told = [str(mistake) for mistake in check(text, "f")]
    assert any(
        line.startswith("f:2: web.listen: raw://127.0.0.1:81 names a protocol") for line in told
    )
    assert any('f:3: web.hots: unknown option; did you mean "hosts"?' in line for line in told)
    assert any(line.startswith("f:4: web.key: is about TLS, which is off") for line in told)
    assert any(line.startswith('f:5: web.hosts: "a b" must be the name of a host') for line in told)
    assert any("connections.x" in line for line in told)


@pytest.mark.parametrize("listen", ["*:80", "0.0.0.0:80", "192.0.2.7:80", "[::]:80", "box:80"])
def test_beyond_this_machine_it_is_encrypted_or_said_to_be_meant(listen: str) -> None:
    text = f'[web]\nlisten = "{listen}"\n'
    (mistake,) = check(text)
    assert "read the password" in mistake.text
    assert check(text + "tls = true\n") == []
    assert check(text + "open = true\n") == []


@pytest.mark.parametrize("listen", ["127.0.0.1:80", "[::1]:80", "localhost:80", "127.8.0.1:80"])
def test_on_this_machine_it_need_not_be(listen: str) -> None:
    assert check(f'[web]\nlisten = "{listen}"\n') == []


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("tls = true\nopen = true", "leave one of them out"),
        ('tls = true\nkey = "/k"', "give certificate too"),
        ('certificate = "/c"', "tls = true"),
        ("listen = []", "empty list"),
        (f"hosts = {['h'] * (HOSTS_MAX + 1)}", f"1 to {HOSTS_MAX}"),
        ('tls = "yes"', "true or false"),
        ('listen = ["127.0.0.1:5", "127.0.0.1:5"]', "listed twice"),
    ],
)
def test_what_contradicts_itself_is_refused(lines: str, told: str) -> None:
    assert told in str(check(f"[web]\n{lines}\n"))


def test_the_page_and_a_server_cannot_have_one_address() -> None:
    (mistake,) = check(f"[web]\nlisten = 4001\n{METER}")
    assert mistake.path == "connections.meter.listen"
    assert "listened on by the page, as 127.0.0.1:4001 (web.listen)" in mistake.text
    (mistake,) = check('[web]\nlisten = 4001\n[connections.x]\nport = "/dev/ttyUSB0"\n')
    assert mistake.path == "connections.x.listen"
    assert check(f"[web]\nlisten = 4002\n{METER}") == []


def test_what_the_command_line_says_goes_over_the_file() -> None:
    config = parse('[web]\nlisten = 5000\nhosts = "a"\n', web={"listen": "127.0.0.1:6000"})
    assert config.web is not None
    assert config.web.listen == (Address("127.0.0.1", 6000),)
    assert config.web.hosts == ("a",)
    assert parse("", web={}).web == WebConfig()
    with pytest.raises(ConfigError, match=r"^--web: .* read the password"):
        parse("", web={"listen": "*:80"})


def test_a_file_that_is_not_there_yet_may_be_none(tmp_path: Path) -> None:
    path = tmp_path / "portline.toml"
    assert load(path, {}, needed=False).connections == {}
    with pytest.raises(ConfigError, match="no such file"):
        load(path, {})
    after = change(path, lambda text: text + METER, web={})
    assert list(after.connections) == ["meter"]
    assert after.web == WebConfig()
    assert path.read_text() == METER
    assert change(path, lambda text: "", web={}).connections == {}


def test_files_that_cannot_be_read_are_told_of(tmp_path: Path) -> None:
    path = tmp_path / "portline.toml"
    path.write_text(f'[web]\ntls = true\ncertificate = "{tmp_path}/none.pem"\n')
    with pytest.raises(ConfigError, match=r":3: web.certificate: .*none.pem cannot be read"):
        load(path)
    with pytest.raises(ConfigError, match=r"^web.certificate: .*none.pem cannot be read"):
        change(path, lambda text: text + "\n")
