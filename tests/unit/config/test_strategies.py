"""Strategies in the configuration: a name, or a name with settings of its own."""

import pytest
from msgspec import Struct

from pointsman.config.problems import Findings
from pointsman.config.source import parse
from pointsman.config.strategies import StrategySettings, compile_strategy
from pointsman.domain.targets import Candidate, Strategy
from pointsman.routing.ordering import Order, Ordered
from pointsman.routing.strategies import STRATEGIES, StrategyKind


class Quickest(Struct, frozen=True):
    explore: float = 0.1
    measure: str = "latency"


def make(candidates: tuple[Candidate, ...], settings: object) -> Order:
    return lambda facts, view, rng, now: Ordered(candidates)


KINDS = {**STRATEGIES, "quickest": StrategyKind(make, Quickest)}


def compiled(**stated: object) -> tuple[Strategy | None, list[str]]:
    findings = Findings(parse(b"models: {}\n"))
    strategy = compile_strategy(
        StrategySettings.model_validate(stated), ("models", "chat", "strategy"), findings, KINDS
    )
    return strategy, [f"{problem.path}: {problem.message}" for problem in findings.in_order()]


def test_settings_are_read_by_the_schema_of_the_strategy() -> None:
    assert compiled(name="quickest") == (Strategy("quickest"), [])
    assert compiled(name="quickest", explore=0.5) == (Strategy("quickest", Quickest(0.5)), [])


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        (
            {"name": "quickest", "exlpore": 1},
            ".exlpore: unknown setting 'exlpore' of the strategy 'quickest'; its settings are ",
        ),
        (
            {"name": "weighted", "explore": 1},
            ".explore: unknown setting 'explore' of the strategy 'weighted'; it has no settings",
        ),
        ({"name": "quickest", "explore": "much"}, ": invalid settings of the strategy 'quickest': Expected "),
    ],
)
def test_faulty_settings_are_errors_that_tell_what_is_allowed(stated: dict[str, object], message: str) -> None:
    _, messages = compiled(**stated)
    assert [one.startswith(f"models.chat.strategy{message}") for one in messages] == [True]
