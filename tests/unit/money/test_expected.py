"""The expected cost of a request at a candidate: its prompt, answer, price steps, tiers, cache and tools."""

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.money import PLAIN, make_call, terms
from pointsman.domain.calls import Call, Media
from pointsman.domain.operations import Operation
from pointsman.domain.outcomes import Usage
from pointsman.domain.prices import Price, Rates, ToolPrice
from pointsman.money.charges import MOST_SEEN, USUAL_ANSWER, Answers
from pointsman.money.expected import PRIOR, expected_each, expected_nano, usual_answer, workload_of
from pointsman.money.terms import Terms
from pointsman.wire.tokens import IMAGE_TOKENS
from pointsman.wire.unbounded import Use

CALL = make_call(size=400, max_tokens=50)  # about 100 tokens of prompt


def cost(call: Call = CALL, of: Terms | None = None, answers: Answers | None = None) -> int | None:
    return expected_nano(of or terms(), workload_of(call), answers)


def seen(*usages: Usage) -> Answers:
    answers = Answers()
    for usage in usages:
        answers.add(usage)
    return answers


def test_prompt_and_bounded_answer_cost_their_rates() -> None:
    assert cost() == 100 * 150 + 50 * 600
    assert cost(replace(CALL, choices=3, answers=3)) == 100 * 150 + 3 * 50 * 600
    assert cost(make_call(size=401)) == 101 * 150 + USUAL_ANSWER * 600
    assert cost(make_call(size=400), terms(output=20)) == 100 * 150 + 20 * 600, "the model's own maximum"


@pytest.mark.parametrize("call", [CALL, make_call(size=401), replace(CALL, choices=3, answers=3)])
def test_costs_at_several_candidates_are_those_at_each(call: Call) -> None:
    each = [
        terms(),
        terms(output=20),
        terms(None),
        terms(Price(Rates(input=1, output=2), request_nano=7)),
        terms(),
        terms(),
    ]
    read, written = seen(Usage(100, 300, 50)), seen(Usage(100, 30, tokens_cache_write=9))
    earlier = [None, seen(Usage(10, 40), Usage(10, 900)), None, seen(Usage(5, 5)), read, written]
    cached = [None, 0.0, 50.0, 30.0, None, None]
    usual = usual_answer(earlier)
    alone = [
        expected_nano(one, workload_of(call), answers, usual, cached=hit)
        for one, answers, hit in zip(each, earlier, cached, strict=True)
    ]
    flat = [replace(one, is_flat=one.price is not None) for one in each]
    assert expected_each(flat, call, earlier, cached) == expected_each(each, call, earlier, cached) == alone


def test_unknown_price_has_no_cost_and_a_free_call_costs_nothing() -> None:
    assert cost(of=terms(None)) is None
    assert cost(make_call("file", method="GET"), terms(None)) == 0
    assert cost(make_call("batch")) is None
    assert cost(make_call("batch"), terms(replace(PLAIN, request_nano=7, is_by_request=True))) is not None


@pytest.mark.parametrize(("operation", "tokens_out"), [("embedding", 0), ("image", 50), ("responses", 50)])
def test_only_operations_with_output_pay_for_an_answer(operation: Operation, tokens_out: int) -> None:
    assert cost(make_call(operation, size=400, max_tokens=50)) == 100 * 150 + tokens_out * 600


def test_media_count_as_typical_ones_and_not_by_their_bytes() -> None:
    media = Media(count=2, tokens=100_000, size=300)
    assert cost(make_call(size=700, max_tokens=50, media=media)) == (100 + 2 * IMAGE_TOKENS) * 150 + 50 * 600


def test_price_step_tier_and_request_price_apply() -> None:
    high, flex = Rates(input=300_000, output=1_000_000), Rates(input=75_000, output=300_000)
    price = Price(PLAIN.rates, ((101, high),), {"flex": flex}, 9, {"flex": ((200, high),)})
    assert cost(of=terms(price)) == 100 * 150 + 50 * 600 + 9
    assert cost(make_call(size=404, max_tokens=50), terms(price)) == 101 * 300 + 50 * 1000 + 9
    tiered = replace(CALL, fields={"service_tier": Raw(b'"flex"')})
    assert cost(tiered, terms(price)) == 100 * 75 + 50 * 300 + 9
    assert cost(replace(tiered, size=800), terms(price)) == 200 * 300 + 50 * 1000 + 9
    assert cost(replace(CALL, fields={"service_tier": Raw(b'"auto"')}), terms(price)) == 100 * 150 + 50 * 600 + 9


def test_earlier_answers_move_the_usual_length_step_by_step() -> None:
    call = make_call(size=400)
    one = (100 + USUAL_ANSWER * PRIOR) / (1 + PRIOR)
    assert cost(call, answers=seen(Usage(8, 100))) == 100 * 150 + round(one) * 600
    many = (100 * MOST_SEEN + USUAL_ANSWER * PRIOR) / (MOST_SEEN + PRIOR)
    assert cost(call, answers=seen(*[Usage(8, 100)] * 100)) == 100 * 150 + round(many) * 600


def test_answers_to_several_choices_count_each() -> None:
    answers = Answers()
    answers.add(Usage(8, 400), 4)
    assert answers.mean == 100
    assert answers.expected(replace(make_call(), choices=2, answers=2)) == 200


def test_usual_answer_is_that_of_the_candidates_with_answers() -> None:
    assert usual_answer([None, Answers()]) == USUAL_ANSWER
    assert usual_answer([None, seen(Usage(1, 10)), seen(Usage(1, 40), Usage(1, 40))]) == 30
    workload = workload_of(make_call(size=400))
    assert expected_nano(terms(), workload, None, 30.0) == 100 * 150 + 30 * 600


def test_cached_shares_of_earlier_prompts_have_their_rates() -> None:
    rates = Rates(input=150_000, output=600_000, cache_read=15_000, cache_write=200_000)
    answers = seen(Usage(100, 50, tokens_cached=60, tokens_cache_write=10, tokens_cache_write_1h=10))
    assert (answers.cached, answers.written) == (0.6, 0.2)
    assert cost(of=terms(Price(rates)), answers=answers) == 20 * 150 + 60 * 15 + 20 * 200 + 50 * 600
    answers.add(Usage(100, 50))
    assert (answers.cached, answers.written) == pytest.approx((0.6 * 15 / 16, 0.2 * 15 / 16))


def test_known_content_of_a_cache_replaces_the_shares_of_earlier_prompts() -> None:
    rates = Rates(input=150_000, output=600_000, cache_read=15_000, cache_write=200_000)
    answers = seen(Usage(100, 50, tokens_cached=60, tokens_cache_write=20))
    workload, of = workload_of(make_call(size=400, max_tokens=50)), terms(Price(rates))
    for cached, nano in ((0.0, 80 * 150 + 20 * 200), (70.0, 10 * 150 + 70 * 15 + 20 * 200), (999.0, 100 * 15)):
        assert expected_nano(of, workload, answers, cached=cached) == nano + 50 * 600
    assert expected_nano(of, workload, None, cached=40.0) == 60 * 150 + 40 * 15 + 50 * 600


def test_tools_cost_one_use_each_unless_the_request_orders_more() -> None:
    tools = {"web_search": ToolPrice(1000), "container": ToolPrice(500, once=True), "live_search": ToolPrice(10)}
    priced = replace(terms(), tools=tools)
    plain = 100 * 150 + 50 * 600
    asked = make_call(size=400, max_tokens=50, fields={"tools": [{"type": "web_search"}, {"type": "unknown"}]})
    assert cost(asked, priced) == plain + 1000
    assert cost(asked) == plain, "without known prices"
    ordered = make_call(size=400, max_tokens=50, fields={"search_parameters": {"max_search_results": 7}})
    assert cost(ordered, priced) == plain + 70
    always = replace(priced, model_uses=(Use("web_search", 1, "model"),))
    assert cost(CALL, always) == plain + 1000
