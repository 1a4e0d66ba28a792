"""A line of the keys file equals an entry of the configuration, and each faulty line is reported."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from fakes.configuration import compiled, errors
from fakes.many_keys import entry
from pointsman.config import key_table
from pointsman.config import keys_file as module
from pointsman.config.key_table import FileKeys
from pointsman.domain.identity import VirtualKey
from pointsman.domain.snapshots import counters_of

TEXT = """\
providers: {openai: env.OPENAI_API_KEY, groq: env.GROQ_API_KEY}
governance:
  keys_file: keys.jsonl
  customers: {acme: {budgets: [{limit_usd: 9, per: year}]}}
  teams: {research: {customer: acme, budgets: [{limit_usd: 8, per: month}]}}
  virtual_keys: {me: env.CLIENT_KEY}
"""
DIGEST = "sha256:" + sha256(b"pm-key-of-the-tests").hexdigest()
FULL: dict[str, Any] = {
    "team": "research",
    "labels": {"tier": "free"},
    "expires_at": "2999-01-01T00:00:00Z",
    "allow_models": ["gpt-*"],
    "providers": {"openai": {"weight": 2, "rate_limits": [{"requests": 5, "per": "minute"}]}, "groq": None},
    "strategy": "weighted",
    "near_limit": "shorten",
    "budgets": [{"limit_usd": 0.1, "per": "day", "zone": "Europe/Berlin"}, {"limit_usd": "2.5", "per": {"hours": 6}}],
    "rate_limits": [{"tokens": 1000, "per": "hour", "soft": True}],
}


def write(folder: Path, *lines: Mapping[str, Any] | str) -> None:
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / "keys.jsonl").write_text("\n".join(texts) + "\n")


def as_data(key: VirtualKey) -> Any:
    """Return the fields of a key for comparison."""
    entries = {
        name: (one.weight, one.allow_models, list(map(limit_data, one.limits))) for name, one in key.entries.items()
    }
    fields = (key.name, key.digest, key.team, key.customer, key.labels, key.expires_at, key.allow_models, key.strategy)
    return (*fields, key.near_limit, entries, list(map(limit_data, key.limits)))


def limit_data(limit: Any) -> Any:
    return (limit.counter, limit.amount, limit.soft, str(limit.period.zone))


def test_line_means_the_same_as_an_entry_of_the_configuration(tmp_path: Path) -> None:
    write(tmp_path, {"name": "you", "value": DIGEST, **FULL}, "", entry(1) | {"team": "research"})
    keys = compiled(TEXT, folder=tmp_path).snapshot.virtual_keys
    assert isinstance(keys, FileKeys)
    inline = TEXT.replace("  keys_file: keys.jsonl\n", "").replace(
        "{me: env.CLIENT_KEY}", json.dumps({"me": "env.CLIENT_KEY", "you": {"value": DIGEST, **FULL}})
    )
    expected = compiled(inline, folder=tmp_path).snapshot.virtual_keys
    assert len(keys) == 3
    for digest, key in expected.items():
        assert as_data(keys[digest]) == as_data(key)
    assert {key.name for key in keys.values()} == {"me", "you", "user-000001"}


def test_lookups_by_digest_and_by_name_return_the_same_key(tmp_path: Path) -> None:
    write(tmp_path, {"name": "you", "value": DIGEST})
    keys = compiled(TEXT, folder=tmp_path).snapshot.virtual_keys
    assert isinstance(keys, FileKeys)
    digest = bytes.fromhex(DIGEST[7:])
    assert keys[digest] is keys.get(digest) is keys.named("you")
    me = keys.named("me")
    assert me is not None
    assert keys[me.digest] is me
    assert keys.named("nobody") is None
    assert keys.get(b"\0" * 32) is None
    with pytest.raises(KeyError):
        keys[b"\0" * 32]


def test_limits_are_found_by_their_counters(tmp_path: Path) -> None:
    write(tmp_path, {"name": "you", "value": DIGEST, **FULL})
    snapshot = compiled(TEXT + "provider: {}\n".replace("provider: {}\n", ""), folder=tmp_path).snapshot
    counters = counters_of(snapshot)
    assert {name: counters[name].amount for name in counters} == {
        "virtual_key:you|usd|day": 100_000_000,
        "virtual_key:you|usd|6h": 2_500_000_000,
        "virtual_key:you|tokens|hour": 1000,
        "entry:you/openai|requests|minute": 5,
        "team:research|usd|month": 8_000_000_000,
        "customer:acme|usd|year": 9_000_000_000,
    }
    assert len(counters) == 6
    for name in ("virtual_key:nobody|usd|day", "virtual_key:you|usd|week", "entry:you/groq|usd|day", "nonsense"):
        assert counters.get(name) is None
        assert name not in counters


def test_only_recently_used_keys_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_table, "MAX_HELD", 10)
    write(tmp_path, *({**entry(number), "team": "research"} for number in range(50)))
    keys = compiled(TEXT, folder=tmp_path).snapshot.virtual_keys
    assert isinstance(keys, FileKeys)
    for number in range(50):
        assert keys[bytes.fromhex(entry(number)["value"][7:])].name == f"user-{number:06d}"
    assert len(keys._made) == len(keys._policies) == 10


def test_changed_keys_file_changes_the_digest_of_the_configuration(tmp_path: Path) -> None:
    write(tmp_path, {"name": "you", "value": DIGEST})
    one = compiled(TEXT, folder=tmp_path)
    assert tmp_path / "keys.jsonl" in one.secret_files, "the file is watched"
    write(tmp_path, {"name": "you", "value": DIGEST, "allow_models": ["gpt-*"]})
    assert compiled(TEXT, folder=tmp_path).snapshot.digest != one.snapshot.digest


@pytest.mark.parametrize(
    ("line", "start"),
    [
        ("{", "must be one JSON object"),
        ("[1]", "must be one JSON object"),
        ("[" * 10_000, "must be one JSON object"),
        ({"value": DIGEST}, "name: must have 1 to 64 letters"),
        ({"name": "without spaces", "value": DIGEST}, "name: must have 1 to 64 letters"),
        ({"name": "you"}, "value: must be `sha256:` and the SHA-256"),
        ({"name": "you", "value": "env.KEY"}, "value: must be `sha256:`"),
        ({"name": "you", "value": "pm-a-key-in-the-clear"}, "value: must be `sha256:`"),
        ({"name": "me", "value": DIGEST}, "name: 'me' is already used in the configuration file"),
        ({"name": "first", "value": DIGEST}, "name: 'first' is already used on line 1"),
        ({"name": "you", "value": entry(0)["value"]}, "value: already used on line 1"),
        (
            {"name": "you", "value": DIGEST, "previous_value": entry(0)["value"]},
            "previous_value: already used on line 1; create another key",
        ),
        (
            {"name": "you", "value": DIGEST, "previous_value": DIGEST},
            "previous_value: is the same as `value`; set `value` to the new key, or remove `previous_value`",
        ),
        (
            {"name": "you", "value": DIGEST, "team": "reserch"},
            "team: unknown team 'reserch'; did you mean 'research'?",
        ),
        ({"name": "you", "value": DIGEST, "budget": []}, "budget: unknown field; did you mean 'budgets'?"),
        (
            {"name": "you", "value": DIGEST, "budgets": [{"limit_usd": -1, "per": "day"}]},
            "budgets.0.limit_usd: must be",
        ),
        ({"name": "you", "value": DIGEST, "budgets": [{"limit_usd": 1}]}, "budgets.0.per: this field is required"),
        ({"name": "you", "value": DIGEST, "providers": ["openay"]}, "providers.openay: unknown provider 'openay'"),
        ({"name": "you", "value": DIGEST, "strategy": "best"}, "strategy: unknown strategy 'best'"),
        ({"name": "you", "value": DIGEST, "labels": 5}, "labels: must be a mapping, not a number"),
    ],
)
def test_faulty_line_is_reported_with_its_number(line: Any, start: str, tmp_path: Path) -> None:
    write(tmp_path, {"name": "first", "value": entry(0)["value"]}, "", line)
    (message,) = errors(TEXT, folder=tmp_path)
    assert message.startswith(f"governance.keys_file: line 3: {start}")
    assert "in-the-clear" not in message, "the value may be a secret"


def test_only_the_first_errors_are_reported(tmp_path: Path) -> None:
    write(tmp_path, *(["{"] * 30))
    found = errors(TEXT, folder=tmp_path)
    assert len(found) == module.MAX_REPORTED + 1
    assert found[-1] == "governance.keys_file: 10 more errors in this file are not shown"


def test_key_with_a_previous_value_has_two_digests_and_one_name(tmp_path: Path) -> None:
    old = sha256(b"pm-key-of-last-month")
    write(tmp_path, {"name": "you", "value": DIGEST, "previous_value": f"sha256:{old.hexdigest()}", **FULL})
    keys = compiled(TEXT, folder=tmp_path).snapshot.virtual_keys
    assert isinstance(keys, FileKeys)
    new = bytes.fromhex(DIGEST.removeprefix("sha256:"))
    by_old, by_new = keys.get(old.digest()), keys.get(new)
    assert by_old is not None
    assert by_new is not None
    assert by_old.name == by_new.name == "you"
    assert list(map(limit_data, by_old.limits)) == list(map(limit_data, by_new.limits)), "the same counters"
    assert keys.named("you") is by_new


def test_previous_value_must_be_a_digest(tmp_path: Path) -> None:
    write(tmp_path, {"name": "you", "value": DIGEST, "previous_value": "pm-plain"})
    assert "previous_value: must be `sha256:`" in str(errors(TEXT, folder=tmp_path))
