"""Rules of a firewall that keep other machines from a TCP port, as far as they can be read.

Theory of operation
-------------------
Rules are read from the kernel (``nft``, ``iptables-save``), which only root may, and from the files
of ufw and firewalld, some of which everybody may read.  A new TCP connection from elsewhere is
followed through the chains of the hook ``input`` as the kernel does: a rule whose conditions are
all known to hold decides, one that has a condition that is not understood (an address, an
interface, a limit) may decide, and then nothing is known for sure::

    follow --accept--> passes       --drop, reject--> drops       --a rule that may--> unclear
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree

from portline.cli.diagnosis.finding import Finding, Weight
from portline.cli.diagnosis.machine import contents, entries, programs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from portline.cli.diagnosis.machine import Machine

__all__ = ["Chain", "Fate", "Rule", "fate_of", "firewall", "iptables_chains", "nft_chains"]

DEPTH_MAX: Final = 16
"""Chains that jump to each other; more than the kernel's tables of any firewall have."""


class Fate(Enum):
    """What becomes of a new connection."""

    PASSES = "passes"
    DROPS = "drops"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule for new connections from elsewhere: ``ports`` None is every TCP port.

    ``verdict`` is accept, drop, reject, return, or the name of a chain behind "jump " or "goto ";
    ``sure`` tells that nothing else is asked.
    """

    verdict: str
    ports: tuple[tuple[int, int], ...] | None = None
    sure: bool = True


@dataclass
class Chain:
    """Rules in their order; ``policy`` is what holds at the end, None for a chain to jump to."""

    policy: str | None = None
    rules: list[Rule] = field(default_factory=list)


def firewall(machine: Machine) -> Iterator[Finding]:
    """Find that other machines cannot reach a TCP port that is there for them."""
    ports = sorted({each.port for each in machine.listening if each.beyond})
    if not ports:
        return
    owner = _manager(machine)
    found = _chains(machine) if machine.user == 0 else None
    for port in ports:
        yield from _about(machine, port, owner, found)


def _about(
    machine: Machine, port: int, owner: str, found: Sequence[Mapping[str, Chain]] | None
) -> Iterator[Finding]:
    subject, remedy = f"TCP port {port}", REMEDIES.get(owner, REMEDIES[""]).format(port=port)
    fate = _from_files(machine, owner, port)
    if found:
        fates = [fate_of(chains, port) for chains in found]
        fate = next((each for each in (Fate.DROPS, Fate.UNCLEAR) if each in fates), Fate.PASSES)
    if fate is Fate.DROPS:
        text = f"{owner or 'the firewall of this machine'} lets no other machine connect to it"
        yield Finding(Weight.WRONG, subject, text, remedy)
    elif fate is Fate.UNCLEAR or (fate is None and (owner or _rules_are_loaded(machine))):
        who = f"{owner} is on" if owner else "this machine has rules of a firewall"
        if found or fate is Fate.UNCLEAR:
            what = "and whether others may connect depends on who they are"
        elif machine.user == 0:
            what = "and what it does cannot be read here: there is no `nft`"
        else:
            what = "and only root may read what it does; `sudo portline doctor` looks"
        yield Finding(Weight.NOTE, subject, f"{who}, {what}", "" if found else remedy)


REMEDIES: Final = {
    "ufw": "`sudo ufw allow {port}/tcp`",
    "firewalld": "`sudo firewall-cmd --add-port={port}/tcp`, and again with --permanent",
    "": "let it in: `sudo nft add rule inet filter input tcp dport {port} accept` where the table "
    "has these names, and in the file from which the rules come",
}
"""Who has made the rules -> what lets a port in."""


# --- who has made the rules -----------------------------------------------------------------------


def _manager(machine: Machine) -> str:
    if re.search(r"^ENABLED=yes", contents(machine.settings / "ufw/ufw.conf"), re.MULTILINE):
        return "ufw"
    if any(program == "firewalld" for _, program in programs(machine.proc)):
        return "firewalld"
    return ""


def _from_files(machine: Machine, owner: str, port: int) -> Fate | None:
    """Return what the files of ufw or firewalld say; None where they cannot be read."""
    if owner == "ufw":
        return _ufw(machine, port)
    return _firewalld(machine, port) if owner == "firewalld" else None


def _ufw(machine: Machine, port: int) -> Fate | None:
    policy = re.search(
        r'^DEFAULT_INPUT_POLICY="?(\w+)', contents(machine.settings / "default/ufw"), re.MULTILINE
    )
    if policy and policy[1] == "ACCEPT":
        return Fate.PASSES
    rules = contents(machine.settings / "ufw/user.rules")
    if not rules:
        return None
    # "### tuple ### allow tcp 4001 0.0.0.0/0 any 0.0.0.0/0 in": action, protocol, port, to, from.
    tuples = re.findall(r"^### tuple ### (\w+) (\w+) (\S+) (\S+) \S+ (\S+) in", rules, re.MULTILINE)
    for action, protocol, ports, _, source in tuples:
        if protocol in ("tcp", "any") and (ports == "any" or _in(port, _numbers(ports))):
            if not source.endswith("/0"):
                return Fate.UNCLEAR
            return Fate.PASSES if action in ("allow", "limit") else Fate.DROPS
    return Fate.DROPS


def _firewalld(machine: Machine, port: int) -> Fate | None:
    config = contents(machine.settings / "firewalld/firewalld.conf")
    found = re.search(r"^DefaultZone=(\S+)", config, re.MULTILINE)
    zone = found[1] if found else "public"
    for folder in (machine.settings / "firewalld/zones", machine.libraries / "firewalld/zones"):
        if f"{zone}.xml" in entries(folder):
            break
    else:
        return None
    try:
        root = ElementTree.fromstring(contents(folder / f"{zone}.xml"))
    except ElementTree.ParseError:
        return None
    if root.get("target") == "ACCEPT":
        return Fate.PASSES
    ports = [each.get("port", "") for each in root.iter("port") if each.get("protocol") == "tcp"]
    if any(_in(port, _numbers(each)) for each in ports):
        return Fate.PASSES
    # A service or a rich rule may name the port, too.
    return Fate.UNCLEAR if root.find("rule") is not None else Fate.DROPS


def _rules_are_loaded(machine: Machine) -> bool:
    """Tell whether the kernel has rules, by the modules that are in use."""
    for line in contents(machine.proc / "modules").splitlines():
        name, _, uses, *_ = [*line.split(), "", "", ""]
        if name in ("nf_tables", "ip_tables", "ip6_tables") and uses.isdigit() and int(uses):
            return True
    return False


# --- the rules of the kernel ----------------------------------------------------------------------


def _chains(machine: Machine) -> list[Mapping[str, Chain]]:
    """Return the chains of every table that there is."""
    found: list[Mapping[str, Chain]] = []
    listed = machine.answer(("nft", "-j", "list", "ruleset"))
    if listed is not None:
        found += nft_chains(listed)
    for program in ("iptables-legacy-save", "iptables-save"):
        saved = None if found else machine.answer((program, "-t", "filter"))
        if saved is not None:
            return [iptables_chains(saved)]
    return found


def fate_of(chains: Mapping[str, Chain], port: int) -> Fate:
    """Return what becomes of a new connection to a TCP port: of the chains with a policy."""
    fates = [
        _followed(chains, name, port, 0) or _ended(chain.policy or "accept")
        for name, chain in chains.items()
        if chain.policy is not None
    ]
    return next((each for each in (Fate.DROPS, Fate.UNCLEAR) if each in fates), Fate.PASSES)


def _ended(verdict: str) -> Fate | None:
    return {"accept": Fate.PASSES, "drop": Fate.DROPS, "reject": Fate.DROPS}.get(verdict)


def _followed(chains: Mapping[str, Chain], name: str, port: int, depth: int) -> Fate | None:
    """Return what a chain decides; None when it goes on behind it."""
    chain = chains.get(name, Chain())
    unclear = False
    for rule in chain.rules if depth < DEPTH_MAX else ():
        if rule.ports is not None and not _in(port, rule.ports):
            continue
        word, _, target = rule.verdict.partition(" ")
        jumps = word in ("jump", "goto")
        decided = _followed(chains, target, port, depth + 1) if jumps else _ended(word)
        if decided is Fate.UNCLEAR:
            unclear = True
        elif not rule.sure:
            # One that keeps some out is not told: it is mostly about floods, or nonsense.
            unclear = unclear or decided is Fate.PASSES or word == "return"
        elif decided is Fate.PASSES:
            return decided
        elif decided is Fate.DROPS:
            return Fate.UNCLEAR if unclear else decided
        elif word != "jump":
            break
    return Fate.UNCLEAR if unclear and chain.policy != "accept" else None


def nft_chains(listed: str) -> list[Mapping[str, Chain]]:
    """Read ``nft -j list ruleset``: the chains of each table that has one for what comes in."""
    tables: dict[tuple[str, str], dict[str, Chain]] = {}
    try:
        items = json.loads(listed)["nftables"]
    except (ValueError, LookupError, TypeError):
        return []
    for item in items:
        for kind, value in item.items():
            if kind not in ("chain", "rule") or value.get("family") not in ("ip", "ip6", "inet"):
                continue
            table = tables.setdefault((value["family"], value["table"]), {})
            if kind == "chain":
                hooked = value.get("hook") == "input"
                policy = value.get("policy", "accept") if hooked else None
                table.setdefault(value["name"], Chain()).policy = policy
            elif (rule := _nft_rule(value.get("expr", []))) is not None:
                table.setdefault(value["chain"], Chain()).rules.append(rule)
    hooked_tables = [t for t in tables.values() if any(c.policy is not None for c in t.values())]
    return list(hooked_tables)


def _nft_rule(expressions: Sequence[Mapping[str, Any]]) -> Rule | None:
    """Return a rule as it is for a new TCP connection from elsewhere; None if it is for others."""
    ports: tuple[tuple[int, int], ...] | None = None
    sure, verdict = True, ""
    for expression in expressions:
        ((kind, value),) = expression.items()
        match kind:
            case "match":
                holds = _nft_match(value)
                if holds is False:
                    return None
                if isinstance(holds, tuple):
                    ports = holds
                sure = sure and holds is not None
            case "accept" | "drop" | "reject" | "return":
                verdict = kind
            case "jump" | "goto":
                verdict = f"{kind} {value['target']}"
            case "counter" | "log" | "comment":
                pass
            case _:
                sure = False
    return Rule(verdict, ports, sure) if verdict else None


def _nft_match(match: Mapping[str, Any]) -> bool | tuple[tuple[int, int], ...] | None:
    """Return whether a condition holds, or the ports for which it does; None for unknown."""
    left, right, equal = match.get("left"), match.get("right"), match.get("op") in ("==", "in")
    values = right.get("set", []) if isinstance(right, dict) else right
    values = values if isinstance(values, list) else [values]
    match left:
        case {"payload": {"protocol": "tcp" | "th", "field": "dport"}} if equal:
            return tuple(filter(None, map(_nft_range, _ranges(right))))
        case {"payload": {"protocol": "udp" | "icmp" | "icmpv6"}}:
            return False
        case {"meta": {"key": "l4proto"}} | {"payload": {"field": "protocol" | "nexthdr"}}:
            return ("tcp" in values or 6 in values) is equal
        case {"ct": {"key": "state"}}:
            return ("new" in values) is equal
        case {"meta": {"key": "iifname" | "iif"}} if values == ["lo"]:
            return not equal
        case {"fib": {"result": "type", "flags": flags}} if "daddr" in flags:
            return ("local" in values) is equal
        case _:
            return None


def _ranges(right: Any) -> list[Any]:
    if isinstance(right, dict) and "set" in right:
        found = right["set"]
        return found if isinstance(found, list) else [found]
    return [right]


def _nft_range(value: Any) -> tuple[int, int] | None:
    match value:
        case int():
            return value, value
        case {"range": [int(first), int(last)]}:
            return first, last
        case _:
            return None


def iptables_chains(saved: str) -> Mapping[str, Chain]:
    """Read ``iptables-save -t filter``."""
    chains: dict[str, Chain] = {}
    for line in saved.splitlines():
        words = line.split()
        if line.startswith(":") and len(words) > 1:
            policy = words[1].lower() if words[0] == ":INPUT" else None
            chains[words[0][1:]] = Chain(policy)
        elif line.startswith("-A ") and (rule := _iptables_rule(words[2:])) is not None:
            chains.setdefault(words[1], Chain()).rules.append(rule)
    return chains


def _iptables_rule(words: Sequence[str]) -> Rule | None:
    ports: tuple[tuple[int, int], ...] | None = None
    sure, verdict, number = True, "", 0
    while number < len(words):
        word, value = words[number], words[number + 1] if number + 1 < len(words) else ""
        number += 2
        match word:
            case "-p" if value not in ("tcp", "all", "6"):
                return None
            case "-i" if value == "lo":
                return None
            case "--dport" | "--dports":
                ports = _numbers(value)
            case "--state" | "--ctstate" if "NEW" not in value.split(","):
                return None
            case "--dst-type" if value != "LOCAL":
                return None
            case (
                "-p" | "-m" | "--dst-type" | "--state" | "--ctstate" | "--comment" | "--reject-with"
            ):
                pass
            case "-j" | "-g":
                known = value.lower() in ("accept", "drop", "reject", "return")
                verdict = (
                    value.lower() if known else f"{'goto' if word == '-g' else 'jump'} {value}"
                )
            case "!":
                sure, number = False, number + 1
            case _:
                sure = False
                number -= not word.startswith("-")
    return Rule(verdict, ports, sure) if verdict else None


def _numbers(text: str) -> tuple[tuple[int, int], ...]:
    """Read ``4001``, ``4001:4010``, ``4001-4010`` or several with commas."""
    found = re.findall(r"(\d+)(?:[:-](\d+))?", text)
    return tuple((int(first), int(last or first)) for first, last in found)


def _in(port: int, ranges: Sequence[tuple[int, int]]) -> bool:
    return any(first <= port <= last for first, last in ranges)
