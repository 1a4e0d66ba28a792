"""The billing of a plan without sending it."""

import re
from pathlib import Path
from random import Random

from fakes.configuration import compiled
from fakes.wire import parse
from pointsman.domain.calls import Facts
from pointsman.domain.failures import Failure
from pointsman.engine.preview import decide_unsent

TEXT = """
providers: {local: {type: vllm, base_url: "http://127.0.0.1:9000/v1"}}
models: {chat: [local/free, local/dear, local/cheap]}
pricing:
  overrides:
    - {model: local/cheap, input_usd_per_million: 1, output_usd_per_million: 1, max_output_tokens: 100}
    - {model: local/dear, input_usd_per_million: 1000, output_usd_per_million: 1000, max_output_tokens: 1000}
governance:
  virtual_keys:
    poor: {value: "sha256:DIGEST_a", budgets: [{limit_usd: 0.000001, per: day}]}
    me: {value: "sha256:DIGEST_b", budgets: [{limit_usd: 0.01, per: day}]}
    near: {value: "sha256:DIGEST_c", near_limit: shorten, budgets: [{limit_usd: 0.9, per: day}]}
    some: {value: "sha256:DIGEST_e", rate_limits: [{tokens: 6000, per: minute}]}
    rich: {value: "sha256:DIGEST_d", budgets: [{limit_usd: 100, per: day}], rate_limits: [{requests: 1, per: minute}]}
"""


def seen(key: str, model: str = "chat", text: str = "hi") -> tuple[list[str], list[tuple[str, str]]] | str:
    """Return the models that would be tried, and the verdicts on others; or the code of the failure."""
    snapshot = compiled(re.sub("DIGEST_(.)", lambda found: found[1] * 64, TEXT)).snapshot
    me = next(one for one in snapshot.virtual_keys.values() if one.name == key)
    call = parse({"model": model, "messages": [{"role": "user", "content": text}]}, snapshot=snapshot)
    facts = Facts(call, me)
    found = decide_unsent(facts, Random(1), 0.0).decision
    if isinstance(found, Failure):
        return found.kind.code
    models = [choice.candidate.model for choice in found.choices]
    return models, [(verdict.candidate, verdict.reason.code) for verdict in found.verdicts]


def test_candidates_without_a_price_or_room_are_left_out() -> None:
    assert seen("me") == (["cheap"], [("local/free", "price_unknown"), ("local/dear", "over_budget")])


def test_candidates_are_checked_independently() -> None:
    assert seen("rich") == (["dear", "cheap"], [("local/free", "price_unknown")])


def test_plan_without_candidates_is_a_failure() -> None:
    assert seen("poor") == "budget_exceeded"
    assert seen("me", "local/free") == "price_unknown"


def test_answer_is_shortened_only_if_no_candidate_fits() -> None:
    assert seen("near", "local/dear") == (["dear"], [("local/dear", "shortened")])
    assert seen("near") == (["cheap"], [("local/free", "price_unknown"), ("local/dear", "over_budget")])


def test_plan_counts_a_prompt_whose_bytes_do_not_fit() -> None:
    prose = (Path(__file__).parents[3] / "LICENSE").read_text()
    assert seen("some", "local/cheap", prose) == (["cheap"], [("local/cheap", "counted")])
