"""`/v1/completions`, the older text API."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from pointsman.simulate.answers import DONE, SSE, Answer, Event, RequestContext, json_answer, names, sse, usage
from pointsman.simulate.chat import Positive, StreamOptions
from pointsman.simulate.model import answer_length
from pointsman.simulate.text import count_tokens, words

_KNOWN = names(
    """
    best_of echo frequency_penalty logit_bias logprobs max_tokens model n presence_penalty prompt seed stop
    stream stream_options suffix temperature top_p user
    """
)


Prompt = str | list[str | int | list[int]]


class CompletionRequest(Struct, kw_only=True):
    """The fields that affect the answer. A prompt is text or token ids, or a list of either."""

    model: str
    prompt: Prompt
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    max_tokens: Positive | None = None


def completions(context: RequestContext) -> Answer:
    """Answer a completion request: `n` choices for every prompt."""
    request = context.decode(CompletionRequest, _KNOWN)
    prompts = input_token_counts(request.prompt)
    limit = request.max_tokens or 16
    choices = []
    for _ in range(len(prompts) * (request.n or 1)):
        length = answer_length(context, limit)
        tokens = words(min(length, limit), context.settings.text, context.rng)
        choices.append((tokens, "stop" if length < limit else "length"))
    tokens_in = sum(prompts)
    cached = int(tokens_in * context.settings.cached_share)
    tokens_out = sum(len(tokens) for tokens, _ in choices)
    base = {
        "id": context.new_id("cmpl-"),
        "object": "text_completion",
        "created": context.created,
        "model": request.model,
        "system_fingerprint": f"fp_{context.settings.name}",
    }
    counts = usage(tokens_in, cached, tokens_out)
    if request.stream:
        wants_usage = request.stream_options is not None and bool(request.stream_options.include_usage)
        answer = Answer(content_type=SSE, events=_events(base, choices, counts if wants_usage else None))
    else:
        whole = [_choice(index, "".join(tokens), end) for index, (tokens, end) in enumerate(choices)]
        answer = json_answer({**base, "choices": whole, "usage": counts})
    answer.tokens_in, answer.tokens_cached, answer.tokens_out = tokens_in, cached, tokens_out
    return answer


def input_token_counts(prompt: Prompt) -> list[int]:
    """Count the tokens of each prompt. A list that holds a number is one prompt of token ids."""
    if isinstance(prompt, str):
        return [count_tokens(prompt)]
    counts = [
        count_tokens(item) if isinstance(item, str) else len(item) for item in prompt if not isinstance(item, int)
    ]
    return counts if len(counts) == len(prompt) else [len(prompt)]


def _choice(index: int, text: str, finish_reason: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish_reason}


def _events(base: dict[str, Any], choices: list[tuple[list[str], str]], counts: dict[str, Any] | None) -> list[Event]:
    extra = {} if counts is None else {"usage": None}
    events = [
        sse({**base, "choices": [_choice(index, token, None)], **extra}, tokens=1)
        for index, (tokens, _) in enumerate(choices)
        for token in tokens
    ]
    events.extend(
        sse({**base, "choices": [_choice(index, "", end)], **extra}) for index, (_, end) in enumerate(choices)
    )
    if counts is not None:
        events.append(sse({**base, "choices": [], "usage": counts}))
    events.append(DONE)
    return events
