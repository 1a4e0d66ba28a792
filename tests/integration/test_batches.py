"""Batches under hard budgets: their files are checked line by line, and their cost is the provider's bill."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import openai
import pytest

from fakes.clock import PATIENCE_S
from integration import batching
from integration.batching import CHAT, billed, books, create, gateway, jsonl, line, settings, upload
from integration.databases import database
from integration.gateway import Gateway, run
from integration.governance import NANO, bearer

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "batches.md"


async def ended(client: openai.AsyncOpenAI, name: str) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        while (found := await client.batches.retrieve(name)).status in ("validating", "in_progress"):
            await asyncio.sleep(0.05)
    return found


def test_batches_of_the_official_client_cost_what_the_provider_bills() -> None:
    lines = [line(number, "large" if number % 4 == 0 else "small") for number in range(30)]

    async def main() -> None:
        provider = settings(batch_s=1.0, cached_share=0.5)
        async with (
            gateway(provider) as running,
            openai.AsyncOpenAI(
                base_url=running.base_url, api_key=bearer("me")["authorization"].removeprefix("Bearer "), max_retries=0
            ) as client,
        ):
            stored = await client.files.create(file=("lines.jsonl", jsonl(lines)), purpose="batch")
            sent = [json.loads(one) for one in (await client.files.content(stored.id)).content.splitlines()]
            assert [one["custom_id"] for one in sent] == [one["custom_id"] for one in lines]
            assert {one["body"]["model"] for one in sent} == {"gpt-4o", "gpt-4o-mini"}
            assert {one["body"]["max_tokens"] for one in sent} == {50}, "each answer has a maximum"
            made = await client.batches.create(
                input_file_id=stored.id, endpoint=CHAT, completion_window="24h", metadata={"job": "nightly"}
            )
            assert made.metadata is not None
            assert made.metadata["job"] == "nightly"
            opened = await batching.until_open(running, "made")
            assert (opened["batch_id"], opened["virtual_key"], opened["provider"]) == (made.id, "me", "alpha")
            assert len(opened["limits"]) == 2, "those of the key and of its team"
            held = opened["held_nano"]
            done = await ended(client, made.id)
            assert done.status == "completed"
            assert done.request_counts is not None
            assert done.request_counts.total == 30
            output = (await client.files.content(done.output_file_id)).content.splitlines()
            assert len(output) == done.request_counts.completed
            assert [one.id async for one in client.batches.list()] == [made.id]
            found = await books(running)
            assert 0 < billed(running) <= held
            assert found == {
                "cost": billed(running),
                "held": 0,
                **dict.fromkeys(("virtual_key:me", "team:red"), billed(running)),
            }
            rows = (await running.admin("/api/v1/usage?group_by=model")).json["rows"]
            by_model = {row["model"]: row["cost_nano"] for row in rows if row["cost_nano"]}
            assert by_model.keys() == {"gpt-4o", "gpt-4o-mini"}
            await check_other_ends(running, client, stored.id)
            await check_guide(running)

    run(main())


async def check_other_ends(running: Gateway, client: openai.AsyncOpenAI, file: str) -> None:
    """Cancel a batch, and leave another one alone. Both cost what the provider bills."""
    first = await client.batches.create(input_file_id=file, endpoint=CHAT, completion_window="24h")
    await client.batches.create(input_file_id=file, endpoint=CHAT, completion_window="24h")
    assert (await client.batches.cancel(first.id)).status == "cancelled"
    found = await books(running, batches=3)
    assert found["cost"] == found["virtual_key:me"] == billed(running), "nobody asked about the second one"
    records = await batching.settled(running)
    assert sum(one["cost_nano"] for one in records) == billed(running)
    assert any(one["tokens_out"] > 0 for one in records)
    assert all(one["attempts"][0]["most_nano"] >= one["cost_nano"] for one in records), "the reservation is recorded"
    assert (await batching.ask_for(running, f"/v1/batches/{first.id}", "other")).status == 404
    assert (await create(running, file, "other")).status == 404, "the file belongs to another owner"


async def check_guide(running: Gateway) -> None:
    """Run the program of the guide as it stands."""
    [program] = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    environ = {"OPENAI_BASE_URL": running.base_url, "OPENAI_API_KEY": bearer("me")["authorization"].split()[1]}
    done = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        cwd=running.config_file.parent,
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await done.communicate()
    assert done.returncode == 0
    assert [each.split()[0] for each in out.decode().splitlines()] == ["question-0", "question-1"]


def test_expired_batch_costs_its_finished_lines_even_without_its_output() -> None:
    async def main() -> None:
        provider = settings(batch_s=4.0, batch_window_s=1.0)
        async with gateway(provider, models={"small": ["alpha/gpt-4o-mini"]}) as running:
            stored = await upload(running, jsonl([line(number) for number in range(40)]))
            made = await create(running, stored.json["id"])
            assert made.status == 200, made
            found = await books(running)
            assert 0 < found["cost"] == billed(running)
            status = (await batching.ask_for(running, f"/v1/batches/{made.json['id']}")).json
            assert status["status"] == "expired"
            assert status["request_counts"]["completed"] < 40

    run(main())


def test_budget_without_room_rejects_a_batch_and_names_the_amounts() -> None:
    async def main() -> None:
        async with gateway(settings(), limit_usd="0.001", as_process=False) as running:
            stored = await upload(running, jsonl([line(number) for number in range(100)]))
            answer = await create(running, stored.json["id"])
            assert (answer.status, answer.json["error"]["code"]) == (402, "budget_exceeded")
            assert "the budget of $0.001 per" in answer.json["error"]["message"]
            assert "that this attempt may need" in answer.json["error"]["message"]
            assert not any(one.path == "/v1/batches" for one in running.providers["alpha"].bill.entries)
            wrong = await create(running, stored.json["id"], endpoint="/v1/embeddings")
            assert (wrong.status, wrong.json["error"]["param"]) == (400, "endpoint")
            unread = await running.ask(
                batching.form(jsonl([line(1)]), b"user_data"),
                path="/v1/files",
                headers={**bearer("me"), **batching.FORM},
            )
            answer = await create(running, unread.json["id"])
            assert (answer.status, answer.json["error"]["code"]) == (403, "price_unknown")
            assert "POST /v1/files" in answer.json["error"]["message"]

    run(main())


FAULTY: list[tuple[Any, str]] = [
    (b"{", "not valid JSON"),
    (b'{"custom_id": "x", "body": {"model": "small"}}\n', "a line has custom_id, method, url and body"),
    (line(1) | {"method": "GET"}, "must be POST"),
    (line(1, url="/v1/images/generations"), "as in the first line"),
    (line(1, "unknown"), "may not use the model"),
    (line(1, "large"), "allow"),
    (line(1, stream=True), "no streams"),
    (line(1, fallbacks=["small"]), "no fallbacks"),
    (line(1, max_tokens="many"), "max_tokens"),
]


def test_faulty_line_is_rejected_with_its_number() -> None:
    async def main() -> None:
        async with gateway(settings(), as_process=False) as running:
            for faulty, message in FAULTY:
                data = faulty if isinstance(faulty, bytes) else jsonl([faulty])
                for number in (1, 2, 3000):
                    if number == 1 and message in ("as in the first line", "allow", "not valid JSON"):
                        continue
                    if number == 3000 and message != "no streams":
                        continue
                    before = jsonl([line(each) for each in range(number - 1)])
                    answer = await upload(running, before + data, "mini")
                    error = answer.json["error"]
                    assert answer.status in (400, 403, 404), (message, answer)
                    assert message in error["message"], (message, error)
                    assert f"line {number}: " in error["message"] or number == 1, (message, error)
            assert not any(one.status == 200 for one in running.providers["alpha"].bill.entries), "no file was stored"

    run(main())


def test_large_file_is_read_in_slices() -> None:
    lines = [line(number, user="x" * 200) for number in range(3000)]

    async def main() -> None:
        async with gateway(settings(), as_process=False) as running:
            answer = await upload(running, jsonl(lines))
            assert answer.status == 200, answer
            content = await batching.ask_for(running, f"/v1/files/{answer.json['id']}/content")
            assert [json.loads(one)["custom_id"] for one in content.body.splitlines()] == [
                one["custom_id"] for one in lines
            ]

    run(main())


@pytest.mark.parametrize(
    ("store", "lines"),
    [
        ("sqlite", 40),
        pytest.param("postgresql", 40, marks=pytest.mark.slow),
        pytest.param("sqlite", 1000, marks=pytest.mark.slow),
    ],
)
def test_books_equal_the_bill_over_three_kills(store: str, lines: int) -> None:
    async def main() -> None:
        if store == "sqlite":
            batching.check(await batching.play_kills(lines, batch_s=3.0))
            return
        async with database() as url:
            batching.check(await batching.play_kills(lines, batch_s=3.0, url=url))

    run(main())


def test_batch_that_was_never_made_frees_its_reservation() -> None:
    async def main() -> None:
        async with gateway(settings(path_faults={"/v1/batches": "status=400"}), as_process=False) as running:
            stored = await upload(running, jsonl([line(1)]))
            assert (await create(running, stored.json["id"])).status == 400
            assert running.worker is not None
            ledger = running.worker.plane.ledger
            assert ledger.open_attempts == 0
            assert all(one.window.free == NANO for one in ledger.counters.values())

    run(main())


def test_rights_of_the_key_that_requests_a_batch_hold_for_its_lines() -> None:
    async def main() -> None:
        async with gateway(settings(batch_s=30.0), as_process=False) as running:
            small = await upload(running, jsonl([line(1)]))
            large = await upload(running, jsonl([line(1), line(2, "large")]))
            assert (small.status, large.status) == (200, 200)
            for key, problem in (
                ("mini", "virtual key mini may not use the model 'large', which a line of the file names"),
                ("narrow", "virtual key narrow may not use model gpt-4o of provider alpha"),
            ):
                refused = await create(running, large.json["id"], key)
                assert (refused.status, refused.json["error"]["code"]) == (403, "model_not_allowed"), refused
                assert problem in refused.json["error"]["message"]
                made = await create(running, small.json["id"], key)
                assert made.status == 200, made
                for path in (f"/v1/batches/{made.json['id']}", f"/v1/files/{small.json['id']}/content", "/v1/batches"):
                    assert (await batching.ask_for(running, path, key)).status == 200, path
                ended = await batching.ask_for(running, f"/v1/batches/{made.json['id']}/cancel", key, "POST")
                assert (ended.status, ended.json["status"]) == (200, "cancelled")
            unread = await running.ask(
                batching.form(jsonl([line(1)]), b"user_data"),
                path="/v1/files",
                headers={**bearer("mini"), **batching.FORM},
            )
            assert unread.status == 200, unread
            refused = await create(running, unread.json["id"], "mini")
            assert "the lines of the file are not known here" in refused.json["error"]["message"]

    run(main())


def test_cost_of_a_batch_is_known_to_a_ceiling() -> None:
    async def main() -> None:
        async with gateway(settings(batch_s=30.0), as_process=False) as running:
            stored = await upload(running, jsonl([line(number) for number in range(100)]))
            body = {"input_file_id": stored.json["id"], "endpoint": CHAT, "completion_window": "24h"}
            for usd, status in (("0.0001", 402), ("1", 200)):
                headers = {**bearer("me"), "x-pointsman-max-usd": usd}
                found = await running.ask(body, path="/v1/batches", headers=headers)
                assert found.status == status, found
                if status == 402:
                    assert "this request is expected to cost $0.00" in found.json["error"]["message"]

    run(main())
