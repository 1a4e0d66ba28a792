"""The simulated model: its reasoning, text and calls of functions, without the format of any API."""

import hashlib
import hmac
from base64 import b64encode
from typing import Any

from msgspec import Struct

from pointsman.simulate.answers import RequestContext
from pointsman.simulate.prefill import rest_of
from pointsman.simulate.settings import sample
from pointsman.simulate.text import json_tokens, minimal, words

REFUSAL = ["I", "'m", " sorry", ",", " but", " I", " can", "'t", " help", " with", " that", "."]
CALL_OVERHEAD = 4  # tokens of a call besides its arguments


class Function(Struct):
    """A function that a request offers."""

    name: str
    schema: Any = None


class Called(Struct):
    """A call of a function. The tokens form the JSON of its arguments."""

    name: str
    number: int
    tokens: list[str]

    @property
    def arguments(self) -> str:
        return "".join(self.tokens)

    @property
    def token_count(self) -> int:
        return CALL_OVERHEAD + len(self.tokens)


class Wish(Struct, kw_only=True):
    """The parts of a request on which the answer depends. `limit` bounds all tokens of the answer. The model may call
    the `functions`. With `must_call` it calls one even after the result of a call. `prefill` is the text that
    it continues."""

    limit: int | None = None
    thinks: bool = False
    functions: list[Function] = []
    must_call: bool = False
    has_result: bool = False
    is_parallel: bool = True
    schema: Any = None
    prefill: str | None = None


class Turn(Struct, kw_only=True):
    """The answer. `is_cut` is true if the limit cut it. A call that does not fit is left out. `refusal` are the tokens
    of a refusal. If `is_filtered`, a filter ended the answer."""

    reasoning: list[str]
    text: list[str]
    calls: list[Called]
    is_cut: bool
    refusal: list[str] = []
    is_filtered: bool = False

    @property
    def token_count(self) -> int:
        return len(self.reasoning) + len(self.text) + len(self.refusal) + sum(call.token_count for call in self.calls)


def answer_length(context: RequestContext, limit: int | None) -> int:
    """Return the number of tokens of an answer without a limit."""
    if context.settings.output_tokens == "max_tokens":
        return limit or 16
    return max(1, round(sample(context.settings.output_tokens, context.rng)))


def respond(context: RequestContext, wish: Wish) -> Turn:
    """Return the answer to a request."""
    settings, rng = context.settings, context.rng
    reasoning = words(round(sample(settings.reasoning_tokens, rng)), settings.text, rng) if wish.thinks else []
    text: list[str] = []
    calls: list[Called] = []
    if context.refuses:
        return Turn(reasoning=reasoning, text=[], calls=[], is_cut=False, refusal=REFUSAL[: wish.limit])
    if context.filter_at is not None:
        text = words(context.filter_at, settings.text, rng)
        return Turn(reasoning=reasoning, text=text, calls=[], is_cut=False, is_filtered=True)
    remaining = None if wish.limit is None else max(0, wish.limit - len(reasoning))
    if wish.functions and (wish.must_call or not wish.has_result):
        calls = _calls(wish, settings.parallel_calls if wish.is_parallel else 1)
    elif wish.schema is not None:
        text = json_tokens(minimal(wish.schema))
    else:
        length = answer_length(context, remaining)
        if wish.prefill is None:
            text = words(length if remaining is None else min(length, remaining + 1), settings.text, rng)
        else:
            text = rest_of(words(length, settings.text, rng), wish.prefill, is_echoed=settings.prefill == "echoed")
    turn = Turn(reasoning=reasoning, text=text, calls=calls, is_cut=False)
    return turn if wish.limit is None else _fitted(turn, wish.limit)


def _calls(wish: Wish, count: int) -> list[Called]:
    called = [wish.functions[number % len(wish.functions)] for number in range(count)]
    return [
        Called(function.name, number, json_tokens(minimal(function.schema or {"type": "object"})))
        for number, function in enumerate(called)
    ]


def _fitted(turn: Turn, limit: int) -> Turn:
    """Cut an answer at its limit."""
    if turn.token_count <= limit:
        return turn
    reasoning = turn.reasoning[:limit]
    left = limit - len(reasoning)
    text, calls = turn.text[:left], []
    left -= len(text)
    for call in turn.calls:
        left -= call.token_count
        if left < 0:
            break
        calls.append(call)
    return Turn(reasoning=reasoning, text=text, calls=calls, is_cut=True)


def seal(context: RequestContext, kind: str, text: str) -> str:
    """Return the seal by which a provider knows its own reasoning again. Another provider's seal differs."""
    key = f"seal of {context.settings.name}".encode()
    return b64encode(hmac.digest(key, f"{kind}:{text}".encode("utf-8", "surrogatepass"), hashlib.sha256)).decode()


def is_sealed(context: RequestContext, kind: str, text: str, found: object) -> bool:
    """Return true if the seal is this provider's, for this text."""
    return isinstance(found, str) and hmac.compare_digest(seal(context, kind, text).encode(), found.encode())
