"""Duplicates in the configuration."""

import pytest

from fakes.configuration import OPEN, checked, compiled, errors, found
from pointsman.domain.snapshots import Hedging, Racing

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


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("none", (None, None)),
        ("hedge", (Hedging(), None)),
        ("race", (Hedging(), Racing(0.03))),
        ("{race: }", (Hedging(), Racing(0.03))),
        ("{race: {share: 0.01}}", (Hedging(), Racing(0.01))),
        ("{race: {}, hedge: {share: 0.1}}", (Hedging(share=0.1), Racing())),
    ],
)
def test_races_include_hedges(text: str, settings: tuple[Hedging | None, Racing | None]) -> None:
    routing = compiled(f"{PROVIDER}routing: {{duplicates: {text}}}\n").snapshot.routing
    assert (routing.hedging, routing.racing) == settings


@pytest.mark.parametrize(("strategy", "count"), [("adaptive", 0), ("weighted", 1)])
def test_races_without_a_strategy_that_probes_are_noted(strategy: str, count: int) -> None:
    text = f"""
        models:
          chat: {{strategy: {strategy}, targets: [openai/a, openai/b], duplicates: race}}
        """
    notes = found(checked(PROVIDER + _dedented(text)), "note")
    assert sum("has no races" in note for note in notes) == count


@pytest.mark.parametrize(
    ("default", "own", "count"),
    [("adaptive", "weighted", 0), ("weighted", "adaptive", 0), ("weighted", "priority", 1), ("weighted", "fast", 0)],
)
def test_default_races_that_no_strategy_uses_are_noted(default: str, own: str, count: int) -> None:
    text = f"""
        routing: {{strategy: {default}, duplicates: race}}
        models:
          chat: {{strategy: {own}, targets: [openai/a, openai/b]}}
        """
    notes = found(checked(PROVIDER + _dedented(text)), "note")
    assert [note.partition(":")[0] for note in notes if "has no races" in note] == ["routing.duplicates"] * count


def test_public_name_overrides_the_defaults() -> None:
    text = """
        routing: {duplicates: {hedge: {after_s: 2}}}
        models:
          same: [openai/a, openai/b]
          never: {targets: [openai/a, openai/b], duplicates: none}
          raced: {targets: [openai/a, openai/b], strategy: adaptive, duplicates: race}
          sooner: {targets: [openai/a, openai/b], duplicates: {hedge: {after_s: 1}}}
        """
    models = compiled(PROVIDER + _dedented(text)).snapshot.models
    assert models["same"].routing is None, "it has the defaults"
    routings = [models[name].routing for name in ("never", "sooner")]
    raced = models["raced"].routing
    assert raced is not None
    assert (raced.hedging, raced.racing) == (Hedging(), Racing())
    assert [one.hedging for one in routings if one is not None] == [None, Hedging(after_s=1.0)]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("races", "must be none, hedge, race, or one of them with its settings"),
        ("[hedge]", "must be none, hedge, race, or one of them"),
        ("{}", "must be none, hedge, race, or one of them"),
        ("{hedge: {after_s: 1, at_least_s: 1}}", "at_least_s has no effect"),
        ("{hedge: {after_s: 0}}", "hedge.after_s"),
        ("{hedge: {after_s: 1, after_percentile: 95}}", "set only one of"),
        ("{hedge: {share: 0}}", "hedge.share"),
        ("{hedge: {after_percentile: 100}}", "hedge.after_percentile"),
        ("{hedges: {}}", "hedges"),
        ("{race: {share: 2}}", "race.share"),
        ("{hedge: false}", "hedge"),
        ("{race: 0}", "race"),
    ],
)
def test_invalid_duplicates_are_errors(text: str, error: str) -> None:
    (problem,) = errors(f"{PROVIDER}routing: {{duplicates: {text}}}\n")
    assert problem.startswith("routing.duplicates")
    assert error in problem


def _dedented(text: str) -> str:
    return "".join(line.removeprefix("        ") + "\n" for line in text.splitlines())
