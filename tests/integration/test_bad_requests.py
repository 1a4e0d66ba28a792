"""Invalid requests are rejected in OpenAI's format, with the fault and its place. None reaches a provider."""

import asyncio
import re
from collections.abc import Mapping
from hashlib import sha256

import pytest
from msgspec import Struct

from fakes.clock import PATIENCE_S
from integration.gateway import Gateway, run, serving
from integration.wire import Received, Wire, chat, connect, request
from pointsman.engine import rejections
from pointsman.simulate import Settings

JSON = {"content-type": "application/json"}
CHAT = "/v1/chat/completions"


class Bad(Struct, kw_only=True):
    """A request and the expected answer. The message must contain `says`."""

    name: str
    method: str = "POST"
    path: str = CHAT
    body: bytes = b""
    headers: Mapping[str, str] = {}
    status: int = 400
    code: str = "invalid_request"
    param: str | None = None
    says: str = ""


def _wrong_type(path: str, base: str, field: str, value: str) -> Bad:
    body = f'{{{base}"{field}":{value}}}'.encode()
    return Bad(name=f"{path}: {field}={value}", path=f"/v1{path}", body=body, param=field, says=field)


_CHAT = '"model":"chat","messages":[{"role":"user","content":"x"}],'
_STREAM = _CHAT + '"stream":true,'
_COMPLETION = '"model":"chat","prompt":"x",'
_EMBEDDING = '"model":"embed","input":"x",'

TYPES = [
    *(
        _wrong_type("/chat/completions", _CHAT, field, value)
        for field, value in (
            ("stream", '"yes"'), ("stream", "1"), ("stream_options", "[]"), ("fallbacks", '"a/b"'), ("fallbacks", "{}"),
            ("max_tokens", '"9"'), ("max_tokens", "-2"), ("max_tokens", "1.5"), ("max_completion_tokens", "0"),
            ("max_completion_tokens", '"9"'), ("n", "0"), ("n", "129"), ("n", '"2"'), ("temperature", '"hot"'),
            ("top_p", "[]"), ("presence_penalty", '"x"'), ("frequency_penalty", "true"), ("seed", '"x"'),
            ("seed", "1.5"), ("stop", "7"), ("user", "7"), ("logit_bias", "[]"), ("tools", "{}"),
            ("response_format", '"json"'), ("logprobs", "1"), ("top_logprobs", "true"), ("modalities", '"text"'),
            ("parallel_tool_calls", '"no"'), ("reasoning_effort", "3"),
        )
    ),
    *(
        _wrong_type("/chat/completions", '"messages":[{"role":"user","content":"x"}],', "model", value)
        for value in ("7", "null", '""', "[]", '"' + "m" * 513 + '"')
    ),
    *(_wrong_type("/chat/completions", '"model":"chat",', "messages", value) for value in ('"x"', "{}", "[]", "null")),
    *(
        _wrong_type("/completions", _COMPLETION, field, value)
        for field, value in (("suffix", "1"), ("best_of", '"2"'), ("echo", '"x"'), ("logprobs", "true"))
    ),
    _wrong_type("/completions", '"model":"chat",', "prompt", "7"),
    _wrong_type("/embeddings", '"model":"embed",', "input", "7"),
    *(
        _wrong_type("/embeddings", _EMBEDDING, field, value)
        for field, value in (("dimensions", "0"), ("encoding_format", "1"), ("user", "1"), ("fallbacks", "1"))
    ),
    *(
        _wrong_type("/responses", '"input":"x",', field, value)
        for field, value in (("model", "7"), ("stream", '"x"'), ("fallbacks", "1"), ("store", '"x"'))
    ),
    _wrong_type("/responses", '"input":"x",', "max_output_tokens", "0"),
]  # fmt: skip

PLACES = [
    Bad(name="role", body=b'{"model":"chat","messages":[{"role":7}]}', param="messages[0].role", says="role"),
    Bad(name="no role", body=b'{"model":"chat","messages":[{"content":"x"}]}', param="messages[0].role", says="role"),
    Bad(name="message", body=b'{"model":"chat","messages":["x"]}', param="messages[0]", says="messages"),
    Bad(name="no model", body=b'{"messages":[{"role":"user","content":"x"}]}', param="model", says="is required"),
    Bad(name="no messages", body=b'{"model":"chat"}', param="messages", says="is required"),
    Bad(name="no prompt", path="/v1/completions", body=b'{"model":"chat"}', param="prompt", says="is required"),
    Bad(name="no input", path="/v1/embeddings", body=b'{"model":"embed"}', param="input", says="is required"),
    Bad(
        name="include_usage",
        body=b"{%b%b}" % (_STREAM.encode(), b'"stream_options":{"include_usage":1}'),
        param="stream_options.include_usage",
        says="include_usage",
    ),
    Bad(
        name="stream_options without stream",
        body=chat(stream_options={"include_usage": True}),
        param="stream_options",
        says="stream",
    ),
]

JSON_TEXT = [
    Bad(name="not JSON", body=b"hello", code="invalid_json", says="not valid JSON"),
    Bad(name="cut off", body=chat()[:-1], code="invalid_json", says="not valid JSON"),
    Bad(name="rubbish behind", body=chat() + b"x", code="invalid_json", says="not valid JSON"),
    Bad(name="two objects", body=chat() + chat(), code="invalid_json", says="not valid JSON"),
    Bad(name="trailing comma", body=chat()[:-1] + b",}", code="invalid_json", says="not valid JSON"),
    Bad(name="empty", code="invalid_json"),
    Bad(name="white space", body=b"  \r\n", code="invalid_json"),
    Bad(name="an array", body=b"[1]", says="JSON object"),
    Bad(name="a string", body=b'"x"', says="JSON object"),
    Bad(name="null", body=b"null", says="JSON object"),
    Bad(name="invalid UTF-8 in a value", body=chat().replace(b"Hello", b"\xff\xfe"), code="invalid_json", says="UTF-8"),
    Bad(name="invalid UTF-8 in a skipped value", body=chat(metadata="Z").replace(b'"Z"', b'"\xc3("'),
        code="invalid_json", says="UTF-8"),
    Bad(name="invalid UTF-8 in a key", body=chat(Z=1).replace(b'"Z"', b'"\xed\xa0\x80"'),
        code="invalid_json", says="UTF-8"),
    Bad(name="UTF-16", body=chat().decode().encode("utf-16"), code="invalid_json", says="UTF-8"),
    Bad(name="two byte order marks", body=b"\xef\xbb\xbf" * 2 + chat(), code="invalid_json"),
    Bad(name="NUL", body=b"\0" + chat(), code="invalid_json"),
    Bad(name="NaN", body=chat(temperature=1).replace(b":1}", b":NaN}"), code="invalid_json"),
    Bad(name="depth in a typed field", body=b'{"model":"chat","messages":' + b"[" * 50_000, code="invalid_json"),
    Bad(name="depth in a skipped field", body=chat(metadata="Z").replace(b'"Z"', b"[" * 50_000 + b"]" * 50_000),
        code="invalid_json", says="deep"),
    Bad(name="depth of objects", body=chat(metadata="Z").replace(b'"Z"', b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        code="invalid_json", says="deep"),
    Bad(name="depth at the top", body=b'{"a":' * 50_000, code="invalid_json"),
]  # fmt: skip

REPEATED = [
    *(
        Bad(
            name=f"{field} twice",
            body=chat(stream=False, n=1, max_tokens=5, user="a", fallbacks=[])[:-1]
            + f',"{field}":{value}}}'.encode(),
            param=field,
            says="more than once",
        )
        for field, value in (
            ("model", '"other"'), ("model", '"chat"'), ("messages", "[]"), ("stream", "true"), ("n", "100"),
            ("max_tokens", "100000"), ("user", '"b"'), ("fallbacks", '["a/b"]'),
        )
    ),
    Bad(name="escaped twice", body=chat()[:-1] + b',"\\u006dodel":"other"}', param="model", says="more than once"),
    Bad(name="another case", body=chat()[:-1] + b',"Model":"other"}', param="Model", says="'model'"),
    Bad(name="another case, streamed", body=chat()[:-1] + b',"STREAM":true}', param="STREAM", says="'stream'"),
    Bad(name="only in another case", body=chat().replace(b'"model"', b'"MODEL"'), param="model", says="model"),
]  # fmt: skip

NAMES = [
    Bad(name="unknown model", body=chat("nothing"), status=404, code="model_not_found", param="model", says="nothing"),
    Bad(name="unknown provider", body=chat("x/sim-1"), status=404, code="model_not_found", param="model", says="x/"),
    Bad(name="provider without a model", body=chat("a/"), status=404, code="model_not_found", param="model"),
    Bad(name="fallback to nowhere", body=chat(fallbacks=["nowhere/x"]), status=404, code="model_not_found",
        param="fallbacks[0]", says="nowhere/x"),
    Bad(name="second fallback to nowhere", body=chat(fallbacks=["a/sim-1", "nothing"]), status=404,
        code="model_not_found", param="fallbacks[1]", says="nothing"),
    Bad(name="empty fallback", body=chat(fallbacks=[""]), status=404, code="model_not_found", param="fallbacks[0]"),
    Bad(name="too many fallbacks", body=chat(fallbacks=["a/sim-1"] * 17), param="fallbacks"),
    Bad(name="unknown provider by header", body=chat(), headers={"x-pointsman-provider": "nowhere"},
        says="x-pointsman-provider"),
    Bad(name="unknown model looked up", method="GET", path="/v1/models/nothing", status=404, code="model_not_found",
        param="model", says="nothing"),
    Bad(name="an operation without a provider", path="/v1/moderations", body=b'{"model":"bare/sim-1","input":"x"}',
        status=501, code="unsupported_operation"),
]  # fmt: skip

HEADS = [
    Bad(name="unknown path", path="/v1/nothing", body=b"{}", status=404, code="unknown_path", says="/v1/nothing"),
    Bad(name="below a path", path="/v1/chat/completions/7", body=b"{}", status=404, code="unknown_path"),
    Bad(name="outside the API", method="GET", path="/admin", status=404, code="unknown_path", says="/admin"),
    Bad(name="metrics", method="GET", path="/metrics", status=404, code="unknown_path"),
    Bad(name="the root", method="GET", path="/", status=404, code="unknown_path"),
    Bad(name="wrong method", method="GET", path=CHAT, status=405, code="method_not_allowed", says="POST"),
    Bad(name="wrong method for models", path="/v1/models", body=b"{}", status=405, code="method_not_allowed"),
    Bad(name="DELETE of a chat", method="DELETE", path=CHAT, status=405, code="method_not_allowed"),
    *(
        Bad(name=f"timeout {value!r}", body=chat(), headers={"x-pointsman-timeout-ms": value},
            param="x-pointsman-timeout-ms", says="milliseconds")
        for value in ("soon", "-1", "0", "1.5", "1e3", "86400001", "9" * 400, "9" * 5000, "0x10", " ", "1 000")
    ),
    Bad(name="tag without a name", body=chat(), headers={"x-pointsman-tag-": "x"}, param="x-pointsman-tag-"),
    Bad(name="long tag", body=chat(), headers={"x-pointsman-tag-a": "x" * 256}, param="x-pointsman-tag-a"),
    Bad(name="long session", body=chat(), headers={"x-pointsman-session": "x" * 256}, param="x-pointsman-session"),
    Bad(name="session not in ASCII", body=chat(), headers={"x-pointsman-session": "é"}, param="x-pointsman-session"),
    Bad(name="tags without end", body=chat(), headers={f"x-pointsman-tag-{index}": "x" for index in range(17)},
        param="x-pointsman-tag-"),
    *(
        Bad(name=f"climbing {path}", method="GET", path=path, headers={"x-pointsman-provider": "a"})
        for path in (
            "/v1/files/../chat", "/v1/files/..", "/v1/files/../../admin", "/v1/files/./x", "/v1/files/%2e%2e/x",
            "/v1/files/%2E%2E%2Fx", "/v1/files/..%2f..%2fx", "/v1/files/x%00", "/v1/files/a\\..\\b", "/v1/files//../x",
            "/v1/files/x;y", "/v1/files/x?a=%0d%0ax: y%22\"", "/v1/files/x#y", "/v1/files/<x>",
        )
    ),
    Bad(name="no form boundary", path="/v1/audio/transcriptions", body=b"x",
        headers={"content-type": "multipart/form-data"}, param="content-type", says="boundary"),
]  # fmt: skip

# A body of another declared type is read as JSON, on every path that takes only JSON and forms.
DISGUISED = [
    Bad(name=f"moderations as {kind}", path="/v1/moderations", body=body, headers={"content-type": kind}, code=code)
    for kind in ("Application/JSON", "application/json ; charset=utf-8", "text/plain", "application/octet-stream")
    for body, code in (
        (b'{"model":"a/sim-1","input":"x"', "invalid_json"),
        (b'{"model":"a/x","model":"a/y"}', "invalid_request"),
    )
]
HEADS += [Bad(name="a key in the query", path="/v1/chat/completions?api_key=SECRET", body=chat(), param="api_key")]

CASES = [*TYPES, *PLACES, *JSON_TEXT, *REPEATED, *NAMES, *HEADS, *DISGUISED]

MODELS = {"chat": ["a/sim-1"], "embed": ["a/sim-1"]}
EXTRA = {"bare": {"type": "groq", "base_url": "http://127.0.0.1:9/v1", "serves": ["sim-1"]}}


async def _refused(wire: Wire, case: Bad) -> None:
    received = await wire.ask(case.method, case.path, case.body, case.headers)
    assert received.status == case.status, received.body
    error = received.error()
    assert error["code"] == case.code, error
    assert case.param is None or error["param"] == case.param, error
    assert case.says in str(error["message"]), error
    assert received.headers["content-type"] == "application/json"
    assert received.headers["x-pointsman-request-id"] in str(error["message"])


@pytest.mark.parametrize("cases", [TYPES, PLACES, JSON_TEXT, REPEATED, NAMES, HEADS, DISGUISED])
def test_bad_requests_are_rejected_with_fault_and_place(cases: list[Bad], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejections, "RECORDS_PER_S", 1000)  # every rejection must be in the log

    async def main() -> None:
        async with serving(
            providers={"a": Settings(models=("sim-1",))}, models=MODELS, provider_settings=EXTRA
        ) as gateway:
            wrong = []
            for case in cases:
                async with connect(gateway.base_url) as wire:
                    try:
                        async with asyncio.timeout(PATIENCE_S):
                            await _refused(wire, case)
                    except Exception as error:  # noqa: BLE001 -- all cases are reported together
                        wrong.append(f"{case.name}: {error!r}")
            assert not wrong, "\n".join(wrong)
            await _serves_still(gateway)
            assert len(gateway.providers["a"].bill.entries) == 1
            assert gateway.providers["a"].counters.connections_accepted == 1
            records = await gateway.wait_for_records(len(cases) + 1)
            assert [record["status"] for record in records] == [*(case.status for case in cases), 200]
            assert not any("attempts" in record for record in records[:-1])
            # Input that is not HTTP has neither.
            assert all(record["method"] and record["path"] for record in records if record["status"] != 400)
            metrics = await gateway.metrics()
            counted = [value for name, value in metrics.items() if name.startswith("pointsman_requests_total{")]
            assert sum(counted) == len(records)

    run(main())


async def _serves_still(gateway: Gateway) -> None:
    async with connect(gateway.base_url) as wire:
        assert (await wire.ask("POST", CHAT, chat())).status == 200


def test_bodies_over_the_limit_are_rejected() -> None:
    limit = 4096

    async def main() -> None:
        limits = {"limits": {"body_bytes": limit}}
        async with serving(providers={"a": Settings(models=("sim-1",))}, models=MODELS, server=limits) as gateway:
            large = chat(content="x" * limit)

            async def refused(data: bytes, rest: bytes = b"") -> None:
                async with connect(gateway.base_url) as wire, asyncio.timeout(PATIENCE_S):
                    wire.write(data)
                    received = await wire.head()
                    assert received.status == 413, received
                    received.body = b"".join([piece async for piece in wire.pieces(received)])
                    error = received.error()
                    assert error["code"] == "request_too_large"
                    assert str(limit) in str(error["message"])
                    wire.write(rest)
                    assert await wire.is_closed()

            await refused(request("POST", CHAT, large))
            chunks = b"".join(b"%x\r\n%b\r\n" % (64, large[at : at + 64]) for at in range(0, limit + 1, 64))
            head = request("POST", CHAT, headers={"transfer-encoding": "chunked", "content-length": ""})
            head = head.replace(b"content-length: \r\n", b"")
            await refused(head + chunks)
            # These requests announce a body and never send it.
            announced = {"content-length": str(limit + 1), "content-type": "application/json"}
            await refused(request("POST", CHAT, headers=announced))
            await refused(request("POST", CHAT, headers={**announced, "expect": "100-continue"}))
            await refused(request("POST", CHAT, headers={**announced, "content-length": "9" * 15}))
            await _serves_still(gateway)
            assert len(gateway.providers["a"].bill.entries) == 1

    run(main())


def test_expected_body_is_requested_only_if_needed() -> None:
    expect = {"expect": "100-continue", "content-type": "application/json"}

    async def main() -> None:
        async with serving(providers={"a": Settings(models=("sim-1",))}, models=MODELS) as gateway:
            body = chat()
            async with connect(gateway.base_url) as wire, asyncio.timeout(PATIENCE_S):
                wire.write(request("POST", CHAT, headers={**expect, "content-length": str(len(body))}))
                assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
                wire.write(body)
                assert (await wire.answer()).status == 200
            for path, status in (("/v1/nothing", 404), ("/v1/models", 405)):
                async with connect(gateway.base_url) as wire, asyncio.timeout(PATIENCE_S):
                    wire.write(request("POST", path, headers={**expect, "content-length": "10"}))
                    first = await wire.reader.readuntil(b"\r\n")
                    assert first.startswith(b"HTTP/1.1 %d " % status)
            assert len(gateway.providers["a"].bill.entries) == 1

    run(main())


_DIGEST = re.compile(r"; the SHA-256 of the presented key begins with [0-9a-f]{8}")


def test_requests_without_a_known_key_get_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejections, "FAILURES", 1000)  # no rejection asks the client to wait
    key = "pm-a-key-of-high-entropy-0123456789"
    governance = {"require_key": True, "virtual_keys": {"me": {"value": f"sha256:{sha256(key.encode()).hexdigest()}"}}}

    async def main() -> None:
        providers = {"a": Settings(models=("sim-1",))}
        async with serving(providers=providers, models=MODELS, governance=governance) as gateway:
            refusals = [
                {},
                *(
                    {"authorization": value}
                    for value in (
                        "Bearer wrong",
                        "Bearer",
                        "Bearer ",
                        f"Bearer {key}x",
                        f"Basic {key}",
                        "Bearer \xff",
                        "x",
                    )
                ),
                {"x-api-key": "wrong"},
                {"x-goog-api-key": key[:-1]},
                {"cookie": f"key={key}"},
            ]
            messages = set()
            for headers in refusals:
                for method, path, body in (("POST", CHAT, chat()), ("GET", "/v1/models", b""), ("POST", CHAT, b"{")):
                    async with connect(gateway.base_url) as wire:
                        received = await wire.ask(method, path, body, headers)
                    assert received.status == 401, (headers, received)
                    error = received.error()
                    assert error["code"] == "invalid_api_key"
                    messages.add(_DIGEST.sub("", _without_id(received)))
            assert len(messages) == 1, messages
            for headers in ({"authorization": f"Bearer {key}"}, {"authorization": f"bearer {key}"}, {"x-api-key": key}):
                async with connect(gateway.base_url) as wire:
                    assert (await wire.ask("POST", CHAT, chat(), headers)).status == 200
            assert len(gateway.providers["a"].bill.entries) == 3

    run(main())


def _without_id(received: Received) -> str:
    """Return an answer's body without the request's id."""
    return received.body.decode().replace(received.headers["x-pointsman-request-id"], "ID")
