"""What billing would say of a plan, beforehand."""

import re
from random import Random

from fakes.configuration import compiled
from fakes.wire import parse
from pointsman.domain.calls import Facts
from pointsman.domain.failures import Failure
from pointsman.domain.plans import Plan
from pointsman.engine.live import Live
from pointsman.engine.preview import preview
from pointsman.routing.decide import decide

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
    rich: {value: "sha256:DIGEST_d", budgets: [{limit_usd: 100, per: day}], rate_limits: [{requests: 1, per: minute}]}
"""


def seen(key: str, model: str = "chat") -> tuple[list[str], list[tuple[str, str]]] | str:
    """The models that would be tried, and what was said of others; the code of a refusal."""
    snapshot = compiled(re.sub("DIGEST_(.)", lambda found: found[1] * 64, TEXT)).snapshot
    me = next(one for one in snapshot.virtual_keys.values() if one.name == key)
    call = parse({"model": model, "messages": [{"role": "user", "content": "hi"}]}, snapshot=snapshot)
    facts = Facts(call, me)
    plan = decide(facts, Live(snapshot), Random(1), 0.0)
    assert isinstance(plan, Plan)
    found = preview(plan, facts)
    if isinstance(found, Failure):
        return found.kind.code
    models = [choice.candidate.model for choice in found.choices]
    return models, [(verdict.candidate, verdict.reason.code) for verdict in found.verdicts]


def test_what_has_no_price_or_no_room_is_left_out() -> None:
    assert seen("me") == (["cheap"], [("local/free", "price_unknown"), ("local/dear", "over_budget")])


def test_one_attempt_takes_nothing_from_the_next() -> None:
    assert seen("rich") == (["dear", "cheap"], [("local/free", "price_unknown")])


def test_nothing_left_is_a_refusal() -> None:
    assert seen("poor") == "budget_exceeded"
    assert seen("me", "local/free") == "price_unknown"


def test_a_shorter_answer_comes_only_where_nothing_fits() -> None:
    assert seen("near", "local/dear") == (["dear"], [("local/dear", "shortened")])
    assert seen("near") == (["cheap"], [("local/free", "price_unknown"), ("local/dear", "over_budget")])
