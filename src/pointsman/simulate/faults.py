"""What can go wrong on purpose: the names of the faults, and which of them strike a request.

A fault is written `name` or `name=number`; several are joined by commas. They come, weakest first, from the schedule,
from `SimulatedProvider.set_fault`, from the path, the model and the key used, from the body (`user` = `fault:…` or
`metadata.fault`) and from the header `x-simulate-fault`. Of the same name the strongest source's argument holds; `none`
drops what weaker sources asked for.
"""

import difflib
import random
from collections.abc import Mapping, Sequence

from pointsman.simulate.settings import ScheduledFault

HEADER = "x-simulate-fault"
BODY_PREFIX = "fault:"

REQUIRED = None  # in `FAULTS`: the argument must be given

# Name -> default argument (0 where it takes none). N counts content events, K bytes of the answer with its head.
FAULTS: Mapping[str, float | None] = {
    "none": 0,
    # Instead of an answer.
    "refuse": 0,  # the listening socket is closed; idle connections are closed too
    "reset": 0,  # RST before anything is answered
    "hang": 0,  # the request is taken and never answered
    "hang_after_head": 0,  # status and headers, then silence
    # An error for an answer.
    "status": REQUIRED,  # any HTTP status with an error body
    "rate_limit": 20,  # 429 with Retry-After: seconds
    "insufficient_quota": 0,  # 429 that waiting does not mend
    "context_length": 0,  # 400 context_length_exceeded
    "content_filter": 0,  # 400 content_filter
    "usage_guidelines": 0,  # 403 for what the prompt says, in xAI's words
    "forbidden": 0,  # 403 in words that say nothing
    "wrong_key": 0,  # 400 for a key that is not accepted, in xAI's words
    "no_balance": 0,  # 402
    "model_denied": 0,  # 403: this key may not use this model
    "key_limit": 20,  # 429 of the whole account, with Retry-After: seconds
    "too_large": 0,  # 429 for a request that no minute has room for
    "no_endpoint": 501,  # 501, 404 or 405: the server was started without this path
    "error_in_200": 0,  # an error object under status 200
    "ignore_stream": 0,  # a whole answer, though a stream was asked for
    # A stream that goes wrong; an answer that is not streamed goes wrong in the nearest way.
    "malformed_sse": 0,  # an event cut in the middle of its JSON, after N good ones; the stream goes on
    "malformed_json": 0,  # the JSON of a whole answer is cut in half
    "missing_done": 0,  # no [DONE]
    "error_mid_stream": 1,  # an error event after N, then the end
    "hang_mid_stream": 1,  # silence after N
    "role_only_then_die": 0,  # the connection closes after the event that holds only the role
    "die_mid_stream": 1,  # the connection closes after N
    "linger": REQUIRED,  # seconds of silence before an answer that goes wrong ends
    # Pace.
    "slow_tokens": REQUIRED,  # milliseconds between tokens
    "slow_start": REQUIRED,  # seconds between the head of a stream and its first token
    "slow_answer": REQUIRED,  # seconds of silence, then everything at once
    # The bytes on the wire.
    "reset_at": REQUIRED,  # RST after K
    "close_at": REQUIRED,  # FIN after K
    "gzip": 0,  # content-encoding: gzip, whether or not it was accepted
    "chunked": 512,  # a whole answer in chunks of so many bytes, without Content-Length
    "trailing_garbage": 0,  # bytes after the end of the answer
    "bad_content_length": 10,  # announces this many bytes more than follow, then FIN; negative announces fewer
    "early_close_keepalive": 0,  # answers well, and closes the connection when the next request arrives on it
}


class Faults(dict[str, float]):
    """Faults in force by name, with their arguments."""

    def count(self, name: str) -> int:
        """The argument as an integer."""
        return int(self[name])


def parse(text: str) -> Faults:
    """Read `name[=number],…`. Raises `ValueError` that names what is wrong, and the nearest name."""
    faults = Faults()
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, has_argument, argument = part.partition("=")
        if name not in FAULTS:
            near = difflib.get_close_matches(name, FAULTS, 1)
            raise ValueError(f"unknown fault {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        value: float | None
        if has_argument:
            try:
                value = float(argument)
            except ValueError:
                raise ValueError(f"the argument of fault {name!r} must be a number, not {argument!r}") from None
        else:
            value = FAULTS[name]
        if value is REQUIRED:
            raise ValueError(f"fault {name!r} needs an argument: {name}=NUMBER")
        faults[name] = value
    return faults


def combine(sources: Sequence[Faults]) -> Faults:
    """Lay the sources over one another, weakest first."""
    combined = Faults()
    for faults in sources:
        if "none" in faults:
            combined.clear()
        combined.update(faults)
    combined.pop("none", None)
    return combined


class Schedule:
    """The faults of `Settings.schedule`, parsed once."""

    def __init__(self, entries: Sequence[ScheduledFault]) -> None:
        self._entries = [(entry, parse(entry.fault)) for entry in entries]
        for entry, faults in self._entries:
            by_time = (entry.from_request, entry.to_request, entry.probability) == (None, None, 1.0)
            if "refuse" in faults and not by_time:
                raise ValueError("fault 'refuse' can be scheduled by time only: refused requests are not counted")

    def at(self, index: int, elapsed_s: float, rng: random.Random) -> Faults:
        """The faults that strike request `index`, `elapsed_s` after the start."""
        struck = Faults()
        for entry, faults in self._entries:
            if (
                _within(elapsed_s, entry.from_s, entry.to_s)
                and _within(index, entry.from_request, entry.to_request)
                and (entry.probability >= 1.0 or rng.random() < entry.probability)
            ):
                struck.update(faults)
        return struck

    def refusals(self) -> list[tuple[float, float | None]]:
        """The spans `(from_s, to_s)` in which the provider refuses connections."""
        return [(entry.from_s or 0.0, entry.to_s) for entry, faults in self._entries if "refuse" in faults]


def _within(value: float, lower: float | None, upper: float | None) -> bool:
    return (lower is None or value >= lower) and (upper is None or value < upper)
