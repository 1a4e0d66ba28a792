"""Costs that bytes do not bound are reserved by context window and tool prices, and charged as reported."""

from msgspec.structs import replace

from fakes.money import make_call, terms
from pointsman.domain.outcomes import Usage
from pointsman.domain.prices import ToolPrice
from pointsman.money.pricing import upper_bound
from pointsman.money.provider_tools import most_nano, not_bounded, tools_nano, unbounded_of
from pointsman.wire.unbounded import Unbounded, Use

TOOLS = {
    "web_search": ToolPrice(10),
    "web_search_preview": ToolPrice(25),
    "code_interpreter": ToolPrice(30, once=True),
    "plugin:web": ToolPrice(4),
}
KNOWN = replace(terms(), context=100_000, tools=TOOLS)
CALL = make_call("responses", size=1000, max_tokens=10)


def allowing(*uses: tuple[str, int], field: str = "tools", predicted: int = 0) -> Unbounded:
    return Unbounded(field, tuple(Use(tool, count, field) for tool, count in uses), predicted)


def test_context_window_and_each_tool_use_are_reserved() -> None:
    window_nano = -(-(100_000 * 150_000 + 10 * 600_000) // 1000)
    assert most_nano(KNOWN, CALL, allowing(field="prompt")) == window_nano
    assert most_nano(KNOWN, CALL, allowing(("web_search", 5))) == window_nano + 50
    assert most_nano(KNOWN, CALL, allowing(("code_interpreter", 5), ("web_search", 1))) == window_nano + 40


def test_request_larger_than_the_window_reserves_its_own_size() -> None:
    large = make_call("responses", size=200_000, max_tokens=10)
    assert most_nano(KNOWN, large, allowing(field="prompt")) == upper_bound(KNOWN, large)[0]


def test_prediction_is_reserved_as_an_answer() -> None:
    assert most_nano(KNOWN, CALL, allowing(field="", predicted=100)) == upper_bound(KNOWN, CALL)[0] + 60_000


def test_unknown_price_or_window_names_the_field() -> None:
    assert not_bounded(KNOWN, allowing(("web_search", 1))) is None
    no_price = not_bounded(KNOWN, allowing(("x_search", 1)))
    assert no_price is not None
    assert "'tools'" in no_price.message
    assert "'x_search'" in no_price.message
    no_window = not_bounded(replace(KNOWN, context=None), allowing(field="conversation"))
    assert no_window is not None
    assert "'conversation'" in no_window.message
    assert not_bounded(replace(KNOWN, context=None), allowing(field="", predicted=3)) is None


def test_free_input_needs_no_known_window() -> None:
    free = replace(KNOWN, context=None, max_input_rate=0, max_output_rate=600_000)
    assert not_bounded(free, allowing(field="video_url")) is None
    assert most_nano(free, CALL, allowing(field="video_url")) == 10 * 600
    assert not_bounded(free, allowing(("x_search", 1))) is not None, "a tool may have a price at a free model"


def test_reported_tool_use_is_charged() -> None:
    unbounded = allowing(("web_search_preview", 5), ("code_interpreter", 5))
    assert tools_nano(KNOWN, unbounded, Usage(1, 1, tools=())) == 0
    assert tools_nano(KNOWN, unbounded, Usage(1, 1, tools=(("web_search", 2), ("code_interpreter", 3)))) == 2 * 25 + 30
    assert tools_nano(KNOWN, unbounded, Usage(1, 1, tools=(("web_search", 9), ("function", 4)))) == 9 * 25, (
        "the charge may exceed the reservation"
    )


def test_unreported_tool_use_is_charged_as_reserved() -> None:
    unbounded = allowing(("web_search", 5), ("plugin:web", 3))
    assert tools_nano(KNOWN, unbounded, Usage(1, 1)) == 62
    assert tools_nano(KNOWN, unbounded, Usage(1, 1, tools=(("web_search", 1),))) == 10 + 12


def test_model_that_always_searches_is_charged_like_a_requested_tool() -> None:
    searching = replace(KNOWN, model_uses=(Use("web_search", 2, "model"),))
    assert unbounded_of(searching, make_call()) == Unbounded("model", (Use("web_search", 2, "model"),))
    found = unbounded_of(searching, make_call(fields={"web_search_options": {}}))
    assert found is not None
    assert (found.field, len(found.uses)) == ("web_search_options", 2)
    twice = replace(KNOWN, model_uses=(Use("web_search_options", 1, "model"),))
    assert unbounded_of(twice, make_call(fields={"web_search_options": {}})) == unbounded_of(
        KNOWN, make_call(fields={"web_search_options": {}})
    ), "the model searches once, also if the request asks for it"
    assert unbounded_of(KNOWN, make_call()) is None
