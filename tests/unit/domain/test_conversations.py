"""The reasons why a dialect cannot express a request, as a message lists them."""

from pointsman.domain.conversations import MAX_NAME, MAX_NAMED, Written


def test_few_short_reasons_are_all_listed() -> None:
    assert Written(fields={}, cannot=("top_k", "tools[0] of type x")).reasons == "top_k, tools[0] of type x"


def test_many_reasons_are_counted_and_long_ones_cut() -> None:
    reasons = Written(fields={}, cannot=("x" * 1000, *["y"] * MAX_NAMED)).reasons
    assert reasons.startswith("x" * (MAX_NAME - 3) + "..., y, y")
    assert reasons.endswith(", y and 1 more")
