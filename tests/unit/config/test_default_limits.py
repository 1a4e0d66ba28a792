"""Default limits apply to the owners that an entry selects, unless an owner has its own."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from fakes.configuration import checked as checked_text
from fakes.configuration import compiled, errors, found
from pointsman.domain.identity import key_named
from pointsman.domain.snapshots import Snapshot, counters_of

BASE = """providers: {openai: env.OPENAI_API_KEY, groq: env.GROQ_API_KEY}
governance:
  customers: {acme: {labels: {tier: gold}}}
  teams: {red: {customer: acme}, blue: {labels: {tier: gold}}}
"""


def digest(name: str) -> str:
    return "sha256:" + sha256(name.encode()).hexdigest()


def governed(defaults: Sequence[object], keys: Mapping[str, Any]) -> str:
    entries = {name: {"value": digest(name)} | dict(fields) for name, fields in keys.items()}
    return BASE + f"  defaults: {json.dumps(defaults)}\n  virtual_keys: {json.dumps(entries)}\n"


def limits(snapshot: Snapshot, name: str) -> dict[str, int]:
    key = key_named(snapshot.virtual_keys, name)
    assert key is not None
    return {limit.counter: limit.amount for limit in key.limits}


def budget(usd: float, per: str = "month", **fields: object) -> list[dict[str, object]]:
    return [{"limit_usd": usd, "per": per, **fields}]


def test_entries_select_by_team_customer_and_labels() -> None:
    defaults = [
        {"each": "virtual_key", "team": "red", "budgets": budget(1)},
        {"each": "virtual_key", "customer": "acme", "budgets": budget(2, "day")},
        {"each": "virtual_key", "labels": {"tier": "gold", "env": "dev"}, "budgets": budget(3, "week")},
        {"each": "team", "customer": "acme", "rate_limits": [{"requests": 5, "per": "minute"}]},
        {"each": "customer", "budgets": budget(9, "year")},
    ]
    keys: dict[str, object] = {
        "a": {"team": "red", "labels": {"env": "dev"}},
        "b": {"team": "blue", "labels": {"env": "dev"}},
        "c": {"customer": "acme"},
    }
    snapshot = compiled(governed(defaults, keys)).snapshot
    nano, of_acme = 10**9, {"customer:acme|usd|year": 9 * 10**9}
    assert limits(snapshot, "a") == {
        "virtual_key:a|usd|month": nano,
        "virtual_key:a|usd|day": 2 * nano,
        "virtual_key:a|usd|week": 3 * nano,
        "team:red|requests|minute": 5,
        **of_acme,
    }
    assert limits(snapshot, "b") == {"virtual_key:b|usd|week": 3 * nano}
    assert limits(snapshot, "c") == {"virtual_key:c|usd|day": 2 * nano, **of_acme}
    assert counters_of(snapshot)["virtual_key:a|usd|week"].amount == 3 * nano


def test_own_limit_and_earlier_entry_come_first() -> None:
    defaults = [
        {"each": "virtual_key", "team": "red", "budgets": budget(1)},
        {"each": "virtual_key", "budgets": [*budget(2), *budget(3, "day")]},
    ]
    keys: dict[str, object] = {"a": {"team": "red"}, "b": {"team": "red", "budgets": budget(7)}, "c": {}}
    snapshot = compiled(governed(defaults, keys)).snapshot
    amounts = {name: list(limits(snapshot, name).values()) for name in "abc"}
    assert amounts == {"a": [10**9, 3 * 10**9], "b": [7 * 10**9, 3 * 10**9], "c": [2 * 10**9, 3 * 10**9]}


def test_keys_of_a_file_have_defaults_and_control_finds_them_by_counter(tmp_path: Path) -> None:
    lines = [{"name": f"k{number}", "value": digest(f"k{number}"), "team": "red"} for number in range(3)]
    (tmp_path / "keys.jsonl").write_text("\n".join(map(json.dumps, lines)))
    text = BASE + "  keys_file: keys.jsonl\n"
    text += f"  defaults: {json.dumps([{'each': 'virtual_key', 'team': 'red', 'budgets': budget(1)}])}\n"
    snapshot = compiled(text, folder=tmp_path).snapshot
    assert limits(snapshot, "k1") == {"virtual_key:k1|usd|month": 10**9}
    found = counters_of(snapshot).get("virtual_key:k2|usd|month")
    assert found is not None
    assert (found.owner, found.amount) == ("virtual_key:k2", 10**9)


END_USER = {"each": "end_user", "budgets": budget(5, "day")}


def test_limits_of_end_users_are_for_trusted_keys_and_found_by_counter() -> None:
    entry = {**END_USER, "team": "red", "labels": {"tier": "gold"}, "end_user_from": "header:X-User"}
    keys: dict[str, object] = {
        "a": {"team": "red", "end_users": "trusted", "budgets": budget(50)},
        "b": {"team": "red"},
        "c": {"end_users": "trusted"},
    }
    snapshot = compiled(governed([entry], keys)).snapshot
    selected = {key.name: key.end_users for key in snapshot.virtual_keys.values()}
    assert [bool(selected[name]) for name in "abc"] == [True, False, False]
    assert snapshot.read_headers == ("x-user",)
    counters = counters_of(snapshot)
    found = counters.get("end_user:team=red+label.tier=gold/0123|usd|day")
    assert found is not None
    assert (found.owner, found.amount) == ("end_user:team=red+label.tier=gold/0123", 5 * 10**9)
    assert counters.get("end_user:team=red/0123|usd|day") is None
    assert "virtual_key:a|usd|month" in counters
    assert not any(counter.startswith("end_user:") for counter in counters)


def test_limit_of_end_users_never_stands_alone() -> None:
    keys: dict[str, object] = {"a": {"end_users": "trusted"}}
    (problem,) = errors(governed([END_USER], keys))
    assert problem.startswith(
        "governance.virtual_keys.a.end_users: the budget of each end user needs a limit of the key"
    )
    for fields in ({"budgets": budget(1)}, {"team": "red"}):
        team = {"each": "team", "budgets": budget(1)}
        compiled(governed([END_USER, team], {"a": {"end_users": "trusted", **fields}}))
    soft = {"a": {"end_users": "trusted", "budgets": budget(1, soft=True)}}
    assert errors(governed([END_USER], dict(soft)))


def test_entries_without_effect_are_reported() -> None:
    cases: list[tuple[dict[str, object], str]] = [
        (
            {"each": "team", "team": "red", "budgets": budget(1)},
            "governance.defaults[0].team: cannot be used with `each: team`",
        ),
        ({"each": "virtual_key", "team": "rd", "budgets": budget(1)}, "governance.defaults[0].team: unknown team 'rd'"),
        ({"each": "virtual_key"}, "governance.defaults[0]: sets no limit"),
        ({"each": "team", "at_most": 5, "budgets": budget(1)}, "at_most: applies only to `each: end_user`"),
    ]
    for entry, message in cases:
        assert any(message in problem for problem in errors(governed([entry], {"a": {}}))), message
    twice = errors(governed([END_USER, END_USER], {"a": {}}))
    assert any("governance.defaults[1]: selects the same end users" in problem for problem in twice)
    unused = {"each": "virtual_key", "labels": {"tier": "iron"}, "budgets": budget(1)}
    notes = found(checked_text(governed([unused], {"a": {}})), "note")
    assert "governance.defaults[0]: selects no virtual_key" in notes


def test_budget_of_each_end_user_can_be_paced() -> None:
    defaults = [{"each": "end_user", "budgets": budget(5, "day", paced=True)}]
    keys = {"a": {"team": "red", "end_users": "trusted", "budgets": budget(50)}}
    outcome = checked_text(governed(defaults, keys))
    assert not [text for text in found(outcome, "warning") if "paced" in text]
    assert outcome.compiled is not None
    key = key_named(outcome.compiled.snapshot.virtual_keys, "a")
    assert key is not None
    assert [limit.paced for one in key.end_users for limit in one.limits] == [True]
