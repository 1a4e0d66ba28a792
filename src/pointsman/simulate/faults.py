"""Faults on request: their names, and the choice of faults for a request.

A fault is written `name` or `name=number`. Commas separate several faults. The sources of faults are, weakest first:
the schedule, `SimulatedProvider.set_fault`, the path, the model and the key of the request, its body (`user` or
`metadata.user_id` = `fault:…`, or `metadata.fault`), and the header `x-simulate-fault`. The strongest source sets the
argument of a fault. `none` cancels the faults of weaker sources.
"""

import difflib
import random
from collections.abc import Mapping, Sequence

from pointsman.simulate.settings import ScheduledFault

HEADER = "x-simulate-fault"
BODY_PREFIX = "fault:"

REQUIRED = None  # marks a fault in `FAULTS` whose argument is required

# Name -> default argument (0 if it takes none). N is a number of content events, K a number of bytes with the head.
FAULTS: Mapping[str, float | None] = {
    "none": 0,
    # Faults instead of an answer.
    "refuse": 0,  # the listening socket is closed; idle connections are closed too
    "reset": 0,  # RST before any answer
    "hang": 0,  # the request is accepted and never answered
    "hang_after_head": 0,  # status and headers, then silence
    # Errors as answers.
    "status": REQUIRED,  # any HTTP status with an error body
    "rate_limit": 20,  # 429 with Retry-After: seconds
    "insufficient_quota": 0,  # 429 that waiting does not resolve
    "context_length": 0,  # 400 context_length_exceeded
    "content_filter": 0,  # 400 content_filter
    "usage_guidelines": 0,  # 403 for the content of the prompt, in xAI's format
    "forbidden": 0,  # 403 with a message that gives no cause
    "wrong_key": 0,  # 400 for an invalid key, in xAI's format
    "no_balance": 0,  # 402
    "model_denied": 0,  # 403: the key has no access to the model
    "key_limit": 20,  # 429 of the whole account, with Retry-After: seconds
    "too_large": 0,  # 429 for a request larger than the limit per minute; Anthropic: 413
    "overloaded": 0,  # 503; Anthropic: 529 overloaded_error
    "no_endpoint": 501,  # 501, 404 or 405: the server does not have this path
    "error_in_200": 0,  # an error object under status 200
    # Answers that are refusals, and are charged.
    "refused": 0,  # the model refuses, in the manner of each API
    "filtered": 0,  # a content filter ends the answer after N tokens of text; Anthropic: as a refusal
    "ignore_stream": 0,  # a complete answer, although a stream was requested
    # Faults in a stream; an answer that is not streamed fails in the most similar way.
    "malformed_sse": 0,  # an event truncated in the middle of its JSON, after N; the stream continues
    "malformed_json": 0,  # the JSON of a complete answer is truncated in the middle
    "missing_done": 0,  # the event that ends a stream is missing, such as [DONE] or message_stop
    "error_mid_stream": 1,  # an error event after N, then the end
    "overloaded_mid_stream": 0,  # the same, with the error of an overloaded provider
    "hang_mid_stream": 1,  # silence after N
    "role_only_then_die": 0,  # the connection closes after the event that holds only the role
    "die_mid_stream": 1,  # the connection closes after N
    "end_at_event": REQUIRED,  # a proper end of the connection's answer after so many events of any kind
    "linger": REQUIRED,  # seconds of silence before a failing answer ends
    # Pace.
    "slow_tokens": REQUIRED,  # milliseconds between tokens
    "slow_start": REQUIRED,  # seconds between the head of a stream and its first token
    "slow_answer": REQUIRED,  # seconds of silence, then everything at once
    # Faults in the bytes on the wire.
    "reset_at": REQUIRED,  # RST after K
    "close_at": REQUIRED,  # FIN after K
    "gzip": 0,  # content-encoding: gzip, even if it was not accepted
    "chunked": 512,  # a complete answer in chunks of this many bytes, without Content-Length
    "trailing_garbage": 0,  # bytes after the end of the answer
    "bad_content_length": 10,  # announces this many bytes more than it sends, then FIN; if negative, fewer
    "early_close_keepalive": 0,  # a good answer, then the connection closes when the next request arrives on it
}


class Faults(dict[str, float]):
    """Active faults by name, with their arguments."""

    def count(self, name: str) -> int:
        """Return the argument as an integer."""
        return int(self[name])


def parse(text: str) -> Faults:
    """Parse `name[=number],…`. Raise a `ValueError` that names the fault and suggests a similar valid name."""
    faults = Faults()
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, has_argument, argument = part.partition("=")
        if name not in FAULTS:
            near = difflib.get_close_matches(name, FAULTS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"use one of: {', '.join(sorted(FAULTS))}"
            raise ValueError(f"unknown fault {name!r}; {hint}")
        value: float | None
        if has_argument:
            try:
                value = float(argument)
            except ValueError:
                raise ValueError(
                    f"the argument of fault {name!r} must be a number, not {argument!r}; write {name}=NUMBER"
                ) from None
        else:
            value = FAULTS[name]
        if value is REQUIRED:
            raise ValueError(f"fault {name!r} requires an argument; write {name}=NUMBER")
        faults[name] = value
    return faults


def combine(sources: Sequence[Faults]) -> Faults:
    """Combine the sources, weakest first."""
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
        if any("refuse" in faults for _, faults in self._entries):
            raise ValueError(
                "fault 'refuse' cannot be scheduled, because refused requests are not counted; use set_fault"
            )

    def at(self, index: int, rng: random.Random) -> Faults:
        """Return the faults for request `index`."""
        active = Faults()
        for entry, faults in self._entries:
            is_due = entry.from_request <= index and (entry.to_request is None or index < entry.to_request)
            if is_due and (entry.probability >= 1.0 or rng.random() < entry.probability):
                active.update(faults)
        return active
