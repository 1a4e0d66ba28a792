"""Google's own SDK, through the gateway whose address is the first argument: it prints one line for each step."""

import asyncio
import json
import sys

from google import genai
from google.genai import errors, types
from pydantic import BaseModel

ROOT, KEY, MODEL = sys.argv[1:4]
READ = 'use read_file with {"path": "notes.txt"}'
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8ffff3f0005fe02fe"
    "a7352a800000000049454e44ae426082"
)


class Person(BaseModel):
    name: str
    age: int | None = None


def read_file(path: str) -> str:
    """Return the text of a file."""
    return f"{path} says buy milk"


def client(key: str = KEY, **options: str) -> genai.Client:
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=f"{ROOT}/genai", **options))


def config(**fields: object) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(**fields)


def main() -> None:
    one = client()
    models = one.models
    answer = models.generate_content(model=MODEL, contents="say cheese", config=config(system_instruction="Be kind."))
    usage = answer.usage_metadata
    print(answer.text, usage.prompt_token_count, usage.candidates_token_count, answer.candidates[0].finish_reason.name)
    chunks = list(models.generate_content_stream(model=MODEL, contents="say cheese", config=config(temperature=0.5)))
    print("".join(chunk.text or "" for chunk in chunks), chunks[-1].candidates[0].finish_reason.name, len(chunks) > 1)

    print(models.generate_content(model=MODEL, contents=READ, config=config(tools=[read_file])).text)
    chat = one.chats.create(model=MODEL, config=config(tools=[read_file], max_output_tokens=2000))
    print("".join(chunk.text or "" for chunk in chat.send_message_stream(READ)))
    print(chat.send_message("say thanks").text)

    schema = config(response_mime_type="application/json", response_schema=Person)
    person = models.generate_content(model=MODEL, contents='say {"name": "Ann", "age": 42}', config=schema)
    print(repr(person.parsed))
    thinking = config(thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=1024))
    thought = models.generate_content(model=MODEL, contents="say hm", config=thinking)
    print(
        "".join(part.text for part in thought.candidates[0].content.parts if part.thought and part.text), thought.text
    )
    image = types.Part.from_bytes(data=PIXEL, mime_type="image/png")
    print(models.generate_content(model=MODEL, contents=[image, "say cheese"]).text)
    print(models.count_tokens(model=MODEL, contents="How many?").total_tokens > 1)
    print(f"models/{MODEL}" in [model.name for model in models.list(config={"page_size": 1})])
    print(models.get(model=MODEL).name)
    older = client(api_version="v1beta")
    print(older.models.generate_content(model=f"models/{MODEL}", contents="say cheese").text)
    fail(one, "no-such-model")
    stranger = client("pm-wrong-key-of-some-length")
    fail(stranger, MODEL)
    print(asyncio.run(streamed(one)))


def fail(one: genai.Client, model: str) -> None:
    try:
        list(one.models.generate_content_stream(model=model, contents="say cheese"))
    except errors.ClientError as error:
        reasons = [detail["reason"] for detail in error.details["error"]["details"] if "reason" in detail]
        print(json.dumps([error.code, error.status, reasons]))


async def streamed(one: genai.Client) -> str:
    stream = await one.aio.models.generate_content_stream(model=MODEL, contents="say cheese")
    return "".join([chunk.text or "" async for chunk in stream])


main()
