"""GET /api/v1/usage: sums by every dimension, pages, CSV, and invalid parameters."""

import asyncio
import csv
import gc
import io
import time
from pathlib import Path
from typing import Any

import pytest

from fakes.control import control_plane, request_id, scope, write_estimated
from fakes.lag import LongestTurn
from integration.gateway import run

HOUR = 3600


def ask_all(folder: Path, *queries: tuple[dict[str, Any], Any]) -> None:
    """Write three requests of two keys, hours and a day apart. Then compare the rows of each query."""

    async def main() -> None:
        async with control_plane(folder) as plane:
            day = int(time.time() // 86_400) * 86_400 - 86_400
            you = scope(2, virtual_key="you", team=None, customer=None, provider="groq", model="llama", variant="trial")
            plane.write(1, day + HOUR, nano=70, tags={"env": "dev"})
            served = {"provider": "groq", "upstream_model": "llama", "variant": "trial", "team": None}
            plane.write(2, day + HOUR + 1, you, nano=5, tags={"env": "dev"}, **served)
            plane.write(3, day - HOUR, nano=100, tags={"env": "prod"})
            await plane.ingest()
            for parameters, expected in queries:
                shifted = {
                    name: day + value if name in ("since", "until") else value for name, value in parameters.items()
                }
                rows = (await plane.data("/api/v1/usage", **shifted))["rows"]
                by = [name for one in parameters.get("group_by", []) for name in one.split(",")]
                found = [(*(row.get(name) for name in by), row["cost_nano"]) for row in rows]
                assert found == [tuple(v(day) if callable(v) else v for v in row) for row in expected], parameters

    run(main())


def test_usage_is_summed_by_every_dimension(tmp_path: Path) -> None:
    ask_all(
        tmp_path,
        ({}, [(175,)]),
        ({"group_by": ["key"]}, [("me", 170), ("you", 5)]),
        ({"group_by": ["team"]}, [("", 5), ("research", 170)]),
        ({"group_by": ["customer"]}, [("", 5), ("acme", 170)]),
        ({"group_by": ["provider"]}, [("groq", 5), ("openai", 170)]),
        ({"group_by": ["model"]}, [("gpt-4o", 170), ("llama", 5)]),
        ({"group_by": ["variant"]}, [("", 170), ("trial", 5)]),
        ({"group_by": ["tag"]}, [("env=dev", 75), ("env=prod", 100)]),
        ({"group_by": ["day"]}, [(lambda day: day - 86_400, 100), (lambda day: day, 75)]),
        ({"group_by": ["hour"], "key": "me"}, [(lambda day: day - HOUR, 100), (lambda day: day + HOUR, 70)]),
        ({"group_by": ["key", "model"]}, [("me", "gpt-4o", 170), ("you", "llama", 5)]),
        ({"group_by": ["key,model"]}, [("me", "gpt-4o", 170), ("you", "llama", 5)]),
        ({"group_by": ["tag", "day"], "tag": "env=dev"}, [("env=dev", lambda day: day, 75)]),
        ({"group_by": ["tag", "key"]}, [("env=dev", "me", 70), ("env=dev", "you", 5), ("env=prod", "me", 100)]),
        ({"group_by": ["tag"], "team": "research"}, [("env=dev", 70), ("env=prod", 100)]),
        ({"group_by": ["provider", "model"], "tag": "env=dev"}, [("groq", "llama", 5), ("openai", "gpt-4o", 70)]),
        ({"group_by": ["tag"], "variant": "trial"}, [("env=dev", 5)]),
        ({"team": "research", "since": 0}, [(70,)]),
        ({"since": 0, "until": HOUR}, []),
    )


def test_money_is_exact_and_also_in_dollars(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            plane.write(1, nano=123_456_789_012_345_678)
            await plane.ingest()
            (row,) = (await plane.data("/api/v1/usage", group_by=["key"]))["rows"]
            assert row["cost_nano"] == 123_456_789_012_345_678
            assert row["cost_usd"] == "123456789.012345678"
            assert (row["attempts"], row["failures"], row["tokens_in"], row["tokens_out"]) == (1, 0, 10, 5)

    run(main())


def test_rows_are_paged(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            for number in range(7):
                plane.write(number, of=scope(number, virtual_key=f"key-{number}"))
            await plane.ingest()
            keys: list[str] = []
            while True:
                page = await plane.data("/api/v1/usage", group_by=["key"], limit=3, offset=len(keys))
                keys += [row["key"] for row in page["rows"]]
                if not page["more"]:
                    break
            assert keys == [f"key-{number}" for number in range(7)]

    run(main())


def test_csv_contains_no_formulas(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            plane.write(1, of=scope(virtual_key="=HYPERLINK(1)"))
            await plane.ingest()
            answer = await plane.get("/api/v1/usage", group_by=["key"], format="csv")
            assert answer.headers["content-type"].startswith("text/csv")
            (row,) = csv.DictReader(io.StringIO(answer.text))
            assert row["key"] == "'=HYPERLINK(1)"
            assert row["cost_nano"] == "70"

    run(main())


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"group_by": ["colour"]}, "group_by"),
        ({"group_by": "key,colour"}, "group_by"),
        ({"group_by": ""}, "group_by"),
        ({"since": "yesterday"}, "since"),
        ({"since": "nan"}, "since"),
        ({"since": -5}, "since"),
        ({"since": 20, "until": 10}, "until"),
        ({"limit": 0}, "limit"),
        ({"limit": 100_000}, "limit"),
        ({"offset": -1}, "offset"),
        ({"format": "xml"}, "format"),
        ({"keys": "me"}, "keys: unknown parameter"),
        ({"key": "x" * 400}, "key"),
    ],
)
def test_error_names_the_invalid_parameter(parameters: dict[str, Any], field: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            answer = await plane.get("/api/v1/usage", **parameters)
            assert answer.status_code == 422
            assert answer.json()["detail"].startswith(field)

    run(main())


def test_long_list_does_not_delay_leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread encodes it beside the loop that answers workers."""
    count, turn = 10_000, LongestTurn()
    sums = {"attempts": 2, "failures": 0, "tokens_in": 3, "tokens_out": 4, "tokens_cached": 0, "tokens_reasoning": 0}
    used = {
        **sums,
        "requests": 1,
        "reserved_nano": 0,
        "estimated_nano": 0,
        "held_nano": 0,
        "unpriced": 0,
        "nano": 1_500_000_000,
    }
    lost = {"at": 1.0, "virtual_key": "k", "provider": "p", "model": "m", "nano": 7, "tokens": 1}
    lost |= {"source": "reserved", "held_nano": 0, "state": "open", "until": 2}

    async def many_used(*_: object, **__: object) -> list[dict[str, Any]]:
        return [{"virtual_key": f"key-{number}", **used} for number in range(count)]

    async def many_lost(*_: object) -> list[dict[str, Any]]:
        return [{"attempt_id": f"a-{number}", **lost} for number in range(count)]

    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            monkeypatch.setattr(plane.services.store, "sums", many_used)
            monkeypatch.setattr(plane.services.store, "unsettled", many_lost)
            for path in ("/api/v1/usage", "/api/v1/unsettled"):  # the first request to a route also prepares it
                await plane.get(path, limit=1)
            watching = asyncio.create_task(turn.watch())
            await asyncio.sleep(0.01)
            began = time.process_time()
            answer = await plane.get("/api/v1/usage", group_by="key", limit=count)
            rows = await plane.get("/api/v1/unsettled", limit=count)
            took_s = time.process_time() - began
            watching.cancel()
        assert len(answer.json()["rows"]) == len(rows.json()) == count
        assert answer.json()["rows"][0]["cost_usd"] == "1.500000000"
        assert turn.longest_s < took_s / 3, "most of the work is done by another thread"

    gc.disable()  # it would look at everything that the tests before have left
    try:
        run(main())
    finally:
        gc.enable()


def test_unknown_name_is_an_error_and_an_unused_one_is_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            plane.write(1, time.time() - 86_400 * 90, scope(2, virtual_key="gone", variant="old"))
            await plane.ingest()
            for name in ("key", "team", "customer", "provider", "model", "variant", "tag"):
                answer = await plane.get("/api/v1/usage", group_by="key", **{name: "nobody"})
                assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), name
                assert "'nobody'" in answer.json()["detail"]
            for known in ({"key": "me"}, {"team": "research"}, {"provider": "openai"}, {"model": "gpt-4o-mini"}):
                assert (await plane.data("/api/v1/usage", **known))["rows"] == [], "the name is in the configuration"
            for known in ({"key": "gone"}, {"customer": "acme"}, {"variant": "old"}):
                assert (await plane.data("/api/v1/usage", **known))["rows"] == [], "the name was used once"

    run(main())


def test_total_equals_the_spending_or_is_absent(tmp_path: Path) -> None:
    """This holds for every grouping and page size."""
    by = ("key", "team", "customer", "provider", "model", "variant", "hour", "day")

    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            plane.write(1, nano=70, tags={"env": "dev", "app": "chat"})
            plane.write(2, of=scope(2, virtual_key="you"), nano=5, tags={"env": "dev"})
            plane.write(3, nano=1000)
            await plane.ingest()
            for groups in ([], *([one] for one in by), ["key", "day"], list(by)):
                found = await plane.data("/api/v1/usage", group_by=groups, limit=1)
                assert found["total"]["cost_nano"] == 1075, groups
                assert found["total"]["attempts"] == 3
            assert "total" not in await plane.data("/api/v1/usage", group_by=["tag"])
            assert "total" not in await plane.data("/api/v1/usage", group_by=["tag", "key"])
            found = await plane.data("/api/v1/usage", group_by=["tag", "key"], tag="env=dev", limit=1)
            assert (found["total"]["cost_nano"], found["total"]["requests"]) == (75, 2)
            found = await plane.data("/api/v1/usage", group_by=["key"], key="you")
            assert found["total"]["cost_nano"] == 5

    run(main())


def test_unreported_costs_are_listed_separately(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            now = time.time()
            plane.write(1, now, nano=5)
            write_estimated(plane.writer, 2, now, scope(), 70, 1000)
            plane.writer.intent(scope(), request_id(3, now), 1, now, 400, 10)
            plane.writer.close()
            await plane.ingest()
            total = (await plane.data("/api/v1/usage", group_by="key"))["total"]
            assert total["cost_nano"] == 475
            assert (total["estimated_nano"], total["reserved_nano"], total["held_nano"]) == (70, 400, 930)
            (tag,) = (await plane.data("/api/v1/usage", group_by="tag"))["rows"]
            assert (tag["cost_nano"], tag["estimated_nano"]) == (70, 70)
            listed = await plane.data("/api/v1/requests")
            assert [(one["estimated_nano"], one["reserved_nano"]) for one in listed] == [(0, 400), (70, 0), (0, 0)]

    run(main())
