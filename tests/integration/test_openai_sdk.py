"""The official OpenAI client, used as usual; only the base URL differs."""

import asyncio
import inspect
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from fakes.clock import PATIENCE_S
from integration.gateway import Gateway, chat, run, serving
from pointsman.simulate import Settings

Kind = Literal["sync", "async"]
Scenario = Callable[[Any], Awaitable[None]]  # takes a client of either kind

VIRTUAL_KEY = "pm-a-virtual-key-of-24-characters"
PROVIDER_KEY = "sk-a-provider-key"
SECTIONS: dict[str, Any] = {
    "governance": {"virtual_keys": {"notebook": {"value": "env.NOTEBOOK_KEY"}}},
    "provider_settings": {"alpha": {"keys": {"only": "env.ALPHA_KEY"}, "serves": ["gpt-4o-mini"]}},
    "models": {"chat": ["alpha/gpt-4o-mini"]},
    "environ": {"NOTEBOOK_KEY": VIRTUAL_KEY, "ALPHA_KEY": PROVIDER_KEY},
}
ONE_PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PERSON = {
    "type": "json_schema",
    "json_schema": {
        "name": "person",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
            "required": ["name", "age"],
            "additionalProperties": False,
        },
    },
}

pytestmark = pytest.mark.parametrize("kind", ["sync", "async"])


# Answers of a provider that streams, and of one that never does.
STREAMING = pytest.mark.parametrize("fault", [None, "ignore_stream"])


def use(kind: Kind, scenario: Scenario, fault: str | None = None, **options: Any) -> None:
    """Play a scenario against a gateway in front of one provider. `options` are those of the client, and the differing
    parts of the configuration."""
    names = ("api_key", "timeout", "max_retries")
    client_options: dict[str, Any] = {name: options.pop(name) for name in names if name in options}

    sections: dict[str, Any] = {**SECTIONS, **options}

    async def main() -> None:
        async with serving(providers={"alpha": Settings(keys={PROVIDER_KEY: ""})}, **sections) as gateway:
            gateway.providers["alpha"].set_fault(fault)
            how = {"base_url": gateway.base_url, "api_key": VIRTUAL_KEY, **client_options}
            await play(kind, scenario, how)
            check_secrets(gateway)

    run(main())


async def play(kind: Kind, scenario: Scenario, how: dict[str, Any]) -> None:
    if kind == "async":
        async with AsyncOpenAI(**how) as client:
            await scenario(client)
        return

    async def in_thread() -> None:
        with OpenAI(**how) as client:
            await scenario(client)

    await asyncio.to_thread(asyncio.run, in_thread())


def check_secrets(gateway: Gateway) -> None:
    """Check that the provider saw only its own key, and no header of the SDK that identifies the client."""
    for request in gateway.providers["alpha"].requests:
        assert request.headers["authorization"] == f"Bearer {PROVIDER_KEY}"
        assert not [name for name in request.headers if name.startswith("x-stainless")]
        assert VIRTUAL_KEY not in str(request.raw_headers)


async def have(value: Any) -> Any:
    """Return the result of a call of either client."""
    return await value if inspect.isawaitable(value) else value


async def chunks_of(stream: Any) -> list[Any]:
    return [chunk async for chunk in stream] if hasattr(stream, "__aiter__") else list(stream)


def test_chat(kind: Kind) -> None:
    async def scenario(client: Any) -> None:
        answer = await have(client.chat.completions.create(**chat()))
        assert len(answer.choices[0].message.content.split()) == 20
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage.completion_tokens == 20
        raw = await have(client.chat.completions.with_raw_response.create(**chat("gpt-4o-mini", n=2)))
        assert raw.headers["x-pointsman-provider"] == "alpha"
        assert raw.headers["x-pointsman-model"] == "gpt-4o-mini"
        assert len((await have(raw.parse())).choices) == 2

    use(kind, scenario)


@STREAMING
@pytest.mark.parametrize("wants_usage", [None, False, True])
def test_streamed_chat(kind: Kind, wants_usage: bool | None, fault: str | None) -> None:
    options: dict[str, Any] = {} if wants_usage is None else {"stream_options": {"include_usage": wants_usage}}

    async def scenario(client: Any) -> None:
        chunks = await chunks_of(await have(client.chat.completions.create(**chat(stream=True), **options)))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert len(text.split()) == 20
        usages = [chunk.usage for chunk in chunks if chunk.usage is not None]
        assert [usage.completion_tokens for usage in usages] == ([20] if wants_usage else [])
        assert all(chunk.choices for chunk in chunks) is not bool(wants_usage)

    use(kind, scenario, fault)


@STREAMING
def test_streamed_chat_with_the_accumulator_of_the_sdk(kind: Kind, fault: str | None) -> None:
    async def scenario(client: Any) -> None:
        manager = client.chat.completions.stream(**chat())
        if isinstance(client, AsyncOpenAI):
            async with manager as stream:
                answer = await stream.get_final_completion()
        else:
            with manager as stream:
                answer = stream.get_final_completion()
        assert len(answer.choices[0].message.content.split()) == 20
        assert answer.choices[0].finish_reason == "stop"

    use(kind, scenario, fault)


@STREAMING
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_tools(kind: Kind, stream: bool, fault: str | None) -> None:
    async def scenario(client: Any) -> None:
        answer = await have(client.chat.completions.create(**chat(tools=[WEATHER], stream=stream)))
        if stream:
            chunks = [chunk for chunk in await chunks_of(answer) if chunk.choices]
            calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
            name, arguments = calls[0].function.name, "".join(call.function.arguments or "" for call in calls)
            assert chunks[-1].choices[0].finish_reason == "tool_calls"
        else:
            (call,) = answer.choices[0].message.tool_calls
            name, arguments = call.function.name, call.function.arguments
        assert name == "get_weather"
        assert arguments == '{"city":"x"}'

    use(kind, scenario, fault)


def test_structured_output(kind: Kind) -> None:
    async def scenario(client: Any) -> None:
        answer = await have(client.chat.completions.create(**chat(response_format=PERSON)))
        assert answer.choices[0].message.content == '{"name":"x","age":0}'

    use(kind, scenario)


def test_vision_and_logprobs(kind: Kind) -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": ONE_PIXEL, "detail": "low"}},
    ]

    async def scenario(client: Any) -> None:
        seen = await have(client.chat.completions.create(model="chat", messages=[{"role": "user", "content": parts}]))
        assert seen.usage.prompt_tokens > 85
        completion = await have(client.chat.completions.create(**chat(logprobs=True, top_logprobs=1)))
        assert len(completion.choices[0].logprobs.content) == 20
        assert completion.choices[0].logprobs.content[0].top_logprobs[0].logprob == -0.1

    use(kind, scenario)


def test_embeddings_and_completions(kind: Kind) -> None:
    async def scenario(client: Any) -> None:
        model = "alpha/text-embedding-3-small"
        for encoding in ("float", "base64"):
            inputs = ["one", "two"]
            answer = await have(client.embeddings.create(model=model, input=inputs, encoding_format=encoding))
            assert len(answer.data) == 2
        default = await have(client.embeddings.create(model=model, input="one"))  # the SDK asks for base64 and decodes
        assert isinstance(default.data[0].embedding[0], float)
        fields = {"model": "alpha/gpt-3.5-turbo-instruct", "prompt": "Say", "max_tokens": 20}
        whole = await have(client.completions.create(**fields))
        assert len(whole.choices[0].text.split()) == 20
        chunks = await chunks_of(await have(client.completions.create(**fields, stream=True)))
        assert len("".join(chunk.choices[0].text for chunk in chunks if chunk.choices).split()) == 20

    use(kind, scenario)


def test_models(kind: Kind) -> None:
    async def scenario(client: Any) -> None:
        page = await have(client.models.list())
        assert [model.id for model in page.data] == ["chat", "alpha/gpt-4o-mini"]
        for name in ("chat", "alpha/gpt-4o-mini"):
            model = await have(client.models.retrieve(name))
            assert (model.id, model.owned_by, model.object) == (name, "alpha", "model")
        with pytest.raises(openai.NotFoundError):
            await have(client.models.retrieve("unknown"))

    use(kind, scenario)


def test_moderations_and_images(kind: Kind) -> None:
    async def scenario(client: Any) -> None:
        moderation = await have(client.moderations.create(model="alpha/omni-moderation-latest", input="Hello"))
        assert moderation.results[0].flagged in (False, True)
        drawn = await have(client.images.generate(model="alpha/gpt-image-1", prompt="A train", n=2))
        assert len(drawn.data) == 2
        assert drawn.data[0].b64_json.startswith("iVBOR")

    use(kind, scenario)


def test_responses(kind: Kind) -> None:
    async def scenario(client: Any) -> None:
        made = await have(client.responses.create(model="chat", input="Say something"))
        assert len(made.output_text.split()) == 20
        found = await have(client.responses.retrieve(made.id))
        assert found.output_text == made.output_text
        events = await chunks_of(await have(client.responses.create(model="chat", input="Say", stream=True)))
        assert events[0].type == "response.created"
        assert events[-1].type == "response.completed"
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert "".join(deltas) == events[-1].response.output_text

    use(kind, scenario)


def test_files(kind: Kind) -> None:
    content = bytes(range(256)) * 1000

    async def scenario(client: Any) -> None:
        stored = await have(client.files.create(file=("batch.jsonl", content), purpose="user_data"))
        assert (stored.bytes, stored.filename) == (len(content), "batch.jsonl")
        listed = await have(client.files.list())
        assert [file.id for file in listed.data] == [stored.id]
        read = await have(client.files.content(stored.id))
        assert read.content == content
        deleted = await have(client.files.delete(stored.id))
        assert deleted.deleted
        with pytest.raises(openai.NotFoundError):
            await have(client.files.retrieve(stored.id))

    use(kind, scenario)


def test_file_requires_a_provider_header_with_several_providers(kind: Kind) -> None:
    async def scenario(client: Any) -> None:
        upload = {"file": ("batch.jsonl", b"{}"), "purpose": "user_data"}
        with pytest.raises(openai.BadRequestError, match="x-pointsman-provider"):
            await have(client.files.create(**upload))
        named = await have(client.files.create(**upload, extra_headers={"x-pointsman-provider": "alpha"}))
        assert named.bytes == 2

    async def main() -> None:
        async with serving(providers={"alpha": Settings(), "beta": Settings()}) as gateway:
            await play(kind, scenario, {"base_url": gateway.base_url, "api_key": VIRTUAL_KEY, "max_retries": 0})

    run(main())


def test_audio(kind: Kind) -> None:
    async def scenario(client: Any) -> None:
        speech = await have(client.audio.speech.create(model="alpha/tts-1", voice="alloy", input="Mind the gap"))
        assert len(speech.content) == 12 * 256
        transcription = await have(
            client.audio.transcriptions.create(model="alpha/whisper-1", file=("speech.mp3", speech.content))
        )
        assert transcription.text == f"{12 * 256} bytes of audio."

    use(kind, scenario)


# Fault of the provider, or none if the request itself is at fault -> the SDK's exception.
ERRORS: list[tuple[str | None, dict[str, Any], type[openai.APIStatusError], int, str]] = [
    (None, {"temperature": 9}, openai.BadRequestError, 400, "invalid_type"),
    (None, {"messages": []}, openai.BadRequestError, 400, "invalid_request"),
    (None, {"model": "unknown"}, openai.NotFoundError, 404, "model_not_found"),
    ("context_length", {}, openai.BadRequestError, 400, "context_length_exceeded"),
    ("status=401", {}, openai.InternalServerError, 502, "upstream_credential_rejected"),
    ("rate_limit=20", {}, openai.RateLimitError, 429, "upstream_rate_limited"),
    ("status=500", {}, openai.InternalServerError, 502, "upstream_error"),
    ("reset", {}, openai.InternalServerError, 502, "connection_lost"),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("fault", "fields", "raised", "status", "code"), ERRORS)
def test_exceptions(
    kind: Kind,
    fault: str | None,
    fields: dict[str, Any],
    raised: type[openai.APIStatusError],
    status: int,
    code: str,
    stream: bool,
) -> None:
    async def scenario(client: Any) -> None:
        with pytest.raises(raised) as caught:
            await have(client.chat.completions.create(**{**chat(stream=stream), **fields}))
        assert caught.value.status_code == status
        assert caught.value.code == code
        assert caught.value.message

    use(kind, scenario, fault, max_retries=0, routing={"max_attempts": 2})


def test_unknown_key_is_an_authentication_error(kind: Kind) -> None:
    async def scenario(client: Any) -> None:
        with pytest.raises(openai.AuthenticationError) as caught:
            await have(client.chat.completions.create(**chat()))
        assert caught.value.code == "invalid_api_key"
        assert "pm-wrong" not in caught.value.message

    use(kind, scenario, api_key="pm-wrong-key-of-some-length")


def test_oversized_body_is_a_clear_error(kind: Kind) -> None:
    async def scenario(client: Any) -> None:
        large = [{"role": "user", "content": "x" * 3_000_000}]
        with pytest.raises(openai.APIStatusError) as caught:
            await have(client.chat.completions.create(model="chat", messages=large))
        assert caught.value.status_code == 413
        assert caught.value.code == "request_too_large"

    use(kind, scenario, max_retries=0, server={"limits": {"body_bytes": 1_000_000}})


def test_timeouts(kind: Kind) -> None:
    async def scenario(client: Any) -> None:
        with pytest.raises(openai.APITimeoutError):
            await have(client.chat.completions.create(**chat()))
        patient = client.with_options(timeout=PATIENCE_S)
        short_timeout = {"x-pointsman-timeout-ms": "200"}
        with pytest.raises(openai.InternalServerError) as caught:
            await have(patient.chat.completions.create(**chat(), extra_headers=short_timeout))
        assert caught.value.status_code == 504

    use(kind, scenario, "hang", max_retries=0, timeout=0.3)


def test_refused_connection_is_a_connection_error(kind: Kind) -> None:
    async def scenario(client: Any) -> None:
        with pytest.raises(openai.APIConnectionError):
            await have(client.chat.completions.create(**chat()))

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        how = {"base_url": f"http://127.0.0.1:{unused.getsockname()[1]}/v1", "api_key": VIRTUAL_KEY, "max_retries": 0}
        run(play(kind, scenario, how))
