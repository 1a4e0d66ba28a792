"""The rejection of a name that nothing serves, and the meaning of names as people type them.

With `POINTSMAN_MEASURE` set, the figures of `docs/measurements/catalog_names.json` are written.
"""

import json
import os
from pathlib import Path

from msgspec.structs import replace

from fakes.typed_names import configuration, outcome_of, typed_names
from pointsman.config.catalog import packaged
from pointsman.domain.identity import VirtualKey
from pointsman.domain.snapshots import Snapshot
from pointsman.routing.router import router_of
from pointsman.routing.unknown_names import model_not_found, providers_to_add, suggested

MEASUREMENTS = Path(__file__).parents[3] / "docs" / "measurements"
PART_UNDERSTOOD = 0.95
FEW = configuration("few", packaged())


def rejected(model: str, snapshot: Snapshot = FEW, key: VirtualKey | None = None) -> str:
    return model_not_found(model, snapshot, "model", router_of(snapshot).resolve, key).message


def test_rejection_suggests_near_names_and_providers() -> None:
    assert rejected("gpt-40").startswith("the model 'gpt-40' does not exist here; did you mean 'gpt-4o'")
    message = rejected("groq/llama-3.3-70b-versatile")
    assert "is served by groq, which this gateway has not configured." in message
    assert "Or use provider/model; the providers are anthropic, openai." in message
    assert rejected("my-own") == (
        "the model 'my-own' does not exist here. Public names: none. Or use provider/model; the providers are "
        "anthropic, openai."
    )


def test_vendor_of_a_missing_model_comes_first() -> None:
    assert providers_to_add("gemini-2.5-pro", FEW)[0] == "gemini"
    assert providers_to_add("google/gemma-4-31b-it:free", FEW) == ["openrouter"]
    assert "openai" not in providers_to_add("gpt-4o", FEW)
    assert providers_to_add("accounts/fireworks/models/llama-v3p1-405b-instruct", FEW) == ["fireworks"]
    assert "gemini" not in providers_to_add("google/claude-sonnet-4-6", FEW), "it does not have the model"


def test_key_learns_only_the_names_that_it_may_request() -> None:
    key = VirtualKey(name="k", digest=b"", allow_models=("gpt-4o-mini", "gpt-40"))
    assert set(suggested("gpt-4o-min", FEW, router_of(FEW).resolve, key)) == {"gpt-4o-mini"}
    assert "'gpt-4o'" not in rejected("gpt-40", key=key)


def test_public_name_is_suggested() -> None:
    found = router_of(FEW).resolve("gpt-4o")
    assert found is not None
    public = replace(FEW, models={"support-chat": found})
    assert "did you mean 'support-chat'?" in rejected("suport-chat", public)


def test_names_as_people_type_them_are_understood() -> None:
    snapshots = {name: configuration(name, packaged()) for name in ("all", "few")}
    outcomes = [(typed, *outcome_of(typed, snapshots[typed.configured])) for typed in typed_names()]
    understood = sum(right for _, right, _ in outcomes)
    misunderstood = [
        f"{typed.name}: expected `{typed.expected}`, but it {said}" for typed, right, said in outcomes if not right
    ]
    if "POINTSMAN_MEASURE" in os.environ:
        figures = {
            "catalog": packaged().date,
            "names": len(outcomes),
            "understood": understood,
            "percent": round(100 * understood / len(outcomes), 1),
            "misunderstood": misunderstood,
        }
        (MEASUREMENTS / "catalog_names.json").write_text(json.dumps(figures, indent=1) + "\n")
    assert len(outcomes) >= 100
    assert understood >= PART_UNDERSTOOD * len(outcomes), "\n".join(misunderstood)
