"""Duplicates in the configuration."""

import pytest

from fakes.configuration import OPEN, compiled, errors
from pointsman.domain.snapshots import Hedging

PROVIDER = f"{OPEN}providers: {{openai: env.OPENAI_API_KEY}}\n"


def hedging(text: str) -> Hedging | None:
    return compiled(f"{PROVIDER}routing: {{duplicates: {text}}}\n").snapshot.routing.hedging


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("none", None),
        ("hedge", Hedging()),
        ("{hedge: {}}", Hedging()),
        ("{hedge: }", Hedging()),
        ("{hedge: {after_s: 2}}", Hedging(after_s=2.0)),
        ("{hedge: {after_percentile: 90, at_least_s: 0.5, share: 0.1}}", Hedging(None, 90.0, 0.5, 0.1)),
    ],
)
def test_duplicates_are_a_name_or_a_name_with_settings(text: str, settings: Hedging | None) -> None:
    assert hedging(text) == settings


def test_public_name_overrides_the_defaults() -> None:
    text = """
        routing: {duplicates: {hedge: {after_s: 2}}}
        models:
          same: [openai/a, openai/b]
          never: {targets: [openai/a, openai/b], duplicates: none}
          sooner: {targets: [openai/a, openai/b], duplicates: {hedge: {after_s: 1}}}
        """
    models = compiled(PROVIDER + _dedented(text)).snapshot.models
    assert models["same"].routing is None, "it has the defaults"
    routings = [models[name].routing for name in ("never", "sooner")]
    assert [one.hedging for one in routings if one is not None] == [None, Hedging(after_s=1.0)]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("race", "must be none, hedge, or hedge with its settings"),
        ("[hedge]", "must be none, hedge, or hedge with its settings"),
        ("{}", "must be none, hedge, or hedge with its settings"),
        ("{hedge: {after_s: 1, at_least_s: 1}}", "at_least_s has no effect"),
        ("{hedge: {after_s: 0}}", "hedge.after_s"),
        ("{hedge: {after_s: 1, after_percentile: 95}}", "set only one of"),
        ("{hedge: {share: 0}}", "hedge.share"),
        ("{hedge: {after_percentile: 100}}", "hedge.after_percentile"),
        ("{hedges: {}}", "hedges"),
    ],
)
def test_invalid_duplicates_are_errors(text: str, error: str) -> None:
    (problem,) = errors(f"{PROVIDER}routing: {{duplicates: {text}}}\n")
    assert problem.startswith("routing.duplicates")
    assert error in problem


def _dedented(text: str) -> str:
    return "".join(line.removeprefix("        ") + "\n" for line in text.splitlines())
