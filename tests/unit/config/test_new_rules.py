"""A configuration with the rules of another file."""

from pathlib import Path

import pytest

from pointsman.config.new_rules import compile_with_rules

BASE = """
providers: {openai: env.OPENAI_API_KEY}
governance: {require_key: false}
routing: {max_attempts: 2, rules: [{name: old, model: openai/a}]}
"""
RULES = "[{name: new, when: stream, model: openai/b}]"


@pytest.mark.parametrize(
    ("new", "has_base", "attempts", "names"),
    [
        (f"rules: {RULES}", True, 2, ["new"]),
        (BASE.replace("2", "3"), False, 3, ["old"]),
        (BASE.replace("2", "3").replace("old", "new"), True, 2, ["new"]),
        ("providers: {openai: env.OPENAI_API_KEY}", True, 2, []),
    ],
)
def test_rules_replace_those_of_the_base(
    tmp_path: Path, new: str, has_base: bool, attempts: int, names: list[str]
) -> None:
    (tmp_path / "new.yaml").write_text(new)
    (tmp_path / "base.yaml").write_text(BASE)
    checked = compile_with_rules(tmp_path / "new.yaml", tmp_path / "base.yaml" if has_base else None, {})
    assert checked.compiled is not None, checked.problems
    snapshot = checked.compiled.snapshot
    assert (snapshot.routing.max_attempts, [rule.name for rule in snapshot.rules]) == (attempts, names)


@pytest.mark.parametrize(
    ("new", "base", "message"),
    [
        (f"rules: {RULES}", None, "has only rules; name the configuration that they are for with --config"),
        (None, BASE, "new.yaml cannot be read: No such file or directory"),
        ("[1]", BASE, "must be a mapping"),
        ("rules: [{name: a, when: strem, model: openai/b}]", BASE, "routing.rules[0].when: unknown variable 'strem'"),
        ("rules: 5", BASE, "routing.rules: must be a list"),
        (f"rules: {RULES}", "routing: 5\nproviders: {openai: x}", "routing"),
    ],
)
def test_problems_name_the_place_and_the_remedy(
    tmp_path: Path, new: str | None, base: str | None, message: str
) -> None:
    if new is not None:
        (tmp_path / "new.yaml").write_text(new)
    if base is not None:
        (tmp_path / "base.yaml").write_text(base)
    checked = compile_with_rules(tmp_path / "new.yaml", tmp_path / "base.yaml" if base is not None else None, {})
    assert checked.compiled is None
    assert any(message in str(problem) for problem in checked.problems), checked.problems
