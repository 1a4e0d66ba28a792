"""The expected cost of a request at a target."""

import pytest

from fakes.configuration import OPEN, compiled
from fakes.routing import FakeView
from fakes.wire import CHAT, parse
from pointsman.domain.calls import Facts
from pointsman.money.charges import Answers
from pointsman.routing.conditions.prices import expected_usd

SNAPSHOT = compiled(
    OPEN
    + """
providers: {local: {type: vllm, base_url: "http://127.0.0.1:9001/v1"}}
pricing: {overrides: [{model: local/priced, input_usd_per_million: 1000000, output_usd_per_million: 1000000}]}
"""
).snapshot


def test_cost_is_expected_from_the_request_and_earlier_answers() -> None:
    view = FakeView(SNAPSHOT)
    facts = Facts(parse({**CHAT, "max_tokens": 10}, snapshot=SNAPSHOT))
    read = expected_usd("local/priced")
    first = read(facts, view)
    assert first is not None
    assert first > 10, "ten tokens of a dollar, and the prompt"
    view.answers["local/priced"] = Answers()
    assert read(facts, view) == pytest.approx(first)


def test_unknown_price_and_unknown_provider_have_no_value() -> None:
    view, facts = FakeView(SNAPSHOT), Facts(parse(CHAT, snapshot=SNAPSHOT))
    assert expected_usd("local/unpriced")(facts, view) is None
    assert expected_usd("nowhere/m")(facts, view) is None
