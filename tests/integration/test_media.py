"""Images, speech, transcriptions, moderations and rankings are charged as their provider bills them, by the image, the
second, the character and the search. No budget is overspent. The official client fails over with each."""

import asyncio
import io
import json
import os
import random
import signal
import wave
from collections.abc import Callable
from typing import Any

import pytest
from openai import AsyncOpenAI

from integration.gateway import Gateway, run, serving
from integration.governance import NANO, bearer, billed_nano, governance, key_value, usd
from pointsman.simulate import Settings
from pointsman.simulate.settings import Price, UnitPrices

SEED = 67
IMAGE = {
    f"{quality} {size}": nano
    for quality, costs in (("low", (9, 13)), ("medium", (34, 50)), ("high", (133, 200)))
    for size, nano in (("1024x1024", costs[0]), ("1024x1536", costs[1]), ("1536x1024", costs[1]))
}  # in thousandths of a dollar
FREE = Price(input_pico=0, output_pico=0, cached_pico=0)
UNIT_PRICES = {
    "gpt-image-1": UnitPrices(image={kind: usd * 1_000_000 for kind, usd in IMAGE.items()}),
    "tts-1": UnitPrices(character=15_000),
    "whisper-1": UnitPrices(second=100_000, least_seconds=10),
    "rerank-v3.5": UnitPrices(search=2_000_000),
    "mistral-ocr-latest": UnitPrices(page=4_000_000),
}
OVERRIDES = [
    {"model": "*/gpt-image-1", "per_image_usd": {kind: usd / 1000 for kind, usd in IMAGE.items()}},
    {"model": "*/tts-1", "characters_usd_per_million": 15},
    {"model": "*/whisper-1", "audio_usd_per_minute": 0.006, "least_seconds": 10},
    {"model": "*/rerank-v3.5", "per_search_usd": 0.002},
    {"model": "*/mistral-ocr-latest", "per_page_usd": 0.004},
    {"model": "*/omni-moderation-latest", "input_usd_per_million": 0, "output_usd_per_million": 0},
]
BOUNDARY = "----boundary7MA4"
MODELS = {
    name: [f"alpha/{model}", f"beta/{model}"]
    for name, model in (
        ("painter", "gpt-image-1"),
        ("voice", "tts-1"),
        ("ears", "whisper-1"),
        ("ranker", "rerank-v3.5"),
        ("judge", "omni-moderation-latest"),
        ("reader", "mistral-ocr-latest"),
    )
}


def provider(**more: Any) -> Settings:
    return Settings(price=FREE, unit_prices=UNIT_PRICES, **more)


def governed(limit_usd: float = 100, **more: Any) -> Any:
    parts: dict[str, Any] = {
        "providers": {"alpha": provider(), "beta": provider()},
        "models": MODELS,
        "governance": governance({"me": {"budgets": usd(limit_usd)}}),
        "pricing": {"unknown": "deny", "overrides": OVERRIDES},
    }
    return serving(**{**parts, **more})


def wav(seconds: float, rate: int = 8_000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(bytes(int(seconds * rate) * 2))
    return file.getvalue()


def form(fields: dict[str, str], file: tuple[str, bytes]) -> bytes:
    body = b"".join(
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    )
    head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{file[0]}"; filename="a.bin"\r\n\r\n'.encode()
    return body + head + file[1] + f"\r\n--{BOUNDARY}--\r\n".encode()


Requested = tuple[str, Any, dict[str, str]]  # path, body and headers
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def drawing(dice: random.Random) -> Requested:
    body: dict[str, Any] = {"model": "painter", "prompt": "a signal box"}
    if dice.random() < 0.7:
        body["n"] = dice.randint(1, 4)
    for name, values in (("quality", ["low", "medium", "high", "auto"]), ("size", ["1024x1024", "1536x1024", "auto"])):
        if dice.random() < 0.7:
            body[name] = dice.choice(values)
    if dice.random() < 0.5:
        return "/v1/images/generations", body, {}
    return "/v1/images/edits", form({name: str(value) for name, value in body.items()}, ("image", b"\x89PNG")), FORM


def speaking(dice: random.Random) -> Requested:
    text = "".join(dice.choice("ab ü👋") for _ in range(dice.randint(1, 300)))
    return "/v1/audio/speech", {"model": "voice", "voice": "alloy", "input": text}, {}


def listening(dice: random.Random) -> Requested:
    fields = {"model": "ears"}
    if dice.random() < 0.6:
        fields["response_format"] = dice.choice(["json", "verbose_json", "text", "srt"])
    sound = wav(dice.uniform(0.01, 25))
    path = dice.choice(["transcriptions", "translations"])
    return f"/v1/audio/{path}", form(fields, ("file", sound)), FORM


def ranking(dice: random.Random) -> Requested:
    documents = ["word " * dice.choice([1, 5, 800]) for _ in range(dice.randint(1, 150))]
    path = dice.choice(["/v1/rerank", "/v2/rerank"])
    return path, {"model": "ranker", "query": "a word", "documents": documents, "top_n": 3}, {}


def reading(dice: random.Random) -> Requested:
    kind = dice.choice(["image_url", "document_url"])
    pages = {"pages": [0, 1, 2]} if dice.random() < 0.5 else {}
    return "/v1/ocr", {"model": "reader", "document": {"type": kind, kind: "https://x/a"}, **pages}, {}


def judging(dice: random.Random) -> Requested:
    return "/v1/moderations", {"model": "judge", "input": ["x"] * dice.randint(1, 3)}, {}


KINDS: list[Callable[[random.Random], Requested]] = [drawing, speaking, listening, ranking, reading, judging]


async def send(gateway: Gateway, requested: Requested) -> int:
    path, body, headers = requested
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    received = await gateway.ask(data, path=path, headers={**bearer("me"), **headers})
    return received.status


@pytest.mark.parametrize("kind", KINDS)
def test_charges_equal_the_bill(kind: Callable[[random.Random], Requested]) -> None:
    """Every attempt is charged as billed, also after a failover, and without a reported usage."""
    dice, count = random.Random(SEED), 12

    async def main() -> None:
        async with governed(routing={"health": {"failures": 1000}}) as gateway:
            for number in range(count):
                gateway.providers["alpha"].set_fault("status=500" if number % 3 == 0 else None)
                requested = kind(dice)
                assert await send(gateway, requested) == 200, requested
            records = await gateway.wait_for_records(count)
            entries = {entry.attempt_id: entry for one in gateway.providers.values() for entry in one.bill.entries}
            for record in records:
                for ordinal, attempt in enumerate(record["attempts"], 1):
                    entry = entries[f"{record['request_id']}-{ordinal}"]
                    assert attempt.get("cost_nano", 0) == entry.charged_nano
                    assert attempt.get("held_nano", 0) == 0
                    if entry.status == 200:
                        expected = ("estimated",) if kind is judging else ("provider", "request")
                        assert attempt["usage_source"] in expected
                        assert attempt.get("most_nano", 0) >= entry.charged_nano
            total = sum(record.get("cost_nano", 0) for record in records)
            assert total == billed_nano(gateway)
            assert (total > 0) is (kind is not judging)

    run(main())


@pytest.mark.parametrize(
    ("kind", "limit_usd"), [(drawing, 4), (speaking, 0.02), (listening, 0.02), (ranking, 0.2), (reading, 5)]
)
def test_budget_is_spent_and_never_overspent(kind: Callable[[random.Random], Requested], limit_usd: float) -> None:
    dice = random.Random(SEED)

    async def main() -> None:
        async with governed(limit_usd) as gateway:
            statuses: list[int] = []
            while statuses.count(402) < 10:
                found = await asyncio.gather(*(send(gateway, kind(dice)) for _ in range(6)))
                statuses += found
                assert set(found) <= {200, 402}
            assert 200 in statuses
            assert 0 < billed_nano(gateway) <= limit_usd * NANO

    run(main())


def test_images_that_a_filter_leaves_out_are_not_charged() -> None:
    body = {"model": "painter", "prompt": "x", "n": 4, "quality": "low", "size": "1024x1024"}

    async def main() -> None:
        async with governed(providers={"alpha": provider(fewer_images=1), "beta": provider()}) as gateway:
            assert await send(gateway, ("/v1/images/generations", body, {})) == 200
            (record,) = await gateway.wait_for_records(1)
            assert record["cost_nano"] == billed_nano(gateway) == 3 * IMAGE["low 1024x1024"] * 1_000_000

    run(main())


def test_unreported_duration_of_another_format_is_estimated_and_held() -> None:
    body = form({"model": "ears", "response_format": "text"}, ("file", b"\xff" * 320_000))

    async def main() -> None:
        async with governed() as gateway:
            assert await send(gateway, ("/v1/audio/transcriptions", body, FORM)) == 200
            (record,) = await gateway.wait_for_records(1)
            (attempt,) = record["attempts"]
            assert attempt["usage_source"] == "estimated"
            assert attempt["cost_nano"] + attempt["held_nano"] == attempt["most_nano"] == 320 * 100_000
            assert attempt["cost_nano"] == billed_nano(gateway)

    run(main())


def test_request_without_a_price_for_its_units_is_rejected() -> None:
    chat = {"model": "alpha/tts-1", "messages": [{"role": "user", "content": "hi"}]}
    square = {"model": "painter", "prompt": "x", "size": "512x512"}

    async def main() -> None:
        async with governed() as gateway:
            for path, body in (("/v1/chat/completions", chat), ("/v1/images/generations", square)):
                answer = await gateway.ask(body, path=path, headers=bearer("me"))
                assert (answer.status, answer.json["error"]["code"]) == (403, "price_unknown"), answer
            assert billed_nano(gateway) == 0

    run(main())


def test_official_client_fails_over_with_each_operation() -> None:
    async def main() -> None:
        async with governed() as gateway:
            alpha, beta = gateway.providers["alpha"], gateway.providers["beta"]
            how: dict[str, Any] = {"base_url": gateway.base_url, "api_key": key_value("me"), "max_retries": 0}
            async with AsyncOpenAI(**how) as client:
                alpha.set_fault("status=500")
                drawn = await client.images.generate(model="painter", prompt="a train", n=2, quality="low")
                assert len(drawn.data or ()) == 2
                edited = await client.images.edit(model="painter", image=("a.png", b"\x89PNG"), prompt="red")
                assert edited.data is not None
                assert edited.quality in ("low", "medium", "high")
                speech = await client.audio.speech.create(model="voice", voice="alloy", input="Mind the gap")
                assert len(speech.content) == 12 * 256
                heard = await client.audio.transcriptions.create(model="ears", file=("a.wav", wav(2)))
                assert heard.text.endswith("bytes of audio.")
                judged = await client.moderations.create(model="judge", input="violence")
                assert judged.results[0].flagged
            records = await gateway.wait_for_records(5)
            assert all(record["attempts"][-1]["provider"] == "beta" for record in records)
            assert {record["operation"] for record in records} == {"image", "audio", "moderation"}
            assert sum(entry.status == 200 for entry in beta.bill.entries) == len(records)
            assert not any(entry.status == 200 for entry in alpha.bill.entries)
            assert sum(record.get("cost_nano", 0) for record in records) == billed_nano(gateway)

    run(main())


@pytest.mark.slow
def test_budget_holds_if_workers_are_killed() -> None:
    """The journal charges a killed worker's requests by their reservation, which is exact for speech."""
    dice = random.Random(SEED)

    async def main() -> None:
        async with governed(0.02, as_process=True) as gateway:
            statuses: list[int] = []
            killed = 0
            while statuses.count(402) < 5:
                if killed < 2 and len(statuses) >= 4 * (killed + 1):
                    os.kill(gateway.children["worker 0"], signal.SIGKILL)
                    killed += 1
                try:
                    statuses.append(await send(gateway, speaking(dice)))
                except OSError:
                    await asyncio.sleep(0.05)
            assert killed == 2
            assert 200 in statuses
            assert 0 < billed_nano(gateway) <= 0.02 * NANO

    run(main())
