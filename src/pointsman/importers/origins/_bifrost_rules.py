"""Bifrost's routing rules: https://docs.getbifrost.ai/providers/routing-rules"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pointsman.importers.draft import Draft, compact, list_of, mapping_of, name_of

_LEVELS = {"virtual_key": "virtual_key_id", "team": "team_id", "customer": "customer_id"}
# Names of Bifrost's variables, and ours. Those that end with a dot are maps or objects.
_VARIABLES = (
    (re.compile(r"\brequest\.model\b"), "model"),
    (re.compile(r"\bvirtual_key_name\b"), "key.name"),
    (re.compile(r"\bteam_name\b"), "team"),
    (re.compile(r"\bcustomer_name\b"), "customer"),
    (re.compile(r"\bbudget_used\b(?!\[|\.)"), "budget_used.max"),
    (re.compile(r"\btokens_used\b(?!\[|\.)"), "tokens_used.virtual_key"),
    (re.compile(r"\brequest\b(?=\s*[<>=]=?\s*\d)"), "requests_used.virtual_key"),
)
_IN_MAP = re.compile(r"""(["'])([\w-]+)\1\s+in\s+(headers|params)\b""")
_UNKNOWN = re.compile(r"\b(provider|virtual_key_id|team_id|customer_id|user_id|complexity_tier|request)\b(?![\"'])")


class RuleReader:
    """Adds rules to a draft. `names` are our names of customers, teams and virtual keys, by Bifrost's ids. `parts` are
    our providers by Bifrost's."""

    def __init__(
        self, draft: Draft, names: Mapping[str, Mapping[str, str]], parts: Mapping[str, Sequence[str]]
    ) -> None:
        self._draft, self._names, self._parts = draft, names, parts
        self._rules: list[dict[str, Any]] = []

    def read(self, entries: list[Any]) -> None:
        taken: set[str] = set()
        for entry in sorted(map(mapping_of, entries), key=lambda one: one.get("priority") or 0):
            name = name_of(entry.get("name") or entry.get("id"), taken, "rule")
            taken.add(name)
            rule = self._rule(f"rule {name}", name, entry)
            if rule is not None:
                self._rules.append(rule)
        if self._rules:
            self._draft.section("routing")["rules"] = self._rules

    def _rule(self, origin: str, name: str, entry: Mapping[str, Any]) -> dict[str, Any] | None:
        scope = self._scope(entry)
        targets = [mapping_of(one) for one in list_of(entry.get("targets"))]
        if not targets and (entry.get("provider") or entry.get("model")):
            targets = [{"provider": entry.get("provider"), "model": entry.get("model"), "weight": 1}]
        condition, problem = condition_of(str(entry.get("cel_expression") or ""))
        if problem is None and scope is None:
            problem = f"its scope {entry.get('scope')!r} names no owner of this file"
        models = [self._targets(one) for one in targets]
        if problem is None and (not models or not all(models)):
            problem = "a target needs a provider and a model here, because it replaces the requested one"
        if problem is not None:
            self._draft.lost(origin, f"{problem}; the rule is left out")
            return None
        found = [target for several in models for target in several]
        named = [self._places(str(one)) for one in list_of(entry.get("fallbacks"))]
        fallbacks = [place for places in named for place in places]
        if not all(named):
            self._draft.lost(f"{origin}.fallbacks", "a fallback needs a provider and a model here; the others are kept")
        if any(one.get("key_id") for one in targets):
            self._draft.lost(f"{origin}.targets", "`provider_key` names one key for all targets; set it by hand")
        return compact(
            {
                "name": name,
                "scope": None if scope == "global" else scope,
                "enabled": False if entry.get("enabled") is False else None,
                "when": condition,
                "chain": True if entry.get("chain_rule") else None,
                "targets": found if len(found) > 1 else [found[0]["model"]],
                "fallbacks": fallbacks,
            }
        )

    def _scope(self, entry: Mapping[str, Any]) -> str | None:
        level = str(entry.get("scope") or "global")
        if level == "global":
            return level
        name = self._names.get(_LEVELS.get(level, ""), {}).get(str(entry.get("scope_id")))
        return f"{level}:{name}" if name else None

    def _targets(self, target: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the targets that one of Bifrost's has become; none without a model."""
        places = self._places(f"{target.get('provider')}/{target.get('model') or ''}")
        weight = float(target.get("weight", 1))
        return [{"model": place, "weight": weight / len(places)} for place in places]

    def _places(self, text: str) -> list[str]:
        provider, _, model = text.partition("/")
        return [f"{part}/{model}" for part in self._parts.get(provider, ())] if model else []


def condition_of(expression: str) -> tuple[str | None, str | None]:
    """Return the condition in our variables, or the reason why it has no counterpart. `None` twice: it always holds."""
    text = expression.strip()
    if text in ("", "true"):
        return None, None
    text = _IN_MAP.sub(r'present(\3, "\2")', text)
    for pattern, name in _VARIABLES:
        text = pattern.sub(name, text)
    bare = re.sub(r"\"[^\"]*\"|'[^']*'", "", text).replace("requests_used", "")
    if found := _UNKNOWN.search(bare):
        return None, f"its condition uses {found[1]!r}, which has no counterpart"
    return text, None
