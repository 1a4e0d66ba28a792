"""The shared codecs: encoded requests and decoded whole answers."""

import json

import msgspec
import pytest

from fakes.corpora import recorded
from fakes.wire import CHAT, SECRET, parse, target
from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.origin import Origin, Secret, secret_of
from pointsman.domain.outcomes import Usage
from pointsman.domain.targets import Endpoint, ProviderKey, candidate
from pointsman.providers._openai_codecs import NEWER, JsonCodec, PassthroughCodec, Quirks
from pointsman.providers._openai_compatible import openai_compatible
from pointsman.providers._usage_scan import usage_in
from pointsman.providers.api import Form, WholeAnswer

CODEC = JsonCodec()


def test_request_is_encoded_completely() -> None:
    call = parse(CHAT, path="/chat/completions?x=1", forwarded=(("accept", "a/b"), ("openai-beta", "c")))
    request = CODEC.encode(call, target(), target().keys[0], "id-of-the-attempt")
    assert (request.method, request.target, request.is_replayable) == (b"POST", b"/base/chat/completions?x=1", True)
    lines = request.headers.split(b"\r\n")
    assert lines[0].startswith(b"user-agent: pointsman/")
    assert lines[1:] == [
        b"content-type: application/json",
        b"authorization: Bearer " + SECRET.encode(),
        b"accept: a/b",
        b"openai-beta: c",
        b"x-client-request-id: id-of-the-attempt",
        b"",
    ]


def test_request_without_key_has_no_authorization() -> None:
    key = ProviderKey("none", Secret(""))
    assert b"authorization" not in CODEC.encode(parse(CHAT), target(), key).headers


def test_each_key_has_its_own_headers() -> None:
    keys = [ProviderKey("k", Secret(f"sk-{number}")) for number in range(3)]
    for key in keys * 2:
        headers = CODEC.encode(parse(CHAT), target(), key).headers
        assert headers.count(b"Bearer") == 1
        assert b"Bearer " + secret_of(key.credential).reveal().encode() + b"\r\n" in headers


def test_fields_are_renamed_and_stream_options_dropped() -> None:
    codec = JsonCodec(streams_usage=False, quirks=Quirks(rename=((NEWER, "max_tokens"), ("seed", "random_seed"))))
    requested = {"stream": True, "stream_options": {"include_usage": True}, "max_completion_tokens": 5, "seed": 1}
    body = msgspec.json.decode(codec.encode(parse({**CHAT, **requested}), target(), target().keys[0]).body)
    assert body == {**CHAT, "model": "upstream-model", "stream": True, "max_tokens": 5, "random_seed": 1}
    plain = msgspec.json.decode(codec.encode(parse({**CHAT, "stream": True}), target(), target().keys[0]).body)
    assert "stream_options" not in plain


def test_fields_that_a_server_rejects_are_left_out_and_reported() -> None:
    codec = JsonCodec(quirks=Quirks(omit=("store", "user")))
    request = codec.encode(parse({**CHAT, "user": "me", "seed": 1}), target(), target().keys[0])
    assert msgspec.json.decode(request.body) == {**CHAT, "model": "upstream-model", "seed": 1}
    assert request.dropped == ("user",)
    assert not codec.encode(parse(CHAT), target(), target().keys[0]).dropped


def test_quirks_of_endpoint_override_those_of_its_type() -> None:
    codec = JsonCodec(quirks=Quirks(rename=(("seed", "random_seed"),)))
    for quirks, sent in (
        (None, {"max_completion_tokens": 5, "random_seed": 1}),
        (Quirks(), {"max_completion_tokens": 5, "seed": 1}),
        (Quirks(rename=((NEWER, "max_tokens"),)), {"max_tokens": 5, "seed": 1}),
    ):
        endpoint = msgspec.structs.replace(target().endpoint, quirks=quirks)
        call = parse({**CHAT, "max_completion_tokens": 5, "seed": 1})
        body = msgspec.json.decode(codec.encode(call, candidate(endpoint, "m"), endpoint.keys[0]).body)
        assert body == {**CHAT, "model": "m", **sent}


def test_encoding_does_not_change_the_call() -> None:
    call = parse({**CHAT, "stream": True})
    before = dict(call.fields)
    first = CODEC.encode(call, target(model="a"), target().keys[0]).body
    assert call.fields == before
    second = CODEC.encode(call, target(model='b"\n\u00e9'), target().keys[0]).body
    assert msgspec.json.decode(first)["model"] == "a"
    assert msgspec.json.decode(second)["model"] == 'b"\n\u00e9'


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, Usage(3, 4)),
        ({"prompt_tokens": 3, "total_tokens": 3}, Usage(3)),
        (
            {"prompt_tokens": 3, "completion_tokens": None, "prompt_tokens_details": {"cached_tokens": 2}},
            Usage(3, 0, 2),
        ),
        ({"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 8}}, Usage(0, 9, 0, 8)),
        (None, None),
        ("lots", None),
        ({"prompt_tokens": -3}, None),
        ({"prompt_tokens": 10**9}, Usage(10**9)),
        ({"prompt_tokens": 10**9 + 1}, None),
        ({"prompt_tokens": 10**400}, None),
        ({"prompt_tokens": 3.5}, None),
        ({"prompt_tokens": "3"}, None),
        ({"prompt_tokens": 3, "prompt_tokens_details": [3]}, None),
    ],
)
def test_whole_answer_passes_unchanged_and_usage_is_read(usage: object, read: Usage | None) -> None:
    for end in ("stop", "eos", None):
        choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": end}
        body = json.dumps({"id": "x", "choices": [choice], "usage": usage}).encode()
        assert CODEC.decode(parse(CHAT), body) == WholeAnswer(body, read)


def test_byte_order_mark_is_removed() -> None:
    body = b'{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":3}}'
    assert CODEC.decode(parse(CHAT), b"\xef\xbb\xbf" + body) == WholeAnswer(body, Usage(3))


def test_last_of_two_usages_counts() -> None:
    body = b'{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":9},"usage":{"prompt_tokens":3}}'
    assert CODEC.decode(parse(CHAT), body) == WholeAnswer(body, Usage(3))


def test_transcription_usage_is_read_in_tokens_but_not_in_seconds() -> None:
    tokens = {"type": "tokens", "input_tokens": 30, "input_token_details": {"audio_tokens": 28}, "output_tokens": 5}
    assert usage_in(json.dumps({"text": "x", "usage": tokens}).encode()) == Usage(30, 5, audio_in=28)
    seconds = {"type": "duration", "seconds": 9}
    assert usage_in(json.dumps({"text": "x", "usage": seconds}).encode()) is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"', b'{"a":', b'{"a":' * 100_000, b"\xff"])
def test_unreadable_answer_is_malformed(body: bytes) -> None:
    failure = CODEC.decode(parse(CHAT), body)
    assert isinstance(failure, Failure)
    assert failure.kind is failures.MALFORMED_ANSWER


def test_error_inside_a_200_is_a_failure() -> None:
    failure = CODEC.decode(parse(CHAT), b'{"error":{"message":"over","code":429}}')
    assert isinstance(failure, Failure)
    assert failure.kind is failures.UPSTREAM_RATE_LIMITED
    for nothing in (b"null", b'""', b"{}", b"[]"):
        assert isinstance(
            CODEC.decode(parse(CHAT), b'{"error":' + nothing + b',"choices":[{"message":{"content":"x"}}]}'),
            WholeAnswer,
        )


def test_recorded_answers_are_read() -> None:
    for exchange in recorded("/chat/completions", is_stream=False):
        if exchange.status != 200 or b'"choices"' not in exchange.body:
            continue
        answer = CODEC.decode(parse(CHAT), exchange.body)
        assert isinstance(answer, WholeAnswer), exchange.uri
        usage = json.loads(exchange.body).get("usage")
        if usage:
            assert answer.usage is not None, exchange.uri
            assert (answer.usage.tokens_in, answer.usage.tokens_out) == (
                usage["prompt_tokens"],
                usage["completion_tokens"],
            )


def test_decoder_knows_requested_usage_and_number_of_answers() -> None:
    bill = b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n'
    decoder = CODEC.decoder(parse({**CHAT, "stream": True, "stream_options": {"include_usage": True}}), 1000)
    assert decoder.feed(bill) == bill
    assert CODEC.decoder(parse({**CHAT, "stream": True}), 1000).feed(bill) == b""
    two = CODEC.decoder(parse({**CHAT, "stream": True, "n": 2}), 1000)
    two.feed(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n')
    two.close()
    assert two.failure is not None


def test_each_of_several_prompts_must_finish() -> None:
    ended = b'data: {"choices":[{"index":%d,"text":"x","finish_reason":"stop"}]}\n\n'
    call = parse({"model": "m", "prompt": ["one", "two"], "n": 2, "stream": True}, "/completions")
    for count in range(5):
        decoder = CODEC.decoder(call, 1000)
        for index in range(count):
            decoder.feed(ended % index)
        decoder.close()
        assert (decoder.failure is None) == decoder.is_done == (count == 4)


PASSED = PassthroughCodec()


@pytest.mark.parametrize(
    ("path", "body", "status", "content_type", "form"),
    [
        ("/responses", {"stream": True}, 200, b"text/event-stream", "events"),
        ("/responses", {"stream": True}, 200, b"application/json", "events"),
        ("/responses", {}, 200, b"application/json", "whole"),
        ("/responses", {}, 200, b"text/html", "whole"),
        ("/responses", {}, 200, b"", "whole"),
        ("/responses", {}, 200, b"text/event-stream", "events"),
        ("/images/generations", {"stream": True}, 200, b"", "events"),
        ("/moderations", {"stream": True}, 200, b"application/json", "whole"),
        ("/audio/speech", {"stream": True}, 200, b"audio/mpeg", "opaque"),
        ("/audio/speech", {}, 200, b"text/html", "whole"),
        ("/audio/speech", {}, 200, b"text/event-stream", "events"),
        ("/audio/transcriptions", {}, 200, b"text/plain", "opaque"),
        ("/audio/transcriptions", {}, 200, b"application/json", "whole"),
        ("/files/f/content", {}, 200, b"application/json", "opaque"),
        ("/files/f/content", {}, 200, b"text/event-stream", "opaque"),
        ("/batches", {}, 204, b"", "opaque"),
    ],
)
def test_form_of_answer_follows_the_request(
    path: str, body: dict[str, object], status: int, content_type: bytes, form: Form
) -> None:
    assert PASSED.form(parse({"model": "m", **body}, path), status, content_type) == form


def test_provider_has_exactly_the_codecs_of_its_row() -> None:
    row = openai_compatible("x", "X", None, None, chat=False, completions=False, also=("responses",))
    assert row.operations == {"embedding", "responses"}
    assert row.codecs["responses"].is_answer(304)
    assert not row.codecs["embedding"].is_answer(304), "a 304 has no body to read"


def test_model_name_is_sent_as_configured() -> None:
    endpoint = Endpoint(
        name="e",
        type="openai",
        origin=Origin("https", "h", 443),
        base_path="",
        keys=(ProviderKey("k", Secret("s")),),
        operations=frozenset(),
    )
    request = CODEC.encode(parse(CHAT), candidate(endpoint, "meta/llama:free"), endpoint.keys[0])
    assert request.target == b"/chat/completions"
    assert msgspec.json.decode(request.body)["model"] == "meta/llama:free"
