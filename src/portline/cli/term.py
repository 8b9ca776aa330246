"""``portline term``: a terminal at a serial port, wherever that is."""

from __future__ import annotations

import signal
from functools import partial
from typing import Any, Final

import click

from portline.cli.app import verbose_option
from portline.cli.completion import connections_devices_and_urls, files
from portline.cli.layout import clean
from portline.cli.processes import socket_option
from portline.cli.terminal.keyboard import ALSO, COMMANDS, ENTER, ESCAPE, key_named
from portline.cli.terminal.screen import LINE_ENDS

__all__ = ["term"]

ENDING: Final = (signal.SIGTERM, signal.SIGHUP)

SETTINGS: Final = ("baudrate", "data_bits", "parity", "stop_bits", "flow_control")

_KEYS: Final = "\n".join(f"{key}  {text}" for key, text in COMMANDS.items())

_file: Final = partial(click.option, metavar="FILE", shell_complete=files)


@click.command(
    epilog=f"\b\nKeys behind the escape key:\n{_KEYS}",
)
@click.argument("name", shell_complete=connections_devices_and_urls)
@click.option("--baudrate", type=int, metavar="BAUD", help="Bits per second. [device: 9600]")
@click.option("--data-bits", type=int, metavar="5..8", help="Data bits. [device: 8]")
@click.option("--parity", metavar="none|odd|even|mark|space", help="Parity. [device: none]")
@click.option("--stop-bits", metavar="1|1.5|2", help="Stop bits. [device: 1]")
@click.option(
    "--flow-control", metavar="none|xon-xoff|hardware", help="Flow control. [device: none]"
)
@click.option("--dtr/--no-dtr", default=None, help="Drive DTR at first. [as it is]")
@click.option("--rts/--no-rts", default=None, help="Drive RTS at first. [as it is]")
@click.option(
    "--exclusive/--no-exclusive",
    default=True,
    help="Keep other programs off a device. [default: yes]",
)
@click.option(
    "--escape",
    default=ESCAPE,
    metavar="KEY",
    help=f"The key before a command, like ctrl-a, or none. [default: {ESCAPE}]",
)
@click.option("--hex", "as_hex", is_flag=True, help="Show what comes in hex.")
@click.option("--echo", is_flag=True, help="Show what is typed.")
@click.option(
    "--enter",
    type=click.Choice(list(ENTER)),
    help="What Enter sends, and a line end in a pipe. [default: cr; in a pipe as it is]",
)
@click.option(
    "--line-end",
    type=click.Choice(LINE_ENDS),
    default="as-is",
    help="What ends the lines that come, where it is not CR and LF. [default: as-is]",
)
@click.option("--timestamps", is_flag=True, help="Show when each line has come.")
@click.option("--clean", "cleans", is_flag=True, help="Write control characters out, as \\x1b.")
@_file("--log", "log_file", help="Add what comes to a file.")
@_file("--macros", help="Texts that a key sends; see the documentation.")
@click.option("--reconnect", is_flag=True, help="Try again when the connection has ended.")
@click.option(
    "--linger",
    type=click.FloatRange(0, 86400),
    default=1.0,
    metavar="SECONDS",
    help="With a pipe as input: how long nothing must come after its end. [default: 1]",
)
@_file("--password-file", help="The password of a remote port.")
@_file("--ca", help="Who has signed the certificate of a remote port.")
@click.option("--fingerprint", metavar="sha256:...", help="The certificate of a remote port.")
@_file("--certificate", help="Our certificate for a remote port.")
@_file("--key", help="The key of our certificate.")
@click.option("--proxy", metavar="URL", help="The way to a remote port: socks5:// or http://.")
@socket_option
@verbose_option
def term(name: str, **given: Any) -> int:
    """Open a terminal at a serial port.

    NAME is a connection of a running Portline, beside whose peers you sit; or a device of this
    machine, a path or usb:... or path:...; or a port of another machine, like rfc2217://host:4001
    or raws://host:4001.  What a pipe brings is sent, and what comes is printed.

    \b
    portline term meter
    portline term /dev/ttyUSB0 --baudrate 115200
    portline term rfc2217://192.0.2.7:4001 --hex
    printf '*IDN?\\n' | portline term meter
    """
    from portline.cli.terminal.macros import read_macros
    from portline.cli.terminal.places import place_of
    from portline.cli.terminal.session import Plan
    from portline.line import SetModem
    from portline.remote.place import wanted

    remote = ("password_file", "ca", "fingerprint", "certificate", "key", "proxy")
    place = place_of(
        name,
        way=given["way"],
        line=wanted(**{each: given[each] for each in SETTINGS}),
        outputs=SetModem(dtr=given["dtr"], rts=given["rts"]),
        exclusive=given["exclusive"],
        remote={each: given[each] for each in remote},
    )
    taken = {*COMMANDS, *ALSO}
    plan = Plan(
        escape=key_named(given["escape"]),
        enter=None if given["enter"] is None else ENTER[given["enter"]],
        echo=given["echo"],
        reconnect=given["reconnect"],
        linger=given["linger"],
        macros={} if given["macros"] is None else read_macros(given["macros"], taken),
    )
    import asyncio

    from portline.service.process.log import hush_asyncio

    hush_asyncio()
    return asyncio.run(_sat(place, plan, given))


async def _sat(place: Any, plan: Any, given: dict[str, Any]) -> int:
    """Sit at the terminal; return the exit code."""
    from asyncio import get_running_loop

    from portline.cli.terminal.console import Console
    from portline.cli.terminal.log import Log
    from portline.cli.terminal.screen import Screen
    from portline.cli.terminal.session import Terminal

    loop = get_running_loop()
    log = Log()
    if given["log_file"] is not None:
        log.begin(given["log_file"])
    screen = Screen(
        as_hex=given["as_hex"],
        stamps=given["timestamps"],
        cleans=given["cleans"],
        ends=given["line_end"],
    )
    terminal = Terminal(
        place, plan, screen, log, tell=lambda line: click.echo(f"portline: {clean(line)}", err=True)
    )
    ended: list[int] = []

    def signalled(number: int) -> None:
        ended.append(number)
        terminal.end()

    for number in ENDING:
        loop.add_signal_handler(number, signalled, number)
    try:
        with Console(loop, terminal.typed, gone=terminal.end) as console:
            terminal.console = console
            loop.add_signal_handler(signal.SIGCONT, console.make_raw)
            try:
                await terminal.run()
            finally:
                if console.interactive and console.shows_notices:
                    console.show(screen.leaves())
    finally:
        log.end()
        for number in (*ENDING, signal.SIGCONT):
            loop.remove_signal_handler(number)
    return 128 + ended[0] if ended else 0
