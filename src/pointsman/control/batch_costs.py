"""The cost of a batch that has ended, from the usage that its provider reports."""

from msgspec import Struct
from msgspec.structs import replace

from pointsman.control.fetch import AnswerError
from pointsman.control.store.batches import ModelCost
from pointsman.domain.batches import BatchWork
from pointsman.domain.outcomes import Usage
from pointsman.money.batches import line_nano, model_of
from pointsman.wire.batches import BatchObject, LineCutter, read_output


class _LineSums(Struct):
    """The lines of one model so far."""

    lines: int = 0
    usage: Usage = Usage()
    nano: int = 0


class BatchOutput:
    """Takes an output file piece by piece, and sums the usage and the cost of its lines."""

    def __init__(self, work: BatchWork) -> None:
        self._work = work
        self._cutter = LineCutter()
        self._sums: dict[str, _LineSums] = {}

    def feed(self, data: bytes) -> None:
        """Take the next piece. Raises `AnswerError` for lines that are not answers."""
        try:
            lines = self._cutter.feed(data)
        except ValueError as error:
            raise AnswerError(f"a line of the output file cannot be read: {error}") from None
        for line in lines:
            self._take(line)

    def end(self) -> None:
        """Take the rest."""
        for line in self._cutter.end():
            self._take(line)

    def costs(self, failed: int) -> tuple[ModelCost, ...]:
        """Return the costs by model. Failed lines count with the first one."""
        found: list[ModelCost] = []
        for name, sums in self._sums.items():
            fees = next((one.fees_nano for one in self._work.models if one.model == name), 0)
            cost = sums.nano + fees
            found.append(ModelCost(name, sums.lines + failed, failed, usage=sums.usage, nano=cost))
            failed = 0
        return tuple(found)

    def _take(self, line: bytes) -> None:
        answer = read_output(line)
        if answer is None:
            raise AnswerError("a line of the output file is not an answer to a request")
        if not answer.is_good:
            return
        model = model_of(self._work, answer.model)
        usage = answer.usage
        if usage is None:  # its most is charged
            usage = Usage(-(-model.tokens_in // model.lines), -(-model.tokens_out // model.lines))
        sums = self._sums.setdefault(model.model, _LineSums())
        sums.lines += 1
        sums.usage = added(sums.usage, usage)
        sums.nano += line_nano(model.price, usage)


def added(one: Usage, other: Usage) -> Usage:
    """Return the sum of the counts that reports have."""
    return replace(
        one,
        tokens_in=one.tokens_in + other.tokens_in,
        tokens_out=one.tokens_out + other.tokens_out,
        tokens_cached=one.tokens_cached + other.tokens_cached,
        tokens_reasoning=one.tokens_reasoning + other.tokens_reasoning,
    )


def whole_cost(work: BatchWork, batch: BatchObject, used: Usage) -> ModelCost:
    """Return the cost of a batch by the usage that its provider reports for all lines, at the dearest model's price."""
    model = model_of(work, work.models[0].model if len(work.models) == 1 else "")
    counts = batch.request_counts
    lines, failed = (counts.total, counts.failed) if counts is not None else (work.lines, 0)
    fees = sum(one.fees_nano for one in work.models)
    if model.price is not None:
        fees += lines * (1 + model.price.request_nano)  # each line is rounded up by itself
    return ModelCost(model.model, lines, failed, usage=used, nano=line_nano(model.price, used) + fees)


def reserved_cost(work: BatchWork, held_nano: int) -> ModelCost:
    """Return the whole reservation as the cost."""
    model = model_of(work, "")
    return ModelCost(model.model, work.lines, 0, usage=Usage(), nano=held_nano)
