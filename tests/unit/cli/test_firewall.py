"""What becomes of a new connection, by the rules of a firewall as its programs tell them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from portline.cli.diagnosis.finding import Finding, Weight
from portline.cli.diagnosis.firewall import (
    Fate,
    fate_of,
    firewall,
    iptables_chains,
    nft_chains,
)
from portline.cli.diagnosis.machine import Listening, Machine


def match(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}
STATE = {"ct": {"key": "state"}}
SOURCE = {"payload": {"protocol": "ip", "field": "saddr"}}
INTERFACE = {"meta": {"key": "iifname"}}


def ruleset(
    policy: str, *rules: list[dict[str, Any]], **further: list[list[dict[str, Any]]]
) -> str:
    """Return what ``nft -j list ruleset`` says of one table."""
    where = {"family": "inet", "table": "filter"}
    items: list[dict[str, Any]] = [
        {"metainfo": {}},
        {"table": {"family": "inet", "name": "filter"}},
    ]
    items.append({"chain": {**where, "name": "input", "hook": "input", "policy": policy}})
    items.append({"chain": {**where, "name": "out", "hook": "output", "policy": "drop"}})
    items += [{"rule": {**where, "chain": "input", "expr": rule}} for rule in rules]
    for name, chain in further.items():
        items.append({"chain": {**where, "name": name}})
        items += [{"rule": {**where, "chain": name, "expr": rule}} for rule in chain]
    return json.dumps({"nftables": items})


SEVERAL = {"set": [22, {"range": [4000, 4009]}]}
PROTOCOL = {"meta": {"key": "l4proto"}}
JUMP = {"jump": {"target": "x"}}
ACCEPT, DROP = {"accept": None}, {"drop": None}
ESTABLISHED = [match(STATE, ["established", "related"], "in"), ACCEPT]
LOOPBACK = [match(INTERFACE, "lo"), ACCEPT]


@pytest.mark.parametrize(
    ("listed", "fate"),
    [
        (ruleset("accept"), Fate.PASSES),
        (ruleset("drop"), Fate.DROPS),
        (ruleset("drop", ESTABLISHED, LOOPBACK), Fate.DROPS),
        (ruleset("drop", [match(DPORT, 4001), ACCEPT]), Fate.PASSES),
        (ruleset("drop", [match(DPORT, 22), ACCEPT]), Fate.DROPS),
        (
            ruleset("drop", [match(DPORT, {"set": [22, {"range": [4000, 4009]}]}), ACCEPT]),
            Fate.PASSES,
        ),
        (ruleset("drop", [match(SOURCE, "192.0.2.1"), match(DPORT, 4001), ACCEPT]), Fate.UNCLEAR),
        (ruleset("accept", [match(SOURCE, "192.0.2.1"), DROP]), Fate.PASSES),
        (ruleset("accept", [match(DPORT, 4001), {"reject": {}}]), Fate.DROPS),
        (ruleset("accept", [{"counter": {}}, match(STATE, "new"), DROP]), Fate.DROPS),
        (
            ruleset("accept", ESTABLISHED, [match(PROTOCOL, "tcp"), DROP]),
            Fate.DROPS,
        ),
        (ruleset("accept", [match(PROTOCOL, "udp"), DROP]), Fate.PASSES),
        (
            ruleset("drop", [{"jump": {"target": "x"}}], x=[[match(DPORT, 4001), ACCEPT]]),
            Fate.PASSES,
        ),
        (
            ruleset("drop", [{"jump": {"target": "x"}}], x=[[{"return": None}], [ACCEPT]]),
            Fate.DROPS,
        ),
        (ruleset("accept", [{"goto": {"target": "x"}}], [DROP], x=[]), Fate.PASSES),
        (ruleset("accept", [{"limit": {}}, ACCEPT], [DROP]), Fate.UNCLEAR),
        (ruleset("drop", [{"jump": {"target": "input"}}]), Fate.DROPS),
    ],
)
def test_nft(listed: str, fate: Fate) -> None:
    (chains,) = nft_chains(listed)
    assert fate_of(chains, 4001) is fate


@pytest.mark.parametrize("said", ["", "x", "{}", "[]", '{"nftables": []}'])
def test_what_nft_does_not_say(said: str) -> None:
    assert nft_chains(said) == []


UFW = """\
*filter
:INPUT DROP [0:0]
:before - [0:0]
:not-local - [0:0]
:user - [0:0]
-A INPUT -j before
-A INPUT -j user
-A before -i lo -j ACCEPT
-A before -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A before -m conntrack --ctstate INVALID -j DROP
-A before -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A before -j not-local
-A before -d 224.0.0.251/32 -p udp -m udp --dport 5353 -j ACCEPT
-A not-local -m addrtype --dst-type LOCAL -j RETURN
-A not-local -m addrtype --dst-type MULTICAST -j RETURN
-A not-local -m limit --limit 3/min -j LOG
-A not-local -j DROP
-A user -p tcp -m tcp --dport 22 -j ACCEPT
-A user -p tcp -m multiport --dports 4001,4010:4019 -j ACCEPT
-A user -s 192.0.2.0/24 -p tcp -m tcp --dport 4002 -j ACCEPT
COMMIT
"""


@pytest.mark.parametrize(
    ("port", "fate"),
    [(4001, Fate.PASSES), (4015, Fate.PASSES), (4003, Fate.DROPS), (4002, Fate.UNCLEAR)],
)
def test_iptables(port: int, fate: Fate) -> None:
    assert fate_of(iptables_chains(UFW), port) is fate


# --- the check ------------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine of a user, with a connection that others are to reach, and one that is not."""
    return Machine(
        proc=tmp_path / "proc",
        libraries=tmp_path / "usr/lib",
        settings=tmp_path / "etc",
        user=1000,
        listening=(Listening("meter", "*", 4001), Listening("here", "127.0.0.1", 4002)),
        answer=lambda command: None,
    )


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def found(machine: Machine) -> list[Finding]:
    return list(firewall(machine))


def test_nothing_is_known_and_nothing_is_said(machine: Machine) -> None:
    assert found(machine) == []
    assert found(replace(machine, user=0)) == []
    assert found(replace(machine, user=0, answer=lambda command: ruleset("accept"))) == []


def test_root_sees_the_rules(machine: Machine) -> None:
    def answer(command: object) -> str | None:
        return ruleset("drop") if command == ("nft", "-j", "list", "ruleset") else None

    (wrong,) = found(replace(machine, user=0, answer=answer))
    assert wrong.weight is Weight.WRONG
    assert str(wrong).startswith(
        "TCP port 4001: the firewall of this machine lets no other machine connect to it; let it in"
    )
    assert found(replace(machine, user=0, answer=answer, listening=machine.listening[1:])) == []


def test_root_without_nft_sees_those_of_iptables(machine: Machine) -> None:
    def answer(command: tuple[str, ...]) -> str | None:
        return UFW.replace("4001", "4000") if command[0] == "iptables-save" else None

    assert [each.weight for each in found(replace(machine, user=0, answer=answer))] == [
        Weight.WRONG
    ]


def test_rules_that_only_root_may_read_are_told(machine: Machine) -> None:
    write(machine.proc / "modules", "nf_tables 364544 87 nft_ct, Live 0x0\nsnd 1 2\n")
    (note,) = found(machine)
    assert note.weight is Weight.NOTE
    assert "only root may read what it does; `sudo portline doctor` looks" in note.text
    write(machine.proc / "modules", "nf_tables 364544 0 - Live 0x0\n")
    assert found(machine) == []


RULES = "### tuple ### allow tcp {port} 0.0.0.0/0 any {source} in\n-A ufw-user-input ...\n"


@pytest.mark.parametrize(
    ("rules", "weight"),
    [
        (None, Weight.NOTE),
        ("# none\n", Weight.WRONG),
        (RULES.format(port=22, source="0.0.0.0/0"), Weight.WRONG),
        (RULES.format(port=4001, source="0.0.0.0/0"), None),
        (RULES.format(port="4000:4009", source="0.0.0.0/0"), None),
        (RULES.format(port=4001, source="192.0.2.0/24"), Weight.NOTE),
    ],
)
def test_ufw(machine: Machine, rules: str | None, weight: Weight | None) -> None:
    write(machine.settings / "ufw/ufw.conf", "# x\nENABLED=yes\n")
    write(machine.settings / "default/ufw", 'DEFAULT_INPUT_POLICY="DROP"\n')
    if rules is not None:
        write(machine.settings / "ufw/user.rules", rules)
    assert [each.weight for each in found(machine)] == ([] if weight is None else [weight])
    if weight is Weight.WRONG:
        assert found(machine)[0].remedy == "`sudo ufw allow 4001/tcp`"
    write(machine.settings / "default/ufw", 'DEFAULT_INPUT_POLICY="ACCEPT"\n')
    assert found(machine) == []
    write(machine.settings / "ufw/ufw.conf", "ENABLED=no\n")
    assert found(machine) == []


@pytest.mark.parametrize(
    ("zone", "weight"),
    [
        ("<zone><service name='ssh'/></zone>", Weight.WRONG),
        ("<zone><port port='4000-4009' protocol='tcp'/></zone>", None),
        ("<zone><port port='4001' protocol='udp'/></zone>", Weight.WRONG),
        ("<zone target='ACCEPT'/>", None),
        ("<zone><rule/></zone>", Weight.NOTE),
        ("<zone", Weight.NOTE),
    ],
)
def test_firewalld(machine: Machine, zone: str, weight: Weight | None) -> None:
    write(machine.proc / "7/comm", "firewalld\n")
    write(machine.settings / "firewalld/firewalld.conf", "DefaultZone=home\n")
    write(machine.libraries / "firewalld/zones/home.xml", zone)
    assert [each.weight for each in found(machine)] == ([] if weight is None else [weight])
    if weight is Weight.WRONG:
        assert "firewall-cmd --add-port=4001/tcp" in found(machine)[0].remedy
