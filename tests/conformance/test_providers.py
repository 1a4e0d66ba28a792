"""Rules for every provider found in `providers/`, without naming any."""

import json
import re
from urllib.parse import urlsplit

import msgspec
import pytest
from msgspec.structs import replace

from fakes.wire import CHAT, PATH_OF, SECRET, drain, parse, target
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure, Fault
from pointsman.domain.operations import OPERATIONS, Operation
from pointsman.domain.origin import secret_of
from pointsman.domain.outcomes import Usage
from pointsman.providers import PROVIDERS
from pointsman.providers.api import Provider, WholeAnswer
from pointsman.registry import members

BODIES: dict[Operation, dict[str, object]] = {
    "chat": {**CHAT, "temperature": 0.5, "tools": [{"type": "function", "function": {"name": "f"}}]},
    "completion": {"model": "m", "prompt": "once", "echo": True},
    "embedding": {"model": "m", "input": ["a"]},
}
CASES = [(name, operation) for name, provider in PROVIDERS.items() for operation in provider.codecs]
OPENAI = [(name, operation) for name, operation in CASES if PROVIDERS[name].codecs[operation].dialect == "openai"]
READ = [(name, operation) for name, operation in OPENAI if operation in BODIES]
STREAMED = [(name, operation) for name, operation in READ if operation != "embedding"]


def call_of(operation: Operation, **more: object) -> Call:
    return parse({**BODIES.get(operation, {"model": "m", "x": 1}), **more}, PATH_OF[operation])


def test_every_file_is_a_provider_named_after_it() -> None:
    found = dict(members("pointsman.providers", "PROVIDER"))
    assert {name.replace("-", "_") for name in PROVIDERS} == set(found)
    for module, provider in found.items():
        assert isinstance(provider, Provider)
        assert PROVIDERS[provider.name] is provider
        assert provider.name == module.replace("_", "-")
    assert len(PROVIDERS) >= 16


def test_titles_and_key_variables_are_unique() -> None:
    for facts in (
        [provider.title for provider in PROVIDERS.values()],
        [provider.key_env for provider in PROVIDERS.values() if provider.key_env],
        [provider.base_url for provider in PROVIDERS.values() if provider.base_url],
    ):
        assert len(facts) == len(set(facts))


@pytest.mark.parametrize("name", PROVIDERS)
def test_fields_of_a_row_are_consistent(name: str) -> None:
    provider = PROVIDERS[name]
    assert provider.operations
    assert provider.operations == frozenset(provider.codecs)
    assert provider.docs.startswith("https://")
    assert provider.title
    assert provider.title == provider.title.strip()
    if provider.key_env is not None:
        assert re.fullmatch(r"[A-Z][A-Z0-9_]{1,30}_(?:API_KEY|TOKEN)(?:_[A-Z]+)?", provider.key_env)
    assert provider.needs_key is (provider.key_env is not None)
    if provider.base_url is None:
        assert not provider.is_self_hosted
        return
    url = urlsplit(provider.base_url)
    is_local = url.hostname == "127.0.0.1"
    assert url.scheme == ("http" if is_local else "https")
    assert is_local is not provider.needs_key
    assert provider.is_self_hosted is is_local
    assert url.hostname
    assert url.geturl() == f"{url.scheme}://{url.netloc}{url.path}"
    assert "@" not in url.netloc
    assert not url.path.endswith("/")


@pytest.mark.parametrize(("name", "operation"), CASES)
def test_request_has_its_path_and_one_credential(name: str, operation: Operation) -> None:
    call = call_of(operation)
    candidate = target(name, model="their/model:x")
    provider, (key,) = PROVIDERS[name], candidate.keys
    request = provider.codecs[operation].encode(call, candidate, key)
    assert (request.method, request.target[:6]) == (b"POST", b"/base/")
    assert request.is_replayable is not call.stateful
    lines = request.headers.removesuffix(b"\r\n").split(b"\r\n")
    assert request.headers.endswith(b"\r\n")
    assert all(b": " in line and not line.startswith((b" ", b"\t")) for line in lines)
    names = [line.partition(b":")[0] for line in lines]
    assert len(names) == len(set(names))
    assert not {b"host", b"content-length", b"transfer-encoding", b"connection", b"cookie"} & set(names)
    assert [line + b"\r\n" for line in lines if SECRET.encode() in line] == [provider.auth(secret_of(key.credential))]
    assert SECRET.encode() not in request.body + request.target
    assert SECRET not in repr((call, candidate, PROVIDERS[name]))


@pytest.mark.parametrize(("name", "operation"), CASES)
def test_deployment_of_a_key_is_sent_in_place_of_the_model(name: str, operation: Operation) -> None:
    candidate = target(name, model="their-model")
    key = replace(candidate.keys[0], deployments={"their-model": "own-name"})
    request = PROVIDERS[name].codecs[operation].encode(call_of(operation), candidate, key)
    assert b"own-name" in request.target + request.body
    assert b"their-model" not in request.target + request.body


@pytest.mark.parametrize(("name", "operation"), OPENAI)
def test_request_in_the_providers_dialect_keeps_its_path(name: str, operation: Operation) -> None:
    candidate = target(name, model="their/model:x")
    request = PROVIDERS[name].codecs[operation].encode(call_of(operation), candidate, candidate.keys[0])
    prefix = b"/base/v2" if (name, operation) == ("cohere", "rerank") else b"/base"
    assert request.target == prefix + PATH_OF[operation].encode()
    sent = msgspec.json.decode(request.body)
    assert sent == {**BODIES.get(operation, {"x": 1}), "model": "their/model:x"}


@pytest.mark.parametrize(("name", "operation"), STREAMED)
@pytest.mark.parametrize("wants_usage", [True, False])
def test_stream_is_requested_and_decoded(name: str, operation: Operation, wants_usage: bool) -> None:
    more: dict[str, object] = {"stream": True, "stream_options": {"include_usage": True} if wants_usage else None}
    call = call_of(operation, **more)
    candidate = target(name)
    codec = PROVIDERS[name].codecs[operation]
    sent = msgspec.json.decode(codec.encode(call, candidate, candidate.keys[0]).body)
    assert sent["stream"] is True
    assert sent.get("stream_options") in ({"include_usage": True}, None)
    choice = {"index": 0, "delta": {"content": "a"}, "text": "a", "finish_reason": None}
    content = _event({"choices": [choice], "usage": None})
    finish = _event({"choices": [{**choice, "delta": {}, "text": "", "finish_reason": "stop"}]})
    bill = _event({"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 1}})
    done = b"data: [DONE]\n\n"
    decoder = codec.decoder(call, 10_000)
    out = drain(decoder, [content + finish, bill, done])
    assert out == content + finish + (bill if wants_usage else b"") + done
    assert (decoder.usage, decoder.is_done, decoder.failure) == (Usage(2, 1), True, None)
    broken = codec.decoder(call, 10_000)
    drain(broken, [content[:-9]])
    assert broken.failure is not None
    assert broken.failure.kind.fault is Fault.PROVIDER
    assert not broken.has_content


def _event(chunk: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


@pytest.mark.parametrize(("name", "operation"), READ)
def test_whole_answer_is_decoded(name: str, operation: Operation) -> None:
    codec, call = PROVIDERS[name].codecs[operation], call_of(operation)
    choices = b'"choices":[{"index":0,"message":{"content":"x"},"text":"x","finish_reason":"stop"}]'
    body = b'{"id":"x",%b,"data":[{"embedding":[1]}],"usage":{"prompt_tokens":2,"completion_tokens":1}}' % choices
    assert codec.decode(call, body) == WholeAnswer(body, Usage(2, 1))
    for bad in (b"", b"{", b"{}", b"<html></html>", b'{"error":{"message":"inside"}}'):
        failure = codec.decode(call, bad)
        assert isinstance(failure, Failure)
        assert failure.kind.fault is Fault.PROVIDER


@pytest.mark.parametrize(("name", "operation"), CASES)
def test_every_status_has_a_class(name: str, operation: Operation) -> None:
    codec = PROVIDERS[name].codecs[operation]
    expected = {400: Fault.REQUEST, 401: Fault.CREDENTIAL, 429: Fault.QUOTA, 500: Fault.PROVIDER}
    for status, fault in expected.items():
        for body in (b"", b"<html>", b'{"error":{"message":"m"}}', b'{"detail":"m"}'):
            failure = codec.failure(status, {b"retry-after": b"3"}, body, 0.0)
            assert (failure.kind.fault, failure.status, failure.retry_after_s) == (fault, status, 3.0)


def test_missing_codec_means_unsupported() -> None:
    for provider in PROVIDERS.values():
        for operation in OPERATIONS:
            assert (operation in provider.operations) is (operation in provider.codecs)
            if operation in provider.codecs:
                candidate = target(provider.name)
                assert provider.codecs[operation].encode(call_of(operation), candidate, candidate.keys[0]).body
