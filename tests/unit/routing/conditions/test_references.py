"""References with literal keys become variables, and positions lead back to the source."""

import pytest

from pointsman.routing.conditions.references import ConditionError, Rewritten, rewrite, tokens_of


def rewritten(source: str) -> Rewritten:
    names: dict[object, str] = {}
    return rewrite(source, lambda reference: names.setdefault(reference, f"v{len(names)}"), "salt")


@pytest.mark.parametrize(
    ("source", "text", "references"),
    [
        ("stream", "v0", ["stream"]),
        ("headers['x'] == headers[\"x\"]", "v0 == v0", ['headers["x"]']),
        ("key.labels.a == 'b' && key.name != ''", "v0 == 'b' && v1 != ''", ['key.labels["a"]', "key.name"]),
        ("budget_used.team>80", "v0>80.0", ['budget_used["team"]']),
        ("budget_used.team > -80", "v0 > -80.0", ['budget_used["team"]']),
        ("budget_used.team > 80.5", "v0 > 80.5", ['budget_used["team"]']),
        ("time['UTC'].hour in [1, 2]", "v0 in [1, 2]", ['time["UTC"].hour']),
        ("present(params, 'seed')", "v0", ['present(params, "seed")']),
        ("sticky(10, user)", 'sticky("salt", 10, v0)', ["user"]),
        ("'headers.x' == model // headers.y", "'headers.x' == v0 // headers.y", ["model"]),
        ("[1].exists(x, x == 1)", "[1].exists(x, x == 1)", []),
        ("'a'.size() == 1", "'a'.size() == 1", []),
        (r"headers['a\'b'] == r'\d'", r"v0 == r'\d'", ['headers["a\'b"]']),
    ],
)
def test_references_become_variables(source: str, text: str, references: list[str]) -> None:
    found = rewritten(source)
    assert found.text == text
    assert [str(reference) for reference in found.references] == references


def test_kind_of_a_parameter_follows_its_use() -> None:
    kinds = {
        "params['x'] > 1": "number",
        "1 < params['x']": "number",
        "params['x'] == 'a'": "text",
        "params['x'] in ['a']": "text",
        "params['x'] == true": "flag",
        "params['temperature'] == params['top_p']": "number",
        "params['x'].startsWith('a')": "text",
    }
    for source, kind in kinds.items():
        assert rewritten(source).references[0].kind == kind, source


def test_positions_lead_back_to_the_source() -> None:
    source = "headers['x-tier'] == 'a' && budget_used.team > 80 && modle == 'b'"
    found = rewritten(source)
    assert found.source_position(found.text.index("modle")) == source.index("modle")
    assert found.source_position(found.text.index("80.0")) == source.index("80")
    assert found.source_position(0) == 0


@pytest.mark.parametrize(
    "source", ["headers", "headers[model]", "headers[b'x']", "time[1].hour", "present(headers)", "key"]
)
def test_other_uses_of_maps_are_errors(source: str) -> None:
    with pytest.raises(ConditionError):
        rewritten(source)


def test_texts_hold_no_tokens() -> None:
    assert [token.text for token in tokens_of("a == \"b && c\" // d\n|| '''e\nf'''")] == [
        "a",
        "==",
        '"b && c"',
        "||",
        "'''e\nf'''",
    ]
