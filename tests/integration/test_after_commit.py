"""After the commit, an answer is completed or ended by an explicit error, never silently."""

import json
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from integration.client import Answer
from integration.gateway import Gateway, chat, run, serving
from pointsman.simulate import Settings

MODELS = {"chat": ["alpha/gpt-4o-mini", "beta/gpt-4o-mini"]}
TEXT = Settings(text="numbered", output_tokens=200.0)
AFTER_CONTENT = 3000  # bytes: the head, the role, and some of the content

# Fault after content -> record and message to the client.
BROKEN_STREAMS = {
    f"reset_at={AFTER_CONTENT}": "connection_lost",
    f"close_at={AFTER_CONTENT}": "connection_lost",
    "error_mid_stream=5,slow_tokens=5": "upstream_error",
    "hang_mid_stream=5": "stream_stalled",
    "malformed_sse=5,malformed_json=9,slow_tokens=5": "malformed_answer",
}


def serving_two(**sections: Any) -> Any:
    return serving(providers={"alpha": TEXT, "beta": TEXT}, models=MODELS, **sections)


@pytest.mark.parametrize("fault", BROKEN_STREAMS)
def test_broken_stream_ends_with_an_error(fault: str) -> None:
    async def main() -> None:
        async with serving_two(routing={"timeouts": {"stall_s": 0.3}}) as gateway:
            gateway.providers["alpha"].set_fault(fault)
            answers = await gateway.ask_many(20, 4, chat(stream=True))
            broken = [answer for answer in answers if answer.headers["x-pointsman-provider"] == "alpha"]
            assert broken
            for answer in broken:
                check_broken(answer, BROKEN_STREAMS[fault])
            for answer in answers:
                assert answer in broken or answer.is_done
            for record in await gateway.wait_for_records(20):
                if record["provider"] == "alpha":
                    assert record["status"] == 200
                    assert record["code"] == BROKEN_STREAMS[fault]
                    assert [attempt["outcome"] for attempt in record["attempts"]] == [BROKEN_STREAMS[fault]]
            assert gateway.providers["beta"].counters.requests_received == 20 - len(broken)

    run(main())


def check_broken(answer: Answer, code: str) -> None:
    assert answer.status == 200
    assert answer.ended == "complete"  # as HTTP, the answer is complete
    *chunks, last = (json.loads(event) for event in answer.events)
    assert last["error"]["code"] == code
    assert answer.headers["x-pointsman-request-id"] in last["error"]["message"]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert text == "".join(f" {number}" for number in range(len(text.split())))
    assert 0 < len(text.split()) < 200


@pytest.mark.parametrize("fault", [f"reset_at={AFTER_CONTENT}", "error_mid_stream=5,slow_tokens=5"])
def test_official_sdk_raises_on_a_broken_stream(fault: str) -> None:
    async def main() -> None:
        async with serving_two() as gateway:
            gateway.providers["alpha"].set_fault(fault)
            pieces: list[str] = []
            async with sdk(gateway) as client:
                stream = await client.chat.completions.create(**chat(stream=True))
                with pytest.raises(openai.APIError) as caught:
                    await read(stream, pieces)
            assert pieces[:4] == [" 0", " 1", " 2", " 3"]
            assert caught.value.code == BROKEN_STREAMS[fault]

    run(main())


async def read(stream: Any, pieces: list[str]) -> None:
    async for chunk in stream:
        pieces += filter(None, [chunk.choices[0].delta.content])


def sdk(gateway: Gateway, **options: Any) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=gateway.base_url, api_key="unused", **options)


def test_stalled_completion_ends_with_an_error() -> None:
    async def main() -> None:
        async with serving_two(routing={"timeouts": {"stall_s": 0.3}}) as gateway:
            gateway.providers["alpha"].set_fault("hang_mid_stream=5")
            body = {"model": "alpha/gpt-3.5-turbo-instruct", "prompt": "Say", "stream": True}
            answer = await gateway.ask(body, path="/v1/completions")
            assert json.loads(answer.events[-1])["error"]["code"] == "stream_stalled"
            assert answer.ended == "complete"

    run(main())


def test_error_with_the_first_content_is_before_the_commit() -> None:
    async def main() -> None:
        async with serving_two() as gateway:
            gateway.providers["alpha"].set_fault("error_mid_stream=5")  # all events in one write
            answer = await gateway.ask(chat(stream=True))
            assert answer.is_done
            assert answer.headers["x-pointsman-provider"] == "beta"

    run(main())


def test_truncated_large_answer_ends_the_connection() -> None:
    """The answer outgrew the buffer, so its head was sent. Only the end of the connection can signal the failure."""

    async def main() -> None:
        async with serving_two(routing={"commit_buffer": 1024}) as gateway:
            gateway.providers["alpha"].set_fault(f"close_at={AFTER_CONTENT}")
            long = chat(messages=[{"role": "user", "content": "Say much"}], n=8)
            answer = await gateway.ask(long)
            assert answer.status == 200
            assert answer.ended in ("eof", "reset")
            (record,) = await gateway.wait_for_records(1)
            assert record["code"] == "connection_lost"
            assert len(record["attempts"]) == 1
            assert gateway.providers["beta"].counters.requests_received == 0

    run(main())


def test_large_answer_arrives_whole() -> None:
    async def main() -> None:
        async with serving_two(routing={"commit_buffer": 1024}) as gateway:
            answer = await gateway.ask(chat(n=8))
            assert answer.ended == "complete"
            assert len(answer.json["choices"]) == 8

    run(main())


def test_answer_that_fits_the_buffer_fails_over() -> None:
    async def main() -> None:
        async with serving_two() as gateway:
            gateway.providers["alpha"].set_fault(f"close_at={AFTER_CONTENT}")
            answer = await gateway.ask(chat(n=8))
            assert answer.ended == "complete"
            assert answer.headers["x-pointsman-provider"] == "beta"

    run(main())


def test_endless_stream_is_ended() -> None:
    async def main() -> None:
        async with serving_two(routing={"timeouts": {"stream_s": 1.0}}) as gateway:
            gateway.providers["alpha"].set_fault("slow_tokens=50")
            answer = await gateway.ask(chat(stream=True))
            check_broken(answer, "stream_timeout")

    run(main())
