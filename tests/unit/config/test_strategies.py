"""A strategy is a name, or a mapping of the name to its settings."""

import pytest
from msgspec import Struct
from pydantic import TypeAdapter

from pointsman.config.problems import Findings
from pointsman.config.source import parse
from pointsman.config.strategies import StrategyField, compile_strategy
from pointsman.domain.targets import Candidate, Strategy
from pointsman.routing.ordering import Order, Ordered
from pointsman.routing.strategies import STRATEGIES, StrategyKind


class Quickest(Struct, frozen=True):
    explore: float = 0.1
    measure: str = "latency"


def make(candidates: tuple[Candidate, ...], settings: object) -> Order:
    return lambda facts, view, rng, now: Ordered(candidates)


KINDS = {**STRATEGIES, "quickest": StrategyKind(make, Quickest)}


FIELD = TypeAdapter(StrategyField)


def compiled(field: object) -> tuple[Strategy | None, list[str]]:
    findings = Findings(parse(b"models: {}\n"))
    strategy = compile_strategy(FIELD.validate_python(field), ("models", "chat", "strategy"), findings, KINDS)
    return strategy, [f"{problem.path}: {problem.message}" for problem in findings.in_order()]


def test_settings_follow_the_schema_of_the_strategy() -> None:
    fields: tuple[object, ...] = ("quickest", {"quickest": None}, {"quickest": {}})
    for field in fields:
        assert compiled(field) == (Strategy("quickest"), [])
    assert compiled({"quickest": {"explore": 0.5}}) == (Strategy("quickest", Quickest(0.5)), [])


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (
            {"quickest": {"exlpore": 1}},
            ".quickest.exlpore: unknown setting 'exlpore' of the strategy 'quickest'; its settings are ",
        ),
        (
            {"priority": {"explore": 1}},
            ".priority.explore: unknown setting 'explore' of the strategy 'priority'; it has no settings",
        ),
        (
            {"weighted": {"sticky": "cookie"}},
            (
                ".weighted: invalid settings of the strategy 'weighted': sticky must be one of session, end_user, "
                "virtual_key, "
            ),
        ),
        (
            {"weighted": {"sticky": "session", "cost": 1}},
            ".weighted: invalid settings of the strategy 'weighted': sticky and cost exclude each other",
        ),
        ({"quickest": {"explore": "much"}}, ".quickest: invalid settings of the strategy 'quickest': Expected "),
    ],
)
def test_faulty_settings_are_errors_with_the_allowed_settings(field: object, message: str) -> None:
    _, messages = compiled(field)
    assert [one.startswith(f"models.chat.strategy{message}") for one in messages] == [True]
