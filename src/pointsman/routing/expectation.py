"""The longest time that an answer can take, as learned from earlier ones.

An answer that is not streamed comes as a whole, so a slow one looks like a dead one. Its time is mostly that of its
tokens. Their most is the request's own bound, or `LONGER` times the mean of the candidate's answers, whichever is less.
Their speed is that of the candidate's recent answers, and half of it is allowed. An estimate of that kind errs on the
long side: it must not abandon an answer that is on its way.
"""

from math import inf

from pointsman.money.charges import Answers
from pointsman.routing.readings import Reading

LONGER = 8.0  # than the mean of the answers: one in many thousands is, and that one gets another try
SLOWER = 2.0  # than the mean speed
MIN_ANSWERS = 8  # before which nothing is known


def longest_answer_s(
    reading: Reading | None, earlier: Answers | None, answers: int, most_tokens: int | None
) -> float | None:
    """Return the longest time in seconds that the `answers` to one request take at a candidate, apart from the wait for
    the first token; `None` if too little is known. `most_tokens` is the request's own bound on all of them, and
    `earlier` are the usual answers of the candidate."""
    if reading is None or reading.samples < MIN_ANSWERS or not reading.token_s:
        return None
    usual = inf
    if earlier is not None and earlier.mean and earlier.count >= MIN_ANSWERS:
        usual = earlier.mean * LONGER * answers
    tokens = min(usual, most_tokens if most_tokens is not None else inf)
    return reading.token_s * SLOWER * tokens if tokens < inf else None
