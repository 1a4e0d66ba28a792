"""The shortest mean time to the first content first, or to the whole of an answer that is not streamed.

A target without an answer in the last minute comes first, so that it is measured again. `adaptive` does the same with
less regret: it compares requests by their length, knows failures, and notices a change sooner.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from pointsman.domain.calls import Facts
from pointsman.domain.targets import Candidate
from pointsman.routing.health import subject
from pointsman.routing.ordering import NoSettings, Order, Ordered
from pointsman.routing.view import RandomSource, View

STALE_S = 60.0


class FastestNotes(Struct, frozen=True, gc=False):
    """The mean times of the candidates in seconds, in their order; 0 if they are unknown or old."""

    candidates: Sequence[Candidate]
    times: Sequence[float]

    def __iter__(self) -> Iterator[str]:
        for item, seconds in zip(self.candidates, self.times, strict=True):
            yield f"{item.id}: {f'{seconds:.3g} s' if seconds else 'not measured in the last minute'}"


def strategy(candidates: tuple[Candidate, ...], settings: NoSettings) -> Order:
    def order(facts: Facts, view: View, rng: RandomSource, now: float) -> Ordered:
        operation, stream, ranked = facts.call.operation, facts.call.stream, []
        for place, item in enumerate(candidates):
            reading = view.readings.get(subject(item, operation))
            seconds = 0.0
            if reading is not None and now - reading.at < STALE_S:
                seconds = reading.content_s if stream else reading.duration_s
            ranked.append((seconds, place))
        ranked.sort()
        ordered = tuple([candidates[place] for _, place in ranked])
        return Ordered(ordered, FastestNotes(ordered, [seconds for seconds, _ in ranked]))

    return order
