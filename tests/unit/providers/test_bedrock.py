"""Bedrock as a provider: paths, credentials, the choice between its operations, judgement of answers, and errors."""

import json
from base64 import b64decode
from typing import Any

import pytest
from msgspec.structs import replace

from fakes.amazon_model import control_operation, problems_of_answer, problems_of_request
from fakes.anthropic import HELLO as MESSAGE
from fakes.anthropic import message_call
from fakes.bedrock import answer, chunk, exception, frame, stream_of, text, thought
from fakes.wire import CHAT, SECRET, drain, parse, target
from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts
from pointsman.domain.failures import Failure
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.origin import AwsKeys, Secret
from pointsman.domain.outcomes import Usage
from pointsman.domain.prices import NoCatalog
from pointsman.domain.snapshots import NO_SNAPSHOT, Pricing
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers import PROVIDERS, codec_for, codec_of, dialects_of, embedder_of, families_of
from pointsman.providers.api import Codec, WholeAnswer
from pointsman.routing.policies import translation

RECORD = PROVIDERS["bedrock"]
NATIVE = RECORD.codecs["chat"]
CODEC = codec_of("bedrock", "chat", "openai")
NOVA, CLAUDE = "eu.amazon.nova-pro-v1:0", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
KEYS = AwsKeys("AKIDEXAMPLE", Secret("very-secret-0123456789"), Secret("token-0123456789"))
ARN = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc"
HELLO = MESSAGE["messages"]


def message(**fields: Any) -> Call:
    """Return a call of a client of Messages."""
    return message_call({**MESSAGE, **fields})


def candidate_of(model: str = NOVA, credential: Any = None, **fields: Any) -> Candidate:
    found = target("bedrock", model, "")
    key = ProviderKey("k1", credential if credential is not None else Secret(SECRET))
    given = {
        "dialects": dialects_of(RECORD),
        "embedder": embedder_of(RECORD),
        "region": "eu-central-1",
        "families": families_of(RECORD),
        "keys": (key,),
        **fields,
    }
    return replace(found, endpoint=replace(found.endpoint, **given), keys=(key,))


def encoded(call: Any, candidate: Candidate, now_unix_s: float = 1e9) -> UpstreamRequest:
    codec = codec_for(candidate, call.operation, call.head.dialect)
    return codec.encode(call, candidate, candidate.keys[0], "", now_unix_s)


def claude_codec(dialect: str = "anthropic") -> Codec:
    return codec_for(candidate_of(CLAUDE), "chat", dialect)


def test_dialect_depends_on_the_model() -> None:
    assert dialects_of(RECORD) == ("bedrock",)
    assert [candidate_of(model).dialects for model in (NOVA, CLAUDE)] == [("bedrock",), ("anthropic",)]
    assert [candidate_of(model).needs_bound for model in (NOVA, CLAUDE)] == [False, True]
    named = candidate_of("anthropic.claude-x", deployments={"anthropic.claude-x": ARN})
    assert (named.model_at(named.keys[0]), named.dialects) == (ARN, ("anthropic",))
    assert candidate_of(ARN).dialects == ("bedrock",)
    behind = candidate_of("mine", deployments={"mine": "us.anthropic.claude-x"})
    assert behind.dialects == ("anthropic",)
    assert not claude_codec().is_translating
    assert claude_codec("openai").is_translating


@pytest.mark.parametrize(
    ("model", "stream", "expected"),
    [
        (NOVA, False, "/model/eu.amazon.nova-pro-v1%3A0/converse"),
        (NOVA, True, "/model/eu.amazon.nova-pro-v1%3A0/converse-stream"),
        (CLAUDE, False, "/model/eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke"),
        (CLAUDE, True, "/model/eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke-with-response-stream"),
        (
            ARN,
            False,
            "/model/arn%3Aaws%3Abedrock%3Aeu-central-1%3A123456789012%3Aapplication-inference-profile%2Fabc/converse",
        ),
        ("../x?y#z", False, "/model/..%2Fx%3Fy%23z/converse"),
    ],
)
def test_path_names_the_model_and_the_operation(model: str, stream: bool, expected: str) -> None:
    request = encoded(parse({**CHAT, "stream": stream}), candidate_of(model))
    assert request.target == expected.encode()
    assert b"authorization: Bearer %b\r\n" % SECRET.encode() in request.headers
    assert b"content-type: application/json\r\n" in request.headers


def test_body_has_the_shape_that_amazon_describes() -> None:
    body = json.loads(encoded(replace(parse(CHAT), max_tokens=50), candidate_of()).body)
    assert body == {
        "messages": [{"role": "user", "content": [{"text": "hello"}]}],
        "inferenceConfig": {"maxTokens": 50},
    }
    assert problems_of_request(body) == ""
    assert problems_of_answer(answer(text("a"), thought("b", "c2ln"))) == ""


def test_request_is_signed_for_the_region_and_the_address() -> None:
    candidate = candidate_of(credential=KEYS)
    request = encoded(parse(CHAT), candidate)
    lines = dict(line.split(": ", 1) for line in request.headers.decode().split("\r\n")[:-1])
    scope = "20010909/eu-central-1/bedrock/aws4_request"
    assert lines["authorization"].startswith(f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders=")
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token," in lines["authorization"]
    assert (lines["x-amz-date"], lines["x-amz-security-token"]) == ("20010909T014640Z", "token-0123456789")
    assert b"very-secret" not in request.headers
    assert encoded(parse(CHAT), candidate).headers == request.headers
    assert encoded(parse(CHAT), candidate, 2e9).headers != request.headers
    assert encoded(parse({**CHAT, "temperature": 0.5}), candidate).headers != request.headers


def test_message_is_sent_to_a_claude_as_it_is() -> None:
    thinking = {"type": "enabled", "budget_tokens": 2000}
    system = [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    call = message(max_tokens=5000, stream=True, thinking=thinking, system=system, metadata={"user_id": "u"})
    body = json.loads(encoded(call, candidate_of(CLAUDE)).body)
    assert body == {
        "messages": HELLO,
        "max_tokens": 5000,
        "thinking": thinking,
        "system": system,
        "metadata": {"user_id": "u"},
        "anthropic_version": "bedrock-2023-05-31",
    }


@pytest.mark.parametrize(
    ("header", "inside", "sent", "dropped"),
    [
        ("interleaved-thinking-2025-05-14", None, ["interleaved-thinking-2025-05-14"], ()),
        ("claude-code-20250219, context-1m-2025-08-07", None, ["context-1m-2025-08-07"], ("anthropic-beta",)),
        ("", ["effort-2025-11-24", "new-1"], ["effort-2025-11-24"], ("anthropic-beta",)),
        ("oauth-2025-04-20", None, None, ("anthropic-beta",)),
        ("", "text", "text", ()),
        ("", None, None, ()),
    ],
)
def test_variants_that_bedrock_does_not_know_are_left_out(
    header: str, inside: object, sent: object, dropped: tuple[str, ...]
) -> None:
    call = message(max_tokens=50, **({"anthropic_beta": inside} if inside is not None else {}))
    forwarded = (("anthropic-version", "2023-06-01"), *((("anthropic-beta", header),) if header else ()))
    call = replace(call, head=replace(call.head, forwarded=forwarded))
    request = encoded(call, candidate_of(CLAUDE))
    assert json.loads(request.body).get("anthropic_beta") == sent
    assert request.dropped == dropped
    assert b"anthropic" not in request.headers


def test_tier_of_anthropics_own_service_is_dropped() -> None:
    request = encoded(message(max_tokens=50, service_tier="auto"), candidate_of(CLAUDE))
    assert request.dropped == ("service_tier",)
    assert "service_tier" not in json.loads(request.body)


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", {"type": "enabled", "budget_tokens": 1024}),
        ("us.anthropic.claude-opus-4-20250514-v1:0", {"type": "enabled", "budget_tokens": 1024}),
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", {"type": "enabled", "budget_tokens": 1024}),
        ("global.anthropic.claude-opus-4-6-v1", {"type": "adaptive", "display": "summarized"}),
        ("anthropic.claude-sonnet-5", {"type": "adaptive", "display": "summarized"}),
    ],
)
def test_effort_of_a_chat_is_a_budget_for_older_models(model: str, thinking: dict[str, Any]) -> None:
    call = replace(parse({**CHAT, "reasoning_effort": "low"}), max_tokens=9000)
    body = json.loads(encoded(call, candidate_of(model)).body)
    assert body["thinking"]["type"] == thinking["type"]
    assert body["thinking"].get("budget_tokens") == thinking.get("budget_tokens")
    assert body["max_tokens"] == 9000


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        ("anthropic.claude-x", ARN),
        ("us.anthropic.claude-x", ARN),
        ("mine", "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-x"),
        ("mine", "arn:aws:bedrock:eu-central-1::foundation-model/anthropic.claude-x"),
    ],
)
def test_tokens_behind_an_arn_are_counted_by_its_model(model: str, sent: str) -> None:
    call = message_call({"model": "m", "messages": HELLO}, counts=True)
    request = encoded(call, candidate_of(model, deployments={model: sent}))
    assert request.target == b"/model/anthropic.claude-x/count-tokens"


class OneClaude(NoCatalog):
    """Knows the places of one Claude."""

    def serving(self, model: str) -> list[tuple[str, str]]:
        places = [("anthropic", "claude-x"), ("bedrock", "eu.anthropic.claude-x-v1:0")]
        return places if model == "claude-x" else []


def test_tokens_behind_an_application_profile_are_counted_by_the_model_that_the_catalog_names() -> None:
    parsed = message_call({"model": "m", "messages": HELLO}, counts=True)
    call = replace(parsed, snapshot=replace(NO_SNAPSHOT, pricing=Pricing(catalog=OneClaude())))
    request = encoded(call, candidate_of("claude-x", deployments={"claude-x": ARN}, catalog="bedrock"))
    assert request.target == b"/model/anthropic.claude-x-v1%3A0/count-tokens"


def test_tokens_are_counted_by_the_model_of_the_profile() -> None:
    call = message_call({"model": "m", "messages": HELLO}, counts=True)
    request = encoded(call, candidate_of(CLAUDE))
    assert request.target == b"/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/count-tokens"
    body = json.loads(request.body)
    assert problems_of_request(body, "CountTokens") == ""
    inner = json.loads(b64decode(body["input"]["invokeModel"]["body"]))
    assert inner == {"messages": HELLO, "max_tokens": 1, "anthropic_version": "bedrock-2023-05-31"}
    assert claude_codec().decode(call, b'{"inputTokens":18}') == WholeAnswer(b'{"input_tokens":18}')
    failed = claude_codec().decode(call, b"{}")
    assert isinstance(failed, Failure)


def decoded(value: Any) -> WholeAnswer | Failure:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return CODEC.decode(parse(CHAT), body, now_unix_s=1.0)


def test_answer_of_a_chat() -> None:
    found = decoded(answer(text("Hello")))
    assert isinstance(found, WholeAnswer)
    assert (found.usage, found.refused) == (Usage(20, 30), None)
    chat = json.loads(found.body)
    assert chat["choices"][0]["message"]["content"] == "Hello"
    assert (chat["choices"][0]["finish_reason"], chat["usage"]["total_tokens"]) == ("stop", 50)
    assert chat["id"]


@pytest.mark.parametrize("reason", ["guardrail_intervened", "content_filtered"])
def test_filtered_answer(reason: str) -> None:
    found = decoded(answer(text("Sorry."), stop=reason))
    assert isinstance(found, WholeAnswer)
    assert found.refused is failures.FILTERED


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"", failures.MALFORMED_ANSWER),
        (b"{}", failures.MALFORMED_ANSWER),
        (answer(stop=None), failures.TRUNCATED),
        (answer(text("a"), stop="malformed_tool_use"), failures.UPSTREAM_ERROR),
        (answer({"toolUse": {"toolUseId": "t", "name": "f", "input": [1]}}), failures.MALFORMED_ANSWER),
        ({"__type": "ThrottlingException", "message": "slow"}, failures.UPSTREAM_RATE_LIMITED),
        ({"message": "what?"}, failures.UPSTREAM_ERROR),
    ],
)
def test_answer_that_is_none(value: Any, kind: failures.Kind) -> None:
    found = decoded(value)
    assert isinstance(found, Failure)
    assert (found.kind, found.body) == (kind, None)


def test_usage_of_an_answer_that_failed_is_known() -> None:
    assert CODEC.usage_in(json.dumps(answer(stop="malformed_tool_use")).encode()) == Usage(20, 30)
    assert CODEC.usage_in(b"{") is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("throttlingException", failures.UPSTREAM_RATE_LIMITED),
        ("serviceUnavailableException", failures.UPSTREAM_OVERLOADED),
        ("internalServerException", failures.UPSTREAM_ERROR),
        ("modelStreamErrorException", failures.UPSTREAM_ERROR),
        ("validationException", failures.UPSTREAM_ERROR),
    ],
)
@pytest.mark.parametrize("model", [NOVA, CLAUDE])
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_exception_in_a_stream_has_its_fault(kind: str, expected: failures.Kind, model: str, dialect: str) -> None:
    call = message(stream=True, max_tokens=5) if dialect == "anthropic" else parse({**CHAT, "stream": True})
    decoder = codec_for(candidate_of(model), "chat", dialect).decoder(call, 1 << 20)
    out = drain(decoder, [exception(kind, "slow")])
    assert decoder.failure is not None
    assert (decoder.failure.kind, decoder.has_content, out) == (expected, False, b"")


EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 20, "cache_read_input_tokens": 5}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 30}},
    {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 20}},
]


def test_chunks_of_a_claude_are_events_for_its_own_clients() -> None:
    stream = b"".join(map(chunk, EVENTS))
    expected = b"".join(b"event: %b\ndata: %b\n\n" % (one["type"].encode(), json.dumps(one).encode()) for one in EVENTS)
    call = message(stream=True, max_tokens=50)
    for size in (1, 7, len(stream)):
        decoder = claude_codec().decoder(call, 1 << 20)
        out = drain(decoder, [stream[at : at + size] for at in range(0, len(stream), size)])
        assert (out, decoder.is_done, decoder.failure) == (expected, True, None)
        assert decoder.usage == Usage(25, 30, tokens_cached=5)
    for at in range(1, len(stream)):
        cut = claude_codec().decoder(call, 1 << 20)
        drain(cut, [stream[:at]])
        assert not cut.is_done
        assert cut.failure is not None
        assert cut.failure.kind is failures.TRUNCATED


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_damaged_stream_fails(dialect: str) -> None:
    stream = bytearray(b"".join(map(chunk, EVENTS)))
    stream[-5] ^= 1
    call = message(stream=True, max_tokens=5) if dialect == "anthropic" else parse({**CHAT, "stream": True})
    decoder = claude_codec(dialect).decoder(call, 1 << 20)
    drain(decoder, [bytes(stream)])
    assert decoder.failure is not None
    assert decoder.failure.kind is failures.MALFORMED_ANSWER
    assert "damaged" in decoder.failure.message
    short = claude_codec(dialect).decoder(call, 50)
    drain(short, [bytes(stream)])
    assert short.failure is not None
    assert "routing.event_bytes" in short.failure.message


def test_whole_answer_is_no_stream() -> None:
    found = NATIVE.decode(parse(CHAT), json.dumps(answer(text("a"))).encode(), as_stream=True)
    assert isinstance(found, Failure)


def test_own_decoder_passes_on_the_events() -> None:
    decoder = NATIVE.decoder(parse(CHAT), 1 << 20)
    out = drain(decoder, [stream_of(text("ab"))])
    assert out.count(b"data: {") == 6
    assert (decoder.is_done, decoder.usage, decoder.events) == (True, Usage(20, 30), 2)
    assert b"m (request r)" in decoder.error_event(Failure(failures.TRUNCATED, "m"), "r")
    damaged = NATIVE.decoder(parse(CHAT), 1 << 20)
    bad = frame(b"{", message_type="event", event_type="messageStop")
    drain(damaged, [bad + bad])
    assert damaged.failure is not None


@pytest.mark.parametrize("model", [NOVA, CLAUDE])
def test_error_is_read_by_its_header(model: str) -> None:
    codec = codec_for(candidate_of(model), "chat", "anthropic")
    headers = {b"x-amzn-errortype": b"ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/"}
    failure = codec.failure(429, headers, b'{"message":"Too many requests, please wait"}', 0.0)
    assert failure.kind is failures.UPSTREAM_RATE_LIMITED
    rejected = codec.failure(403, {}, b'{"Message":"Authentication failed: key ABSK-secret is not valid"}', 0.0)
    assert rejected.kind is failures.CREDENTIAL_REJECTED
    assert "ABSK" not in rejected.for_client


@pytest.mark.parametrize(
    ("model", "path", "body", "answered"),
    [
        (
            "amazon.titan-embed-text-v2:0",
            b"/model/amazon.titan-embed-text-v2%3A0/invoke",
            {"inputText": "a"},
            b'{"embedding":[1.5],"inputTextTokenCount":4}',
        ),
        (
            "us.cohere.embed-v4:0",
            b"/model/us.cohere.embed-v4%3A0/invoke",
            {"texts": ["a"], "embedding_types": ["float"], "input_type": "search_document", "truncate": "NONE"},
            b'{"embeddings":{"float":[[1.5]]}}',
        ),
    ],
)
def test_embeddings_are_those_of_the_models_author(model: str, path: bytes, body: Any, answered: bytes) -> None:
    call, item = parse({"model": "m", "input": "a"}, "/embeddings"), candidate_of(model)
    request = encoded(call, item)
    assert (request.target, json.loads(request.body)) == (path, body)
    assert b"authorization: Bearer " in request.headers
    codec = codec_for(item, "embedding", "openai")
    found = codec.decode(call, answered)
    assert isinstance(found, WholeAnswer)
    assert json.loads(found.body)["data"] == [{"object": "embedding", "index": 0, "embedding": [1.5]}]
    assert found.usage == codec.usage_in(answered) == (Usage(4, 0) if "titan" in model else None)
    denied = codec.failure(403, {b"x-amzn-errortype": b"AccessDeniedException:x"}, b"{}", 0.0)
    assert denied.kind is failures.UPSTREAM_MODEL_DENIED


def test_each_model_is_asked_for_what_it_makes() -> None:
    def reason(call: Call, model: str) -> str:
        nothing: Any = None
        found = translation.check(candidate_of(model), Facts(call), nothing, 0.0)
        return "" if found is None else found.code

    chat, vectors = parse(CHAT), parse({"model": "m", "input": "a"}, "/embeddings")
    assert [reason(one, "amazon.titan-embed-text-v2:0") for one in (chat, vectors)] == ["not_expressible", ""]
    assert [reason(one, NOVA) for one in (chat, vectors)] == ["", "not_expressible"]
    several = parse({"model": "m", "input": ["a", "b"]}, "/embeddings")
    assert reason(several, "amazon.titan-embed-text-v2:0") == "not_expressible"
    assert reason(several, "cohere.embed-english-v3") == ""


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("bedrock-runtime.eu-west-1.amazonaws.com", "bedrock.eu-west-1.amazonaws.com"),
        ("bedrock-runtime-fips.us-east-1.amazonaws.com", "bedrock-fips.us-east-1.amazonaws.com"),
        ("vpce-1.bedrock-runtime.eu-west-1.vpce.amazonaws.com", "vpce-1.bedrock-runtime.eu-west-1.vpce.amazonaws.com"),
    ],
)
def test_models_are_listed_at_the_address_of_the_control_plane(host: str, expected: str) -> None:
    assert RECORD.lists is not None
    endpoint = candidate_of().endpoint
    assert RECORD.lists.at(replace(endpoint, origin=replace(endpoint.origin, host=host))).origin.host == expected


def test_lists_are_those_that_amazon_describes() -> None:
    assert RECORD.lists is not None
    paths = [path.partition("?") for path in RECORD.lists.paths]
    described = [control_operation(name) for name in ("ListFoundationModels", "ListInferenceProfiles")]
    assert [path for path, _, _ in paths] == [one.http["requestUri"] for one in described]
    names = {member.serialization["name"] for member in described[1].input_shape.members.values()}
    assert {part.partition("=")[0] for part in paths[1][2].split("&")} <= names
    assert {"nextToken"} <= names & set(described[1].output_shape.members)
