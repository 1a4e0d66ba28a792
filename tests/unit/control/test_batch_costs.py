"""The cost of a batch from its output file, or from what is left of it."""

import json

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.batches import WORK
from pointsman.control.batch_costs import (
    BatchOutput,
    OutputError,
    costs_without_output,
    failed_by_model,
    reserved_cost,
    whole_cost,
)
from pointsman.domain.batches import ModelWork
from pointsman.domain.outcomes import Usage
from pointsman.wire.batches import BatchObject, Counts

MINI = ModelWork("gpt-4o-mini", lines=1, tokens_in=5, tokens_out=5, fees_nano=7)


def line(model: str, tokens_in: int, tokens_out: int, status: int = 200) -> bytes:
    usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out}
    return json.dumps({"response": {"status_code": status, "body": {"model": model, "usage": usage}}}).encode() + b"\n"


def test_each_line_costs_the_batch_price_of_its_model() -> None:
    work = replace(WORK, models=(*WORK.models, MINI))
    whole = (
        line("gpt-4o-2026", 3, 1) + line("gpt-4o-mini-2026", 5, 5) + line("gpt-4o", 1, 0) + line("gpt-4o", 9, 9, 500)
    )
    for size in (1, 7, len(whole)):
        output = BatchOutput(work)
        for start in range(0, len(whole), size):
            output.feed(whole[start : start + size])
        first, second = output.end(Counts(total=4, completed=3, failed=1))
        assert (first.model, first.lines, first.failed, first.usage) == ("gpt-4o", 3, 1, Usage(4, 1))
        assert first.nano == 3 + 1, "2.5 and 0.5 nano-dollars, each rounded up"
        assert (second.model, second.lines, second.nano) == ("gpt-4o-mini", 1, 7), "its fees, since it has no price"


def test_line_without_usage_costs_its_share_of_the_most() -> None:
    output = BatchOutput(WORK)
    output.feed(b'{"response": {"status_code": 200, "body": {"model": "gpt-4o"}}}\n')
    [cost] = output.end(Counts(total=2, completed=1, failed=0))
    assert (cost.usage, cost.nano) == (Usage(50, 100), 125)


def test_unreadable_output_is_not_settled() -> None:
    for text in (b"not JSON\n", b"x" * (9 << 20)):
        with pytest.raises(OutputError):
            BatchOutput(WORK).feed(text)


def test_lost_output_costs_the_reported_usage_or_all() -> None:
    batch = BatchObject(id="b", status="completed", request_counts=Counts(total=2, completed=2, failed=0))
    cost = whole_cost(WORK, batch, Usage(10, 20))
    assert (cost.lines, cost.nano) == (2, 5 + 20 + 2)
    assert reserved_cost(WORK).nano == 252


@pytest.mark.parametrize(
    ("good", "failed", "expected"),
    [
        ({}, None, [2, 1]),
        ({"gpt-4o": 2}, None, [0, 1]),
        ({"gpt-4o": 1, "gpt-4o-mini": 1}, 1, [1, 0]),
        ({"gpt-4o": 1}, 1, [1, 0]),
        ({}, 5, [4, 1]),
        ({}, 0, [0, 0]),
    ],
)
def test_every_failed_line_counts_for_a_model_that_has_lines_left(
    good: dict[str, int], failed: int | None, expected: list[int]
) -> None:
    work = replace(WORK, models=(*WORK.models, MINI))
    assert list(failed_by_model(work, good, failed).values()) == expected


def test_batch_without_an_output_file_costs_nothing_only_if_no_line_is_completed() -> None:
    batch = BatchObject(id="b", status="cancelled")
    none_done = replace(batch, request_counts=Counts(total=2, completed=0, failed=2))
    [cost] = costs_without_output(WORK, none_done)
    assert (cost.model, cost.lines, cost.failed, cost.nano) == ("gpt-4o", 2, 2, 0)
    assert costs_without_output(WORK, replace(none_done, request_counts=Counts(total=2, completed=0, failed=0))) == ()
    [cost] = costs_without_output(WORK, replace(batch, status="failed"))
    assert (cost.failed, cost.nano) == (2, 0)
    [cost] = costs_without_output(WORK, replace(batch, usage=Raw(b'{"input_tokens": 10, "output_tokens": 20}')))
    assert cost.nano == 5 + 20 + 2
    for unclear in (batch, replace(batch, request_counts=Counts(total=2, completed=1, failed=1))):
        with pytest.raises(OutputError, match="names"):
            costs_without_output(WORK, unclear)
