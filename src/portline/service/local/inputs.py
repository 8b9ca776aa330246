"""The signal lines at the application's end of a virtual port, kept true while things happen.

Theory of operation
-------------------
What the application reads is decided by :mod:`portline.hub.lines`; here its inputs are collected,
each event is one new :class:`portline.hub.lines.Situation`, and what follows from it goes to the
port as one request, if it is anything new.  So a line is never moved there and back by an event
that keeps it - the last peer's leaving, say, which ends both what it told and the connected moment.

Whoever operates the port may hold a line at a level.  That lasts until the rules come to another
level for that line than they had when it was held.

The remote side is the peer that told something last: an access server its lines, a client - the
other end of a null modem cable - what it drives.  It is forgotten when it leaves.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from portline.hub.lines import InputRules, LineRule, RemoteLines, Situation
from portline.line import Item, ModemChange, ModemLines, Query, SetInputs, SetModem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from portline.config.models import ConnectionConfig
    from portline.line import Report
    from portline.port.base import SerialPort
    from portline.service.peer.session import Session

__all__ = ["Inputs", "input_rules"]


def input_rules(config: ConnectionConfig) -> InputRules | None:
    """Return the rules of a virtual port's lines; None for a real port, which reads its own."""
    if config.virtual is None:
        return None
    return InputRules(
        cts=LineRule(config.cts_connected, config.cts_disconnected, config.allow_cts),
        dsr=LineRule(config.dsr_connected, config.dsr_disconnected, config.allow_dsr),
        dcd=LineRule(config.dcd_connected, config.dcd_disconnected, config.allow_dcd),
        ri=LineRule(config.ri_connected, config.ri_disconnected, config.allow_ri),
    )


class Inputs:
    """What the application of one port reads; nothing happens where ``rules`` is None.

    ``told`` is called with each change.
    """

    def __init__(
        self, rules: InputRules | None, port: SerialPort, *, told: Callable[[SetInputs], None]
    ) -> None:
        self.lines = ModemLines()
        """What the port was last told to show."""
        self._rules = rules
        self._ruled = ModemLines()  # by the rules alone
        self._held: dict[str, bool] = {}
        self._port = port
        self._told = told
        self._situation = Situation()
        self._teller: Session | None = None

    @property
    def rules(self) -> InputRules | None:
        """The rules in force; new ones take effect at once."""
        return self._rules

    @rules.setter
    def rules(self, rules: InputRules | None) -> None:
        self._rules = rules
        self._decide(self._situation)

    def moment(self, *, connected: bool) -> None:
        """Note that the first peer has come, or that the last one has gone."""
        self._decide(replace(self._situation, connected=connected))

    def hold(self, levels: Mapping[str, bool | None]) -> None:
        """Hold lines of a virtual port at levels, by name; None leaves one to the rules again."""
        for line, level in levels.items():
            if level is None:
                self._held.pop(line, None)
            else:
                self._held[line] = level
        self._show()

    def application(self, outputs: ModemLines, peers: Iterable[Session]) -> None:
        """Note what the application drives, crossed over as the port reports it; pass it on."""
        if self._rules is None:
            return
        self._decide(replace(self._situation, outputs=outputs))
        for session in peers:
            session.ask(self._outputs)

    def serves(self, session: Session) -> None:
        """Have an access server drive what the application drives, and ask what its lines are.

        Most tell them by themselves, since RFC 2217 says that all are notified at first; but not
        every server does so before something changes.
        """
        session.ask(self._outputs)
        session.ask(Query(Item.MODEM_LINES))

    @property
    def _outputs(self) -> SetModem:
        """The application's DTR and RTS, which the port reports as their far end."""
        outputs = self._situation.outputs
        return SetModem(dtr=outputs.dsr, rts=outputs.cts)

    def told(self, session: Session, report: Report) -> None:
        """Note what an access server tells, if it is about the lines of its port."""
        if isinstance(report, ModemChange):
            self._tell(session, RemoteLines.of_access_server(report.lines))

    def driven(self, session: Session, outputs: SetModem) -> None:
        """Note what a client has driven; one that has gone since drives nothing any more."""
        if session.closed:
            return
        before = self._situation.remote if session is self._teller else RemoteLines()
        self._tell(session, before.driven(outputs))

    def left(self, session: Session, *, connected: bool) -> None:
        """Note that a peer has gone, and whether others are still there."""
        remote = self._situation.remote
        if session is self._teller:
            self._teller = None
            remote = RemoteLines()
        self._decide(replace(self._situation, connected=connected, remote=remote))

    def _tell(self, session: Session, remote: RemoteLines) -> None:
        self._teller = session
        self._decide(replace(self._situation, remote=remote))

    def _decide(self, situation: Situation) -> None:
        self._situation = situation
        if self._rules is None:
            return
        before, self._ruled = self._ruled, self._rules.decided(situation, self._ruled)
        for line in tuple(self._held):
            if getattr(before, line) is not getattr(self._ruled, line):
                del self._held[line]
        self._show()

    def _show(self) -> None:
        lines = replace(self._ruled, **self._held)
        if lines != self.lines:
            self.lines = lines
            asked = SetInputs(lines)
            self._told(asked)
            self._port.submit(asked)
