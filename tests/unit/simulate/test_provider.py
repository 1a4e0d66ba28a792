"""The API as the official SDK reads it, with keys, controls, and refused connections."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types import CreateEmbeddingResponse, ImagesResponse, ModerationCreateResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response

from fakes.clock import PATIENCE_S
from fakes.raw_client import RawClient, Received
from pointsman.simulate import Settings, SimulatedProvider
from pointsman.simulate.faults import HEADER
from pointsman.simulate.settings import Lognormal, Price, ScheduledFault

Run = Callable[[Any], Any]
Ask = Callable[..., Awaitable[Received]]
Connect = Callable[[SimulatedProvider], Awaitable[RawClient]]

CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello there"}]}
STREAM: dict[str, Any] = {**CHAT, "stream": True}
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def sdk(provider: SimulatedProvider, key: str = "sk-any") -> AsyncOpenAI:
    return AsyncOpenAI(base_url=provider.base_url, api_key=key, max_retries=0)


def chunks(received: Received) -> list[ChatCompletionChunk]:
    """Return all events but the last, which must be [DONE]."""
    assert received.data[-1] == "[DONE]"
    return [ChatCompletionChunk.model_validate_json(data, strict=True) for data in received.data[:-1]]


def on(run: Run, main: Callable[[SimulatedProvider], Awaitable[None]], **settings: Any) -> None:
    """Run `main` against a provider with these settings."""

    async def serve() -> None:
        async with SimulatedProvider(Settings(**settings)) as provider:
            await main(provider)
            assert provider.counters.requests_in_progress == 0

    run(serve())


# The dialect.


def test_official_sdk_is_served(run: Run) -> None:
    async def main(provider: SimulatedProvider) -> None:
        async with sdk(provider) as client:
            whole = await client.chat.completions.create(**CHAT)
            assert whole.usage is not None
            assert whole.usage.completion_tokens == 20
            text = ""
            stream = await client.chat.completions.create(**CHAT, stream=True)
            async for chunk in stream:
                text += chunk.choices[0].delta.content or ""
            assert len(text.split()) == 20
            assert "gpt-4o" in [model.id async for model in client.models.list()]
            assert (await client.models.retrieve("gpt-4o")).id == "gpt-4o"
            assert (
                len((await client.embeddings.create(model="text-embedding-3-small", input="x")).data[0].embedding) == 16
            )
            assert (await client.completions.create(model="gpt-3.5-turbo-instruct", prompt="x")).choices[0].text
            assert (await client.moderations.create(input="violence")).results[0].flagged
            audio = await client.audio.speech.create(model="tts-1", voice="alloy", input="four")
            assert len(audio.content) == 1024
            heard = await client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"12345"))
            assert heard.text == "5 bytes of audio."

    on(run, main)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        ("fault:status=401", openai.AuthenticationError),
        ("fault:rate_limit=1", openai.RateLimitError),
        ("fault:status=500", openai.InternalServerError),
        ("fault:context_length", openai.BadRequestError),
        ("fault:reset", openai.APIConnectionError),
    ],
)
def test_official_sdk_raises_the_right_errors(run: Run, failure: str, expected: type[Exception]) -> None:
    async def main(provider: SimulatedProvider) -> None:
        async with sdk(provider) as client:
            with pytest.raises(expected):
                await client.chat.completions.create(**CHAT, user=failure)

    on(run, main)


def test_whole_chat_answers_have_the_documented_shape(run: Run, ask: Ask) -> None:
    async def main(provider: SimulatedProvider) -> None:
        received = await ask(provider, {**CHAT, "n": 2, "logprobs": True, "top_logprobs": 1, "max_tokens": 3})
        answer = ChatCompletion.model_validate_json(received.body, strict=True)
        assert [choice.index for choice in answer.choices] == [0, 1]
        assert {choice.finish_reason for choice in answer.choices} == {"length"}
        assert answer.choices[0].logprobs is not None
        assert len(answer.choices[0].logprobs.content or ()) == 3
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3 + 3 + 3, 6)
        assert answer.usage.prompt_tokens_details is not None
        assert answer.usage.prompt_tokens_details.cached_tokens == 4

    on(run, main, cached_share=0.5)


def test_streams_end_with_usage_on_request(run: Run, ask: Ask) -> None:
    async def main(provider: SimulatedProvider) -> None:
        body = {**STREAM, "max_tokens": 4, "n": 2, "stream_options": {"include_usage": True}}
        received = await ask(provider, body)
        parsed = chunks(received)
        assert all('"usage":null' in data for data in received.data[:-2])
        assert parsed[-1].choices == []
        assert parsed[-1].usage is not None
        assert parsed[-1].usage.completion_tokens == 8
        assert [chunk.choices[0].delta.role for chunk in parsed[:2]] == ["assistant", "assistant"]
        ends = [(choice.index, choice.finish_reason) for chunk in parsed[-3:-1] for choice in chunk.choices]
        assert ends == [(0, "length"), (1, "length")]
        received = await ask(provider, STREAM)
        assert not any('"usage"' in data for data in received.data)
        assert chunks(received)[-1].choices[0].finish_reason == "stop"

    on(run, main)


@pytest.mark.parametrize(
    ("choice", "last", "calls"),
    [
        ("required", {"role": "user", "content": "x"}, True),
        ({"type": "function", "function": {"name": "weather"}}, {"role": "user", "content": "x"}, True),
        ("auto", {"role": "user", "content": "x"}, True),
        ("auto", {"role": "tool", "content": "x", "tool_call_id": "1"}, False),
        ("none", {"role": "user", "content": "x"}, False),
    ],
)
def test_tools_are_called_on_request(run: Run, ask: Ask, choice: Any, last: Any, *, calls: bool) -> None:
    async def main(provider: SimulatedProvider) -> None:
        before = [{"role": "assistant", "tool_calls": [{"id": "1"}]}] if last["role"] == "tool" else []
        body = {**CHAT, "messages": [*before, last], "tools": [TOOL], "tool_choice": choice}
        whole = ChatCompletion.model_validate_json((await ask(provider, body)).body).choices[0]
        parsed = chunks(await ask(provider, {**body, "stream": True}))
        deltas = [call for chunk in parsed for part in chunk.choices for call in part.delta.tool_calls or ()]
        if not calls:
            assert (whole.finish_reason, whole.message.tool_calls, deltas) == ("stop", None, [])
            return
        assert (whole.finish_reason, whole.message.content) == ("tool_calls", None)
        assert deltas[0].function is not None
        assert (deltas[0].function.name, deltas[0].id is not None) == ("weather", True)
        arguments = "".join((delta.function.arguments or "") for delta in deltas if delta.function)
        assert json.loads(arguments) == {"city": "x"}
        assert parsed[-1].choices[0].finish_reason == "tool_calls"

    on(run, main)


def test_json_schema_answers_fit_the_schema(run: Run, ask: Ask) -> None:
    async def main(provider: SimulatedProvider) -> None:
        schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
        form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}
        received = await ask(provider, {**CHAT, "response_format": form})
        assert json.loads(received.json["choices"][0]["message"]["content"]) == {"ok": False}
        received = await ask(provider, {**STREAM, "response_format": form})
        assert json.loads(received.text) == {"ok": False}

    on(run, main)


def test_other_endpoints_have_the_documented_shape(run: Run, ask: Ask) -> None:
    async def main(provider: SimulatedProvider) -> None:
        body: dict[str, Any] = {"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 3}
        received = await ask(provider, body, path="/v1/embeddings")
        vectors = CreateEmbeddingResponse.model_validate_json(received.body)
        assert [len(item.embedding) for item in vectors.data] == [3, 3]
        received = await ask(provider, {**body, "input": [1, 2, 3]}, path="/v1/embeddings")
        assert (len(received.json["data"]), received.json["usage"]["prompt_tokens"]) == (1, 3)
        received = await ask(provider, {"model": "gpt-image-1", "prompt": "x"}, path="/v1/images/generations")
        assert ImagesResponse.model_validate_json(received.body).data
        received = await ask(provider, {"input": ["a", "violence"]}, path="/v1/moderations")
        flags = [result.flagged for result in ModerationCreateResponse.model_validate_json(received.body).results]
        assert flags == [False, True]
        body = {"model": "gpt-3.5-turbo-instruct", "prompt": ["a", "b"], "stream": True, "max_tokens": 2}
        received = await ask(provider, body, path="/v1/completions")
        indices = [json.loads(data)["choices"][0]["index"] for data in received.data[:-1]]
        assert indices == [0, 0, 1, 1, 0, 1]

    on(run, main)


def test_responses_are_streamed_and_found_again(run: Run, ask: Ask) -> None:
    async def main(provider: SimulatedProvider) -> None:
        received = await ask(provider, {"model": "gpt-4o", "input": "hi"}, path="/v1/responses")
        first = Response.model_validate_json(received.body)
        received = await ask(provider, None, path=f"/v1/responses/{first.id}", method="GET")
        assert received.json["id"] == first.id
        async with sdk(provider) as client:
            stream = await client.responses.create(model="gpt-4o", input="hi", stream=True, max_output_tokens=3)
            events = [event async for event in stream]
        assert [event.type for event in events].count("response.output_text.delta") == 3
        assert events[-1].type == "response.incomplete"
        assert provider.bill.entries[-1].tokens_sent == 3

    on(run, main)


def test_files_belong_to_their_key(run: Run) -> None:
    async def main(provider: SimulatedProvider) -> None:
        async with sdk(provider, "sk-one") as one, sdk(provider, "sk-two") as two:
            made = await one.files.create(file=("notes.bin", bytes(range(256))), purpose="assistants")
            assert (made.bytes, made.filename) == (256, "notes.bin")
            assert (await one.files.content(made.id)).content == bytes(range(256))
            assert [file.id async for file in one.files.list()] == [made.id]
            assert [file.id async for file in two.files.list()] == []
            with pytest.raises(openai.NotFoundError):
                await two.files.retrieve(made.id)
            assert (await one.files.delete(made.id)).deleted
            with pytest.raises(openai.NotFoundError):
                await one.files.retrieve(made.id)

    on(run, main)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "could not parse the JSON"),
        (b"[]", 400, "could not parse the JSON"),
        (b"", 400, "could not parse the JSON"),
        ({"model": "gpt-4o-mini"}, 400, "Missing required parameter: 'messages'."),
        ({**CHAT, "messages": []}, 400, "Invalid value for 'messages'"),
        ({**CHAT, "temperature": "hot"}, 400, "Invalid value for 'temperature'"),
        ({**CHAT, "max_tokens": 0}, 400, "Invalid value for 'max_tokens'"),
        ({**CHAT, "fallbacks": []}, 400, "Unrecognized request argument supplied: fallbacks"),
        ({**CHAT, "stream_options": {"include_usage": True}}, 400, "only allowed when 'stream'"),
        ({**CHAT, "model": "gpt-9"}, 404, "The model `gpt-9` does not exist"),
        ({**CHAT, "user": "fault:hnag"}, 400, "did you mean 'hang'"),
    ],
)
def test_invalid_requests_are_rejected_with_a_message(run: Run, ask: Ask, body: Any, status: int, message: str) -> None:
    async def main(provider: SimulatedProvider) -> None:
        received = await ask(provider, body)
        assert received.status == status
        assert message in received.json["error"]["message"]
        assert (provider.bill.entries[0].outcome, provider.bill.totals().charged_nano) == ("failed", 0)

    on(run, main)


def test_unknown_paths_are_404(run: Run, ask: Ask) -> None:
    async def main(provider: SimulatedProvider) -> None:
        assert (await ask(provider, {}, path="/v1/nothing")).status == 404
        assert (await ask(provider, None, path="/v1/chat/completions", method="GET")).status == 404
        assert (await ask(provider, None, path="/v1/models/gpt-9", method="GET")).status == 404

    on(run, main)


# Behaviour by key, request and schedule.


def test_keys_are_checked_and_may_have_faults(run: Run, ask: Ask) -> None:
    async def main(provider: SimulatedProvider) -> None:
        statuses = []
        for key in ("sk-good", "sk-slow", "sk-unknown"):
            received = await ask(provider, CHAT, headers={"authorization": f"Bearer {key}"})
            statuses.append(received.status)
        assert [*statuses, (await ask(provider, CHAT)).status] == [200, 429, 401, 401]
        assert [entry.key for entry in provider.bill.entries] == ["sk-good", "sk-slow", "sk-unknown", ""]

    on(run, main, keys={"sk-good": "", "sk-slow": "rate_limit=9"})


def test_model_and_path_may_have_faults(run: Run, ask: Ask) -> None:
    async def main(provider: SimulatedProvider) -> None:
        statuses = [(await ask(provider, {**CHAT, "model": model})).status for model in ("gpt-4o", "gpt-4o-mini")]
        body = {"model": "text-embedding-3-small", "input": "x"}
        assert [*statuses, (await ask(provider, body, path="/v1/embeddings")).status] == [429, 200, 501]

    on(run, main, model_faults={"gpt-4o": "rate_limit=9"}, path_faults={"/v1/embeddings": "no_endpoint"})


def test_faults_are_requested_in_three_places(run: Run, ask: Ask) -> None:
    async def main(provider: SimulatedProvider) -> None:
        assert (await ask(provider, {**CHAT, "user": "fault:status=501"})).status == 501
        assert (await ask(provider, {**CHAT, "metadata": {"fault": "status=502"}})).status == 502
        assert (await ask(provider, CHAT, headers={HEADER: "status=503"})).status == 503
        assert (await ask(provider, {**CHAT, "user": "someone", "metadata": {"a": "b"}})).status == 200
        provider.set_fault("status=504")
        assert (await ask(provider)).status == 504
        assert (await ask(provider, CHAT, headers={HEADER: "none"})).status == 200
        provider.set_fault(None)
        assert (await ask(provider)).status == 200

    on(run, main)


def test_schedule_activates_faults_by_request_number(run: Run, ask: Ask) -> None:
    async def main(provider: SimulatedProvider) -> None:
        assert [(await ask(provider)).status for _ in range(4)] == [200, 500, 500, 200]
        provider.reset()
        assert [(await ask(provider)).status for _ in range(2)] == [200, 500]

    on(run, main, schedule=(ScheduledFault(fault="status=500", from_request=1, to_request=3),))


def test_same_seed_gives_the_same_answers(run: Run, ask: Ask) -> None:
    bodies: list[list[str]] = []

    async def main(provider: SimulatedProvider) -> None:
        bodies.append([(await ask(provider)).json["choices"][0]["message"]["content"] for _ in range(3)])

    length = Lognormal(median=20, sigma=1)
    for seed in (1, 1, 2):
        on(run, main, seed=seed, output_tokens=length)
    assert bodies[0] == bodies[1]
    assert bodies[0] != bodies[2]
    assert len(set(bodies[0])) == 3


def test_bill_names_the_request(run: Run, ask: Ask) -> None:
    async def main(provider: SimulatedProvider) -> None:
        headers = {"x-request-id": "r-1", "x-pointsman-attempt-id": "r-1.0", "authorization": "Bearer sk-9"}
        await ask(provider, {**STREAM, "max_tokens": 7}, headers=headers)
        entry = provider.bill.entries[0]
        assert (entry.request_id, entry.attempt_id, entry.key) == ("r-1", "r-1.0", "sk-9")
        assert (entry.model, entry.stream, entry.outcome, entry.phase) == (
            "gpt-4o-mini",
            True,
            "complete",
            "after_answer",
        )
        assert (entry.tokens_in, entry.tokens_out, entry.tokens_sent) == (9, 7, 7)
        assert entry.charged_nano == 9 * 1 + 7 * 2
        assert provider.requests[0].headers["authorization"] == "Bearer sk-9"

    price = Price(input_pico=1000, output_pico=2000, cached_pico=0)
    on(run, main, prices={"gpt-4o-mini": price})


# Controls.


def test_control_paths(run: Run, ask: Ask) -> None:
    async def main(provider: SimulatedProvider) -> None:
        assert (await ask(provider, {"fault": "status=500"}, path="/_simulate/faults")).status == 200
        await asyncio.sleep(0)
        assert (await ask(provider)).status == 500
        assert (await ask(provider, {"fault": "stats=500"}, path="/_simulate/faults")).status == 400
        assert (await ask(provider, {"faults": ""}, path="/_simulate/faults")).status == 400
        assert (await ask(provider, {}, path="/_simulate/faults")).status == 200
        await asyncio.sleep(0)
        schedule = [{"fault": "status=503", "to_request": 1}]
        assert (await ask(provider, {"schedule": schedule}, path="/_simulate/faults")).status == 200
        assert [(await ask(provider)).status for _ in range(2)] == [503, 200]
        bill = (await ask(provider, None, path="/_simulate/bill", method="GET")).json
        assert [entry["status"] for entry in bill["entries"]] == [500, 503, 200]
        assert (bill["totals"]["complete"], bill["counters"]["requests_received"]) == (1, 3)
        assert (await ask(provider, None, path="/_simulate/reset")).status == 200
        assert provider.bill.entries == []
        assert (await ask(provider, None, path="/_simulate/nothing", method="GET")).status == 404

    on(run, main)


def test_refused_connections_are_accepted_again_later(run: Run, ask: Ask, connect: Connect) -> None:
    async def main(provider: SimulatedProvider) -> None:
        idle, busy = await connect(provider), await connect(provider)
        await idle.ask(CHAT)
        busy.send({**STREAM, "max_tokens": 5, "user": "fault:slow_tokens=20"})
        await busy.reader.readuntil(b"content")
        port = provider.port
        for _ in range(3):
            provider.set_fault("refuse")
            with pytest.raises(ConnectionRefusedError):
                await connect(provider)
            provider.set_fault(None)
            assert (await ask(provider)).status == 200
        assert provider.port == port
        assert await idle.reader.read() == b""
        assert (await busy.reader.read()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        for client in (idle, busy):
            await client.close()

    on(run, main)


def test_stopping_the_provider_cuts_open_connections(run: Run, connect: Connect) -> None:
    async def main() -> None:
        async with SimulatedProvider() as provider:
            client = await connect(provider)
            client.send({**CHAT, "user": "fault:hang"})
            while not provider.counters.requests_in_progress:
                await client.receive(quiet_s=0.001)
        assert provider.bill.entries[0].outcome == "failed"
        assert (await client.receive()).ended == "reset"
        await client.close()

    run(main())


def test_unknown_faults_in_settings_are_rejected() -> None:
    with pytest.raises(ValueError, match="did you mean 'hang'"):
        SimulatedProvider(Settings(keys={"sk": "hnag"}))


# As a process.


def test_provider_runs_as_a_process() -> None:
    command = [sys.executable, "-m", "pointsman.simulate", "--settings", '{"name": "alpha"}']
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        with openai.OpenAI(base_url=url, api_key="sk", max_retries=0) as client:
            assert client.chat.completions.create(**CHAT).system_fingerprint == "fp_alpha"
        process.terminate()
        assert process.wait(PATIENCE_S) == 0


def test_invalid_settings_end_the_process_with_a_message() -> None:
    command = [sys.executable, "-m", "pointsman.simulate", "--settings", '{"nmae": 1}']
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert ended.returncode == 2
    assert "nmae" in ended.stderr
