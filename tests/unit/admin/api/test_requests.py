"""GET /api/v1/requests and /{id}: requests, their routing, and its reasons."""

import csv
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest

from fakes.control import control_plane, record, request_id, scope
from integration.gateway import run
from pointsman.domain.records import AttemptRecord, RequestRecord


def test_requests_are_filtered_and_paged_newest_first(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            now = time.time()
            ids = [plane.write(n, now + n, scope(n % 2 + 1, virtual_key=f"key-{n % 2}")) for n in range(6)]
            await plane.ingest()

            async def found(**parameters: Any) -> list[int]:
                return [ids.index(row["request_id"]) for row in await plane.data("/api/v1/requests", **parameters)]

            assert await found() == [5, 4, 3, 2, 1, 0]
            assert await found(limit=2) == [5, 4]
            assert await found(limit=2, before=ids[4]) == [3, 2]
            assert await found(after=ids[3]) == [5, 4]
            assert await found(key="key-1") == [5, 3, 1]
            assert await found(provider="openai", model="chat", status=200, limit=1) == [5]
            assert await found(status=500) == []
            assert await found(since=now + 1.5, until=now + 3.5) == [3, 2]

    run(main())


def test_single_request_has_the_reasons_of_its_routing(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            one = plane.write(1, variant="trial", tags={"env": "dev"}, session="s-1")
            await plane.ingest()
            response = await plane.data(f"/api/v1/requests/{one}")
            assert response["verdicts"] == ["groq/llama: is excluded by the key"]
            (attempt,) = response["attempts"]
            assert (attempt["provider"], attempt["key"], attempt["outcome"]) == ("openai", "default", "ok")
            assert (response["cost_nano"], response["cost_usd"]) == (70, "0.000000070")
            assert (response["strategy"], response["variant"], response["tags"]) == (
                "priority",
                "trial",
                {"env": "dev"},
            )
            assert (response["team"], response["session"]) == ("research", "s-1")

    run(main())


def test_unknown_request_is_not_found(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            answer = await plane.get("/api/v1/requests/00000000-0000")
            assert answer.status_code == 404
            assert answer.json()["code"] == "not_found"
            assert (await plane.get("/api/v1/requests/" + "x" * 65)).status_code == 422

    run(main())


def test_attempts_whose_worker_died_are_listed(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            now = time.time()
            plane.writer.intent(scope(), request_id(1, now), 1, now, 1000, 100)
            plane.writer.request(record(request_id(2, now), now))
            plane.writer.close()
            await plane.ingest()
            (lost,) = await plane.data("/api/v1/unsettled")
            assert lost["attempt_id"] == f"{request_id(1, now)}-1"
            assert (lost["cost_nano"], lost["cost_usd"], lost["tokens"]) == (1000, "0.000001000", 100)
            response = await plane.data(f"/api/v1/requests/{request_id(1, now)}")
            assert (response["status"], response["code"]) == (0, "worker_died")
            assert [row["request_id"] for row in await plane.data("/api/v1/requests", status=0)] == [request_id(1, now)]

    run(main())


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"limit": 0}, "limit"), ({"limit": 1001}, "limit"), ({"limit": "many"}, "limit"), ({"status": 1000}, "status"),
        ({"status": "ok"}, "status"), ({"after": "x" * 65}, "after"), ({"user": "me"}, "user"),
        ({"since": 5, "until": 4}, "until"),
    ],
)  # fmt: skip
def test_error_names_the_invalid_parameter(parameters: dict[str, Any], field: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            answer = await plane.get("/api/v1/requests", **parameters)
            assert answer.status_code == 422
            assert answer.json()["detail"].startswith(f"{field}: ")

    run(main())


def test_request_is_found_by_the_clients_id(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            for number in range(3):
                plane.write(number, client_request_id=f"theirs-{number}")
            await plane.ingest()
            (found,) = await plane.data("/api/v1/requests", client_request_id="theirs-1")
            assert found["client_request_id"] == "theirs-1"
            assert await plane.data("/api/v1/requests", client_request_id="theirs") == []

    run(main())


def test_unknown_name_is_an_error(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            plane.write(1, model="made/up")
            await plane.ingest()
            for name in ("key", "provider", "model"):
                answer = await plane.get("/api/v1/requests", **{name: "nobody"})
                assert answer.status_code == 404, name
                assert "'nobody'" in answer.json()["detail"]
            assert len(await plane.data("/api/v1/requests", model="made/up")) == 1
            assert await plane.data("/api/v1/requests", model="gpt-4o-mini") == []
            assert await plane.data("/api/v1/requests", model="made/up", status=500) == []

    run(main())


def test_response_has_every_field_of_the_record(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            one = plane.write(1, client="198.51.100.7", client_retries="2")
            await plane.ingest()
            response = await plane.data(f"/api/v1/requests/{one}")
            assert (response["client"], response["client_retries"]) == ("198.51.100.7", "2")
            assert response.keys() > set(RequestRecord.__struct_fields__)
            assert response["attempts"][0].keys() == {"attempt_id", *AttemptRecord.__struct_fields__}

    run(main())


def test_every_filter_chooses_its_requests(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            now = time.time()
            facts: list[dict[str, Any]] = [
                {"team": "red"}, {"customer": "acme"}, {"session": "s-1"}, {"tags": {"env": "dev"}},
                {"nano": 2_000_000}, {"duration_us": 3_000_000},
                {"status": 429, "code": "rate_limited"}, {"status": 500, "code": "broken"},
            ]  # fmt: skip
            ids = [plane.write(number, now + number, **fact) for number, fact in enumerate(facts)]
            await plane.ingest()

            async def found(**parameters: Any) -> list[int]:
                return [ids.index(row["request_id"]) for row in await plane.data("/api/v1/requests", **parameters)]

            assert await found(session="s-1") == [2]
            assert await found(tag="env=dev") == [3]
            assert await found(min_cost_usd="0.002") == [4]
            assert await found(min_cost_usd="0.002000001") == []
            assert await found(max_cost_usd="0.001", session="s-1") == [2]
            assert await found(min_duration_s=3) == [5]
            assert await found(min_duration_s=1, max_duration_s=2.9) == []
            assert await found(error=True) == [7, 6]
            assert await found(code="rate_limited") == [6]
            answer = await plane.get("/api/v1/requests", team="blue")
            assert answer.status_code == 404

    run(main())


def test_followed_requests_come_once_each_in_the_order_of_their_storage(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            now = time.time()
            plane.write(5, now)
            await plane.ingest()
            start = await plane.data("/api/v1/requests/follow")
            assert start["rows"] == []
            later = plane.write(9, now + 9)
            await plane.ingest()
            earlier = [plane.write(number, now - number, status=429) for number in (1, 2)]
            await plane.ingest()

            async def after(position: int, **parameters: Any) -> tuple[list[str], int]:
                found = await plane.data("/api/v1/requests/follow", stored_after=position, **parameters)
                return [row["request_id"] for row in found["rows"]], found["position"]

            rows, position = await after(start["position"])
            assert rows == [later, *earlier]
            assert await after(position) == ([], position)
            assert await after(start["position"], status=429) == (earlier, position)
            one, between = await after(start["position"], limit=1)
            assert (one, await after(between)) == ([later], (earlier, position))

    run(main())


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_export_holds_all_requests_in_pages(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pointsman.admin.api.requests.EXPORTED_AT_ONCE", 3)

    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            now = time.time()
            odd: dict[str, Any] = {
                "message": '=cmd, "x"\nsecond',
                "code": "broken",
                "status": 500,
                "tags": {"env": "dev"},
            }
            ids = [plane.write(number, now + number, **(odd if number == 4 else {})) for number in range(8)]
            await plane.ingest()

            async def exported(**parameters: Any) -> list[dict[str, Any]]:
                answer = await plane.get("/api/v1/requests/export", format=form, **parameters)
                assert answer.status_code == 200
                if form == "jsonl":
                    return [json.loads(line) for line in answer.text.splitlines()]
                return list(csv.DictReader(io.StringIO(answer.text, newline="")))

            rows = await exported()
            assert [row["request_id"] for row in rows] == ids[::-1]
            assert rows[3]["message"].removeprefix("'") == odd["message"]
            assert rows[3]["message"].startswith("'") == (form == "csv"), "no spreadsheet evaluates it"
            assert rows[3]["tags"] == ("env=dev" if form == "csv" else {"env": "dev"})
            assert [row["request_id"] for row in await exported(error=True)] == [ids[4]]
            assert [row["request_id"] for row in await exported(limit=4)] == ids[:3:-1]
            assert [row["request_id"] for row in await exported(limit=4, before=ids[4])] == ids[3::-1]

    run(main())
