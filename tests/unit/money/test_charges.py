"""The charge for an attempt: as reported by the provider, else an estimate; never an unexplained zero."""

from time import monotonic

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.anthropic import stream_of
from fakes.exchange import claim_of, exchange_of
from fakes.money import PLAIN, charge_of, make_call
from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure, Kind
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.operations import Operation
from pointsman.domain.outcomes import Usage
from pointsman.domain.prices import Price, Rates
from pointsman.domain.snapshots import Routing
from pointsman.engine.receiver import AnswerReceiver
from pointsman.engine.tasks import Bell
from pointsman.money.charges import USUAL_ANSWER, Answers, Bound, Charge
from pointsman.providers import PROVIDERS, codec_of
from pointsman.providers.api import Codec
from pointsman.transport.leg import Leg
from pointsman.wire.dialects.openai import DIALECT

BOUND = Bound(500_000, 900)
# Of WHOLE: 100 tokens of prompt, and an answer of a model without earlier answers.
USUAL = Charge(100 * 150 + USUAL_ANSWER * 600, 900, "estimated", Usage(100, USUAL_ANSWER), held_nano=500_000 - 315_000)
SSE = {b"content-type": b"text/event-stream"}
JSON = {b"content-type": b"application/json"}
WHOLE = make_call(size=400)
STREAMED = msgspec.structs.replace(WHOLE, stream=True)


def reception_of(call: Call, *, was_sent: bool = True, codec: Codec | None = None) -> AnswerReceiver:
    exchange, _ = exchange_of()
    codec = codec or PROVIDERS["openai"].codecs[call.operation]
    reception = AnswerReceiver(call, codec, claim_of(exchange), Bell(), Routing())
    reception.leg = Leg(UpstreamRequest(b"POST", b"/", b"", b""), reception, monotonic() + 600)
    reception.leg.was_sent = was_sent
    return reception


def event(**fields: object) -> bytes:
    return b"data: " + msgspec.json.encode({"object": "chat.completion.chunk", **fields}) + b"\n\n"


def piece(text: str) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": text}}])


def charged(
    kind: Kind | None = None,
    *,
    status: int | None = 200,
    events: int = 0,
    usage: Usage | None = None,
    call: Call | None = None,
    price: Price | None = PLAIN,
    unfinished: str | None = None,
    answers: Answers | None = None,
) -> Charge:
    call = call or STREAMED
    reception = reception_of(call)
    if status is not None:
        reception.on_head(status, SSE if call.stream else JSON)
        for _ in range(events):
            reception.on_data(piece("x"))
    reception.usage = usage
    bound = Bound(0, 0) if DIALECT.is_free(call) else BOUND
    failure = Failure(kind, "") if kind is not None else None
    return charge_of(call, price, bound, unfinished, reception, failure, answers or Answers())


def test_usage_reported_by_the_provider_is_charged() -> None:
    assert charged(usage=Usage(8, 5)) == Charge(8 * 150 + 5 * 600, 13, "provider", Usage(8, 5))
    assert charged(failures.CLIENT_GONE, usage=Usage(8, 5)).nano == 8 * 150 + 5 * 600
    assert charged(failures.TRUNCATED, usage=Usage(8, 5)).source == "provider"


def test_received_stream_is_counted_and_its_prompt_estimated() -> None:
    expected = Charge(100 * 150 + 3 * 600, 103, "estimated", Usage(100, 3))
    assert charged(events=3) == expected
    for kind in (failures.CLIENT_GONE, failures.STALLED, failures.TRUNCATED, failures.CONNECTION_LOST):
        assert charged(kind, events=3) == expected


@pytest.mark.parametrize("dialect", ["anthropic", "openai", "openai-responses"])
@pytest.mark.parametrize("kind", [None, failures.CLIENT_GONE, failures.STALLED, failures.UPSTREAM_OVERLOADED])
def test_message_that_breaks_off_costs_its_reported_prompt_and_the_received_part(
    kind: Kind | None, dialect: str
) -> None:
    """Anthropic reports the tokens of the prompt first, and one of the answer. Its pieces hold several tokens."""
    reception = reception_of(STREAMED, codec=codec_of("anthropic", operation_of(dialect), dialect))
    reception.on_head(200, SSE)
    begin = {"input_tokens": 8, "cache_read_input_tokens": 4, "output_tokens": 1}
    reception.on_data(stream_of({"type": "message_start", "message": {"id": "m", "model": "m", "usage": begin}}))
    failure = Failure(kind, "") if kind is not None else None

    def charge(unfinished: str | None = None) -> Charge:
        return charge_of(STREAMED, PLAIN, BOUND, unfinished, reception, failure)

    prompt = Charge(12 * 150 + 600, 13, "provider", Usage(12, 1, tokens_cached=4))
    assert charge() == prompt
    held = charge("full")
    if kind in (failures.CLIENT_GONE, failures.STALLED):
        assert held.nano == 12 * 150 + USUAL_ANSWER * 600
        assert (held.source, held.nano + held.held_nano) == ("estimated", BOUND.nano)
    text = "twelve bytes"
    opening = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    reception.on_data(stream_of(opening, delta))
    for _ in range(2):
        reception.on_data(stream_of(delta))
    received = Charge(12 * 150 + 18 * 600, 30, "estimated", Usage(12, 18, tokens_cached=4))
    assert charge() == received
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 11}}
    reception.on_data(stream_of(end))
    assert charge() == Charge(12 * 150 + 11 * 600, 23, "provider", Usage(12, 11, tokens_cached=4))


def operation_of(dialect: str) -> Operation:
    return "responses" if dialect == "openai-responses" else "chat"


@pytest.mark.parametrize(
    "kind", [failures.UPSTREAM_ERROR, failures.UPSTREAM_RATE_LIMITED, failures.CONTENT_FILTERED, failures.TRUNCATED]
)
def test_received_answer_is_charged_after_any_failure(kind: Kind) -> None:
    for unfinished in ("full", "none"):
        assert charged(kind, events=3, unfinished=unfinished).usage == Usage(100, 3)


RESPONSE = msgspec.structs.replace(make_call("responses", size=400), stream=True)
IN_BACKGROUND = msgspec.structs.replace(RESPONSE, fields={"background": msgspec.Raw(b"true")})
LEFT_OPEN = [
    (failures.CLIENT_GONE, None),
    (failures.CLIENT_GONE, 200),
    (failures.COMMIT_TIMEOUT, None),
    (failures.COMMIT_TIMEOUT, 200),
    (failures.DEADLINE_EXCEEDED, None),
    (failures.INTERNAL, None),
    (failures.SHUTTING_DOWN, None),
    (failures.STALLED, 200),
    (failures.TRUNCATED, 200),
    (failures.CONNECTION_LOST, None),
    (failures.CONNECTION_LOST, 200),
    (failures.MALFORMED_ANSWER, 200),
]


@pytest.mark.parametrize("call", [WHOLE, STREAMED, RESPONSE])
@pytest.mark.parametrize(
    ("unfinished", "charge"),
    [
        ("full", USUAL),
        ("prompt", Charge(100 * 150, 100, "estimated", Usage(100, 0))),
        ("none", Charge(0, 0, "none")),
    ],
)
@pytest.mark.parametrize(("kind", "status"), LEFT_OPEN)
def test_unreceived_answer_costs_the_charge_of_its_provider(
    kind: Kind, status: int | None, unfinished: str, charge: Charge, call: Call
) -> None:
    """An answer in one piece, and streams of either dialect."""
    assert charged(kind, status=status, call=call, unfinished=unfinished) == charge
    reception = reception_of(call, was_sent=False)
    assert charge_of(call, PLAIN, BOUND, unfinished, reception, Failure(kind, ""), Answers()).nano == 0
    assert charged(kind, usage=Usage(8, 5), call=call, unfinished=unfinished).nano == 8 * 150 + 5 * 600


@pytest.mark.parametrize(("kind", "status"), LEFT_OPEN)
def test_unknown_billing_assumes_that_only_streams_stop(kind: Kind, status: int | None) -> None:
    prompt = Charge(100 * 150, 100, "estimated", Usage(100, 0))
    for call, charge in ((STREAMED, prompt), (WHOLE, USUAL), (RESPONSE, prompt)):
        assert charged(kind, status=status, call=call) == charge
    assert is_held_whole(charged(kind, status=status, call=IN_BACKGROUND))


def is_held_whole(charge: Charge, tokens_out: int = USUAL_ANSWER) -> bool:
    """Return whether limits hold the whole reservation, and the estimate has an answer of this many tokens."""
    held = (charge.nano + charge.held_nano, charge.tokens, charge.usage.tokens_out)
    return held == (BOUND.nano, BOUND.tokens, tokens_out)


def broken_off(call: Call, *pieces: bytes) -> Charge:
    """Return the charge for a stream that ended with the connection after these pieces."""
    reception = reception_of(call)
    reception.on_head(200, SSE)
    for one in pieces:
        reception.on_data(b"data: " + one + b"\n\n")
    return charge_of(call, PLAIN, BOUND, None, reception, Failure(failures.CONNECTION_LOST, ""), Answers())


CREATED, DELTA = b'{"type":"response.created"}', b'{"type":"response.output_text.delta","delta":"x"}'
CALLED = b'{"type":"response.output_item.done","item":{"type":"function_call","arguments":"{}"}}'


def test_received_response_is_counted_unless_it_runs_in_the_background() -> None:
    assert broken_off(RESPONSE, CREATED).usage == Usage(100, 0)
    arrived = Charge(100 * 150 + 2 * 600, 102, "estimated", Usage(100, 2))
    assert broken_off(RESPONSE, CREATED, DELTA, DELTA) == arrived
    assert is_held_whole(broken_off(IN_BACKGROUND, CREATED, DELTA, DELTA)), "its provider continues without a reader"
    assert is_held_whole(broken_off(IN_BACKGROUND, *[DELTA] * 700), 700)


def test_answer_in_one_piece_is_not_counted() -> None:
    """Some servers send no deltas of a call of a function."""
    assert broken_off(RESPONSE, CREATED, CALLED) == USUAL


def test_partly_sent_request_costs_nothing() -> None:
    reception = reception_of(make_call("audio"))
    assert reception.leg is not None
    reception.leg.is_uploading = True
    failure = Failure(failures.CONNECTION_LOST, "")
    assert charge_of(make_call("audio"), PLAIN, BOUND, "full", reception, failure, Answers()).nano == 0


def test_page_of_a_proxy_costs_nothing() -> None:
    reception = reception_of(WHOLE)
    reception.on_head(200, {b"content-type": b"text/html"})
    reception.on_data(b"<html>sign in</html>")
    reception.on_end()
    assert charge_of(WHOLE, PLAIN, BOUND, "full", reception, reception.failure, Answers()) == Charge(0, 0, "none")


@pytest.mark.parametrize(
    "body",
    [
        b'{"usage":{"prompt_tokens":8,"completion_tokens":5}}',
        b'{"choices":[{"index":0}],"usage":{"prompt_tokens":8,"completion_tokens":5}}',
        b'{"error":{"message":"broke"},"usage":{"prompt_tokens":8,"completion_tokens":5}}',
        b'{"choices":[],"usage":{"prompt_tokens":8,"completion_tokens":5}',
    ],
)
def test_malformed_answer_costs_its_reported_usage(body: bytes) -> None:
    reception = reception_of(STREAMED)
    reception.on_head(200, JSON)
    reception.on_data(body)
    reception.on_end()
    assert reception.failure is not None
    charge = charge_of(STREAMED, PLAIN, BOUND, "none", reception, reception.failure, Answers())
    assert charge == Charge(8 * 150 + 5 * 600, 13, "provider", Usage(8, 5))


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (failures.CONNECT_FAILED, None),
        (failures.DNS_FAILED, None),
        (failures.UPSTREAM_RATE_LIMITED, 429),
        (failures.CREDENTIAL_REJECTED, 401),
        (failures.UPSTREAM_REFUSED, 400),
        (failures.UPSTREAM_ERROR, 500),
        (failures.UPSTREAM_ERROR, 200),  # an error that came as an answer
        (failures.UPSTREAM_OVERLOADED, 503),
        (failures.COMMIT_TIMEOUT, 500),
    ],
)
def test_rejected_or_undelivered_request_costs_nothing(kind: Kind, status: int | None) -> None:
    assert charged(kind, status=status) == Charge(0, 0, "none")


def test_success_without_usage_is_estimated_from_its_answer() -> None:
    reception = reception_of(WHOLE)
    reception.on_head(200, JSON)
    reception.on_data(b"x" * 800)
    charge = charge_of(WHOLE, PLAIN, BOUND, None, reception, None, Answers())
    assert (charge.usage, charge.nano, charge.held_nano) == (Usage(100, 200), 135_000, 365_000)
    assert (charge.tokens, charge.source) == (900, "estimated")
    unpriced = charge_of(WHOLE, None, Bound(0, 900), None, reception, None, Answers())
    assert (unpriced.nano, unpriced.held_nano, unpriced.is_priced) == (0, 0, False)


@pytest.mark.parametrize("operation", ["image", "audio"])
def test_operation_without_an_estimate_costs_its_reservation_until_answers_arrive(
    operation: Operation,
) -> None:
    call, answers = make_call(operation, size=400), Answers()
    assert charged(call=call, answers=answers) == Charge(500_000, 900, "reserved")
    assert charged(call=call, answers=answers, usage=Usage(8, 40)).source == "provider"
    later = charged(call=call, answers=answers)
    assert (later.usage.tokens_out, later.source) == (40, "estimated")


def test_missing_answer_is_charged_at_the_usual_size() -> None:
    answers = Answers()
    for _ in range(3):
        charged(usage=Usage(8, 60), call=WHOLE, answers=answers)
    charged(
        failures.TRUNCATED, usage=Usage(8, 1), call=WHOLE, answers=answers
    )  # incomplete, so it does not count in the mean
    assert charged(failures.CLIENT_GONE, status=None, call=WHOLE, answers=answers).usage == Usage(100, 60)
    short = msgspec.structs.replace(WHOLE, max_tokens=20)
    assert charged(failures.CLIENT_GONE, status=None, call=short, answers=answers).usage == Usage(100, 20)
    embedding = make_call("embedding", size=400)
    assert charged(failures.CLIENT_GONE, status=None, call=embedding).usage == Usage(100, 0)


@pytest.mark.parametrize(
    ("tier", "rates"),
    [("default", (150, 600)), ("priority", (300, 1200)), ("auto", (150, 600)), ("flex", (75, 300)), (None, (150, 600))],
)
def test_estimate_uses_the_price_of_the_requested_tier(tier: str | None, rates: tuple[int, int]) -> None:
    price = Price(
        Rates(input=150_000, output=600_000),
        tiers={"priority": Rates(input=300_000, output=1_200_000), "flex": Rates(input=75_000, output=300_000)},
    )
    fields = {"messages": "x" * 396} | ({"service_tier": tier} if tier is not None else {})
    for stream, tokens_out in ((True, 3), (False, USUAL_ANSWER)):
        call = msgspec.structs.replace(make_call(size=400, fields=fields), stream=stream)
        charge = charged(failures.CLIENT_GONE, call=call, price=price, events=3 if stream else 0)
        assert charge.usage.tokens_out == tokens_out
        most = min(charge.usage.tokens_in * rates[0] + tokens_out * rates[1], BOUND.nano)
        assert (charge.nano, charge.nano + charge.held_nano) == (most, most if stream else BOUND.nano)


@given(
    st.sampled_from([WHOLE, STREAMED, RESPONSE]),
    st.sampled_from(["full", "prompt", "none", None]),
    st.sampled_from(LEFT_OPEN),
    st.integers(0, 10**9),
    st.lists(st.integers(0, 10**6), max_size=4),
)
def test_held_amount_is_between_the_report_and_the_reservation(
    call: Call, unfinished: str | None, ended: tuple[Kind, int | None], nano: int, seen: list[int]
) -> None:
    answers, reception = Answers(), reception_of(call)
    for tokens_out in seen:
        answers.add(Usage(8, tokens_out))
    if ended[1] is not None:
        reception.on_head(200, JSON)
    charge = charge_of(call, PLAIN, Bound(nano, 900), unfinished, reception, Failure(ended[0], ""), answers)
    assert charge.held_nano >= 0
    if charge.held_nano:
        assert charge.nano + charge.held_nano == nano
    assert charge.source in ("estimated", "none")


def test_tokens_count_without_a_price() -> None:
    assert charged(usage=Usage(8, 5), price=None) == Charge(0, 13, "provider", Usage(8, 5), is_priced=False)


def test_queries_and_uploads_cost_nothing() -> None:
    for call in (make_call("other", method="GET"), make_call("file")):
        assert charged(call=call) == Charge(0, 0, "none")
        assert charged(failures.CLIENT_GONE, status=None, call=call).nano == 0
        assert charged(usage=Usage(8, 5), call=call).nano == 0, "it was paid for before"


TOKENS = st.integers(0, 10**6)
RATE = st.integers(0, 10**8)
RATES = st.builds(
    Rates, **{name: st.none() | RATE for name in Rates.__struct_fields__} | {"input": RATE, "output": RATE}
)


@given(
    RATES,
    TOKENS,
    TOKENS,
    st.fixed_dictionaries({}, optional={"cached_tokens": TOKENS, "audio_tokens": TOKENS}),
    st.fixed_dictionaries({}, optional={"reasoning_tokens": TOKENS, "audio_tokens": TOKENS}),
    st.sampled_from([None, "default", "flex"]),
    st.integers(1, 4),
)
def test_streamed_answer_costs_the_same_as_one_in_one_piece(
    rates: Rates,
    tokens_in: int,
    tokens_out: int,
    inputs: dict[str, int],
    outputs: dict[str, int],
    tier: str | None,
    pieces: int,
) -> None:
    price = Price(
        rates, above=((1000, Rates(input=7, output=9)),), tiers={"flex": Rates(input=1, output=2)}, request_nano=3
    )
    usage: dict[str, object] = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out}
    usage |= {"prompt_tokens_details": inputs} if inputs else {}
    usage |= {"completion_tokens_details": outputs} if outputs else {}
    tier_field = {"service_tier": tier} if tier is not None else {}
    whole = make_call(size=50)
    once = reception_of(whole)
    once.on_head(200, JSON)
    message = {"role": "assistant", "content": "x" * pieces}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    once.on_data(msgspec.json.encode({"object": "chat.completion", "choices": choices, "usage": usage, **tier_field}))
    once.on_end()
    streamed = msgspec.structs.replace(whole, stream=True)
    parts = reception_of(streamed)
    parts.on_head(200, SSE)
    for _ in range(pieces):
        parts.on_data(event(choices=[{"index": 0, "delta": {"content": "x"}}], **tier_field))
    parts.on_data(event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], **tier_field))
    parts.on_data(event(choices=[], usage=usage, **tier_field))
    parts.on_data(b"data: [DONE]\n\n")
    parts.on_end()
    one, other = (
        charge_of(call, price, BOUND, "none", reception, None, Answers())
        for call, reception in ((whole, once), (streamed, parts))
    )
    assert one == other
    assert one.source == "provider"
