"""Clients of Gemini's API, as Google's SDKs and its REST examples send requests, before providers of every dialect."""

import json
from typing import Any

import pytest

from fakes.obedient import RETURNED
from integration.gateway import run, serving
from integration.sdks import EVERY_UPSTREAM, READ, READ_SCHEMA, VIRTUAL_KEY, scene
from pointsman.simulate import Settings
from pointsman.wire.sse import event_data, split_events

KEY = {"x-goog-api-key": VIRTUAL_KEY}
TOOLS = [{"function_declarations": [{"name": "read_file", "parameters_json_schema": READ_SCHEMA}]}]


def at(model: str, action: str, query: str = "") -> dict[str, Any]:
    return {"path": f"/genai/v1beta/models/{model}:{action}{query}", "headers": KEY}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": text}]}


def parts(answers: list[Any]) -> list[Any]:
    return [part for answer in answers for part in answer["candidates"][0]["content"]["parts"]]


def text_of(answers: list[Any]) -> str:
    return "".join(part.get("text", "") for part in parts(answers) if not part.get("thought"))


@EVERY_UPSTREAM
def test_loop_with_a_function_in_every_form_of_an_answer(upstream: str) -> None:
    async def main() -> None:
        async with scene(upstream) as found:
            for action, query in (
                ("generateContent", ""),
                ("streamGenerateContent", "?alt=sse"),
                ("streamGenerateContent", ""),
            ):
                how = at(found.model, action, query)
                config = {
                    "max_output_tokens": 2000,
                    "thinking_config": {"include_thoughts": True, "thinking_budget": 1024},
                }
                body: dict[str, Any] = {"contents": [user(READ)], "tools": TOOLS, "generation_config": config}
                answer = await found.gateway.ask(body, **how)
                assert answer.status == 200, answer.body
                first = _answers(answer.body, action, query)
                assert first[-1]["usageMetadata"]["totalTokenCount"] == 120
                assert first[-1]["candidates"][0]["finishReason"] == "STOP"
                (called,) = [part["functionCall"] for part in parts(first) if "functionCall" in part]
                assert (called["name"], called["args"]) == ("read_file", {"path": "notes.txt"})
                result = {"functionResponse": {"name": "read_file", "id": called["id"], "response": {"result": "milk"}}}
                again = [user(READ), {"role": "model", "parts": parts(first)}, {"role": "user", "parts": [result]}]
                answer = await found.gateway.ask({**body, "contents": again}, **how)
                assert text_of(_answers(answer.body, action, query)) == f"{RETURNED}milk"

    run(main())


def _answers(body: bytes, action: str, query: str) -> list[Any]:
    if query:
        return [json.loads(event_data(event) or b"") for event in split_events(body) if event_data(event)]
    found: Any = json.loads(body)
    return list(found) if action.startswith("stream") else [found]


def test_request_to_gemini_passes_as_it_came_under_the_models_own_name() -> None:
    async def main() -> None:
        async with scene("gemini") as found:
            body = {
                "contents": [user("say cheese")],
                "tools": [{"googleSearch": {}}],
                "generationConfig": {"newSetting": [1], "topK": 3.0},
                "newField": {"a_b": 1},
            }
            answer = await found.gateway.ask(body, **at(found.model, "generateContent"))
            assert text_of([answer.json]) == "cheese"
            (seen,) = found.provider.messages
            assert seen.path == "/v1/models/some-model:generateContent"
            assert seen.body == {**body, "newField": {"aB": 1}}
            assert seen.headers["x-goog-api-key"] == "sk-a-provider-key"

    run(main())


def test_key_in_the_query_is_a_credential_and_is_never_logged() -> None:
    async def main() -> None:
        async with scene("chat") as found:
            query = f"?key={VIRTUAL_KEY}&alt=sse"
            path = f"/genai/v1/models/{found.model}:streamGenerateContent{query}"
            answer = await found.gateway.ask({"contents": [user("say cheese")]}, path=path)
            assert answer.status == 200, answer.body
            wrong = await found.gateway.ask({"contents": []}, path=path.replace("-24-", "-99-"))
            assert (wrong.status, wrong.json["error"]["status"]) == (401, "UNAUTHENTICATED")
            on_v1 = await found.gateway.ask({}, path=f"/v1/chat/completions?key={VIRTUAL_KEY}")
            assert on_v1.status == 400
            (record, *_) = await found.gateway.wait_for_records(2)
            assert record["path"] == f"/genai/v1/models/{found.model}:streamGenerateContent"
            assert record["virtual_key"] == "sdk"
            assert VIRTUAL_KEY not in found.gateway.log_file.read_text()
            assert VIRTUAL_KEY not in str(found.provider.requests)

    run(main())


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/genai/v1beta/models/none:generateContent", 404, "NOT_FOUND"),
        ("/genai/v1beta/files", 404, "NOT_FOUND"),
        ("/genai/v1beta/models/chat-model:predict", 404, "NOT_FOUND"),
        ("/v1/generateContent", 404, None),
    ],
)
def test_errors_have_the_shape_of_google(path: str, status: int, code: str | None) -> None:
    async def main() -> None:
        async with scene("chat") as found:
            answer = await found.gateway.ask({"contents": [user("a")]}, path=path, headers=KEY)
            assert answer.status == status
            assert answer.json["error"].get("status") == code
            if code is not None:
                assert answer.json["error"]["code"] == status

    run(main())


def test_part_that_a_provider_cannot_express_is_named() -> None:
    async def main() -> None:
        async with scene("anthropic") as found:
            body: dict[str, Any] = {"contents": [user("a")], "tools": [{"google_search": {}}]}
            answer = await found.gateway.ask(body, **at(found.model, "generateContent"))
            assert answer.status == 400
            assert "googleSearch" in answer.json["error"]["message"]
            body = {"contents": [user("say a")], "safetySettings": [{"category": "x"}]}
            answer = await found.gateway.ask(body, **at(found.model, "generateContent"))
            assert (answer.status, answer.headers["x-pointsman-dropped"]) == (200, "safetySettings")

    run(main())


@EVERY_UPSTREAM
def test_tokens_are_counted_by_google_or_estimated(upstream: str) -> None:
    async def main() -> None:
        async with scene(upstream) as found:
            answer = await found.gateway.ask({"contents": [user("a" * 400)]}, **at(found.model, "countTokens"))
            count = answer.json["totalTokens"]
            assert count == 1234 if upstream == "gemini" else 100 <= count < 120

    run(main())


def test_embeddings_cross_the_dialects() -> None:
    async def main() -> None:
        async with scene("gemini") as found:
            headers = {"authorization": f"Bearer {VIRTUAL_KEY}"}
            body = {"model": found.model, "input": ["four", "a"], "dimensions": 2}
            answer = await found.gateway.ask(body, path="/v1/embeddings", headers=headers)
            assert [one["embedding"] for one in answer.json["data"]] == [[4.0, 0.5], [1.0, 0.5]]
            (seen,) = found.provider.requests
            assert seen.path == "/v1/models/some-model:batchEmbedContents"
            assert [one["model"] for one in seen.body["requests"]] == ["models/some-model"] * 2
            tokens = await found.gateway.ask({**body, "input": [1, 2]}, path="/v1/embeddings", headers=headers)
            assert tokens.status == 400
            requests = [{"model": f"models/{found.model}", "content": user("abc"), "taskType": "RETRIEVAL_QUERY"}]
            own = await found.gateway.ask({"requests": requests}, **at(found.model, "batchEmbedContents"))
            assert own.json == {"embeddings": [{"values": [3.0, 0.5]}]}
            assert found.provider.requests[-1].body["requests"][0]["taskType"] == "RETRIEVAL_QUERY"
        async with serving(
            providers={"alpha": Settings()}, models={"vectors": ["alpha/text-embedding-3-small"]}
        ) as gateway:
            one = await gateway.ask(
                {"content": user("hello"), "taskType": "X", "outputDimensionality": 8},
                path="/genai/v1beta/models/vectors:embedContent",
            )
            assert one.status == 200, one.body
            assert len(one.json["embedding"]["values"]) == 8
            assert one.json["usageMetadata"]["promptTokenCount"] > 0
            assert one.headers["x-pointsman-dropped"] == "taskType"

    run(main())


def test_models_are_listed_in_pages() -> None:
    async def main() -> None:
        async with scene("chat") as found:
            answer = await found.gateway.ask(None, path="/genai/v1beta/models?pageSize=1", method="GET", headers=KEY)
            assert [model["name"] for model in answer.json["models"]] == [f"models/{found.model}"]
            one = await found.gateway.ask(None, path=f"/genai/v1beta/models/{found.model}", method="GET", headers=KEY)
            assert one.json["name"] == f"models/{found.model}"

    run(main())
