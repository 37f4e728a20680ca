"""What EMQX 5.8 makes of an ``acl.conf`` by its documentation: a model, since it can't be run in these tests.

https://docs.emqx.com/en/emqx/v5.8/access-control/authz/file.html; that ``$share/<group>/`` isn't looked at:
https://github.com/emqx/emqx-docs/pull/3884
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Verdict: TypeAlias = Literal["allow", "deny"]
Action: TypeAlias = Literal["publish", "subscribe"]

_RULE = re.compile(r"\{(allow|deny), (.+?), (publish|subscribe|all|\{publish, .+?\}),\s+\[(.+?)\]\}", re.DOTALL)
_LAST = re.compile(r"\{(allow|deny), all\}")


@dataclass(frozen=True, slots=True)
class Rule:
    """A tuple of the file.

    Attributes:
        permission: what it comes to.
        who: regular expression that the user's name matches.
        action: publish, subscribe or all.
        retained: whether it is of retained messages alone.
        topics: filters, with placeholders.
    """

    permission: Verdict
    who: str
    action: str
    retained: bool
    topics: tuple[str, ...]


def rules_of(file: Path) -> list[Rule]:
    """The file's rules; every tuple has to be one that this model knows."""
    text = re.sub(r"^%%.*$", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    terms = [term.strip() for term in re.split(r"\.\s*\n", text) if term.strip()]
    return [_rule(term) for term in terms]


def _rule(term: str) -> Rule:
    if last := _LAST.fullmatch(term):
        return Rule(_permission(last[1]), "", "all", retained=False, topics=("#",))
    found = _RULE.fullmatch(term)
    assert found, f"not understood: {term}"
    action, retained = found[3], False
    if action.startswith("{"):
        assert action == "{publish, [{retain, true}]}", action
        action, retained = "publish", True
    return Rule(_permission(found[1]), _who(found[2]), action, retained, tuple(re.findall(r'"([^"]+)"', found[4])))


def _permission(word: str) -> Verdict:
    return "allow" if word == "allow" else "deny"


def _who(term: str) -> str:
    if term == "all":
        return ""
    if pattern := re.fullmatch(r'\{username, \{re, "(.+)"\}\}', term):
        return pattern[1]
    name = re.fullmatch(r'\{username, "(.+)"\}', term)
    assert name, f"not understood: {term}"
    return f"^{re.escape(name[1])}$"


def verdict(rules: Sequence[Rule], user: str, action: Action, topic: str, *, retain: bool = False) -> Verdict:
    """What the first rule that fits says of an action; where none does, ``no_match`` (deny in the example)."""
    topic = re.sub(r"^\$share/[^/]+/", "", topic)
    for rule in rules:
        if rule.action not in {action, "all"} or (rule.retained and not retain) or not re.search(rule.who, user):
            continue
        if any(_covers(filter_.replace("${username}", user), topic) for filter_ in rule.topics):
            return rule.permission
    return "deny"


def _covers(filter_: str, topic: str) -> bool:
    """Whether a filter covers a topic, or all that another filter does."""
    wanted, given = filter_.split("/"), topic.split("/")
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position >= len(given) or given[position] == "#":
            return False
        if level not in {"+", given[position]}:
            return False
    return len(wanted) == len(given)
