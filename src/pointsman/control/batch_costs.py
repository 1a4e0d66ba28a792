"""The cost of a batch that has ended, from the usage that its provider reports."""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from pointsman.control.fetch import AnswerError
from pointsman.control.store.batches import ModelCost
from pointsman.domain.batches import BatchWork
from pointsman.domain.outcomes import Usage
from pointsman.money.batches import line_nano, model_of, most_of
from pointsman.wire.batches import BatchObject, Counts, LineCutter, read_output


class OutputError(AnswerError):
    """The reason why the cost of a batch cannot be known: its provider reports the lines in an unexpected way. That may
    last, so nothing is charged as if no line had been answered."""


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
        self._lines = 0
        self._sums: dict[str, _LineSums] = {}

    def feed(self, data: bytes) -> None:
        """Take the next piece. Raises `OutputError` for lines that are not answers."""
        try:
            lines = self._cutter.feed(data)
        except ValueError as error:
            raise OutputError(f"a line of the output file cannot be read: {error}") from None
        for line in lines:
            self._take(line)

    def end(self, counts: Counts | None) -> tuple[ModelCost, ...]:
        """Take the rest, and return the costs by model. Raises `OutputError` if the file has fewer answers than the
        provider counted, or none and the provider counted nothing."""
        for line in self._cutter.end():
            self._take(line)
        if counts is None and not self._lines:
            raise OutputError("the output file is empty, and the number of completed lines is not reported")
        if counts is not None and self._lines < counts.completed:
            raise OutputError(f"the output file has {self._lines} answers, but {counts.completed} lines are completed")
        good = {name: sums.lines for name, sums in self._sums.items()}
        failed = failed_by_model(self._work, good, counts.failed if counts is not None else None)
        found: list[ModelCost] = []
        for one in self._work.models:
            sums = self._sums.get(one.model)
            if sums is not None or failed[one.model]:
                fees = one.fees_nano if sums is not None else 0
                sums, lost = sums or _LineSums(), failed[one.model]
                found.append(ModelCost(one.model, sums.lines + lost, lost, usage=sums.usage, nano=sums.nano + fees))
        return tuple(found)

    def _take(self, line: bytes) -> None:
        answer = read_output(line)
        if answer is None:
            raise OutputError("a line of the output file is not an answer to a request")
        self._lines += 1
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


def failed_by_model(work: BatchWork, good: Mapping[str, int], failed: int | None) -> dict[str, int]:
    """Return the failed lines of each model: `failed` in total, or all that are not good if that is not known. Error
    files name no models, so the first ones that have lines left get them."""
    left = work.lines - sum(good.values()) if failed is None else failed
    found: dict[str, int] = {}
    for one in work.models:
        found[one.model] = max(0, min(left, one.lines - good.get(one.model, 0)))
        left -= found[one.model]
    found[work.models[0].model] += max(0, left)
    return found


def costs_without_output(work: BatchWork, batch: BatchObject) -> tuple[ModelCost, ...]:
    """Return the costs of a batch that names no output file: by its usage, or nothing if no line is completed. Raises
    `OutputError` if neither is certain."""
    used, counts = batch.used(), batch.request_counts
    if used is not None:
        return (whole_cost(work, batch, used),)
    if counts is None and batch.status != "failed":
        raise OutputError("it names neither an output file nor the number of its completed lines")
    if counts is not None and counts.completed:
        raise OutputError(f"it names no output file, but {counts.completed} lines are completed")
    failed = failed_by_model(work, {}, counts.failed if counts is not None else None)
    return tuple([ModelCost(name, lines, lines, usage=Usage(), nano=0) for name, lines in failed.items() if lines])


def whole_cost(work: BatchWork, batch: BatchObject, used: Usage) -> ModelCost:
    """Return the cost of a batch by the usage that its provider reports for all lines, at the dearest model's price."""
    model = model_of(work, work.models[0].model if len(work.models) == 1 else "")
    counts = batch.request_counts
    lines, failed = (counts.total, counts.failed) if counts is not None else (work.lines, 0)
    fees = sum(one.fees_nano for one in work.models)
    if model.price is not None:
        fees += lines * (1 + model.price.request_nano)  # each line is rounded up by itself
    return ModelCost(model.model, lines, failed, usage=used, nano=line_nano(model.price, used) + fees)


def reserved_cost(work: BatchWork) -> ModelCost:
    """Return the whole reservation as the cost. Limits may hold less of it by now, if their windows have ended."""
    model = model_of(work, "")
    return ModelCost(model.model, work.lines, 0, usage=Usage(), nano=most_of(work)[0])
