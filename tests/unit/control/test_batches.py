"""Following open batches at their providers. `tests/integration/test_batches.py` has whole batches."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.batches import MOST, write_batch
from fakes.control import record, request_id, scope
from fakes.ingestion import ALL, Ingestion, journal_writer
from fakes.origin import Peer, run, serving
from fakes.routing import provider_key
from pointsman.control.batches import GIVE_UP_S, LOST_S, BatchFollower
from pointsman.domain.operations import OPERATIONS
from pointsman.domain.origin import Origin
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Endpoint
from pointsman.journal.writer import JournalWriter
from unit.control.test_listing import answer

OUTPUT = {
    "response": {"status_code": 200, "body": {"model": "gpt-4o", "usage": {"prompt_tokens": 4, "completion_tokens": 6}}}
}
BOTH = {"total": 2, "completed": 2, "failed": 0}


def follower(ingestion: Ingestion, *origins: Origin, key: str = "only") -> BatchFollower:
    endpoints = {
        name: Endpoint(
            name=name,
            type="openai",
            origin=origin,
            base_path="/v1",
            keys=(provider_key(key),),
            operations=frozenset(OPERATIONS),
        )
        for name, origin in zip(("openai", "other"), origins, strict=False)
    }
    snapshot = Snapshot(digest="", endpoints=endpoints, models={}, virtual_keys={})
    return BatchFollower(ingestion.ingest, lambda: snapshot, lambda: 0.5)


async def step(following: BatchFollower) -> None:
    """Ask about the batches that are due, and wait for the answers."""
    await following.step()
    await following.finish()


async def rows_of(ingestion: Ingestion) -> list[dict[str, Any]]:
    assert ingestion.ingest.store is not None
    return await ingestion.ingest.store.batches()


async def hurry(ingestion: Ingestion, **values: Any) -> None:
    """Let every open batch be due now."""
    assert ingestion.ingest.store is not None
    for row in await rows_of(ingestion):
        await ingestion.ingest.store.note_batch(row["attempt_id"], due_at=0.0, **values)


def play(
    tmp_path: Path,
    scene: Callable[[Ingestion, JournalWriter, str], Awaitable[None]],
    *,
    is_answered: bool = True,
    at: float | None = None,
) -> None:
    """Run a scene after one batch was requested."""

    async def main() -> None:
        ingestion, writer, name = Ingestion(tmp_path), journal_writer(tmp_path), request_id(1, at or time.time())
        write_batch(writer, scope(model=""), name, is_answered=is_answered, at=at)
        if is_answered:
            writer.request(record(name, at or time.time(), cost_nano=0))
        else:
            writer.close()  # as if the worker had died
        await ingestion.read()
        await scene(ingestion, writer, name)
        if is_answered:
            writer.close()
        await ingestion.ingest.finish(0.0)

    run(main())


def test_ended_batch_is_settled_from_its_output(tmp_path: Path) -> None:
    async def scene(ingestion: Ingestion, writer: JournalWriter, name: str) -> None:
        asked: list[bytes] = []
        status = "in_progress"

        async def script(peer: Peer) -> None:
            body: Any = {"id": f"b-{name}", "status": status, "output_file_id": "f"}
            if status != "in_progress" and asked.count(b"batch") == 2:
                body = OUTPUT
            asked.append(b"batch" if body is not OUTPUT else b"file")
            await peer.answer(answer(json.dumps(body).encode()))

        async with serving(script) as fake:
            following = follower(ingestion, fake.origin)
            await step(following)
            [row] = await rows_of(ingestion)
            assert (row["status"], row["problem"], ingestion.posted) == ("in_progress", "", MOST.nano)
            assert row["at"] < row["checked_at"] < row["due_at"]
            await step(following)
            assert asked == [b"batch"], "it is not due again"
            status = "completed"
            await hurry(ingestion)
            await step(following)
            assert asked == [b"batch", b"batch", b"file"]
            assert (len(await rows_of(ingestion)), ingestion.posted) == (0, 2 + 6)

    play(tmp_path, scene)


async def ended(
    ingestion: Ingestion, name: str, output: bytes | None, http_status: bytes = b"200 OK", **fields: Any
) -> list[dict[str, Any]]:
    """Ask about a batch that has ended like this. Return the batches that are open afterwards."""

    async def script(peer: Peer) -> None:
        await peer.request()
        if b"/content" in peer.received:
            peer.send(answer(output or b"", http_status))
        else:
            body = {"id": f"b-{name}", "status": "completed", "output_file_id": "f" if output is not None else None}
            peer.send(answer(json.dumps({**body, **fields}).encode()))

    async with serving(script) as fake:
        await hurry(ingestion)
        await step(follower(ingestion, fake.origin))
    return await rows_of(ingestion)


GOOD = json.dumps(OUTPUT).encode() + b"\n"


UNEXPECTED: list[tuple[bytes | None, dict[str, Any], str]] = [
    (None, {"request_counts": BOTH}, "names no output file, but 2 lines are completed"),
    (None, {}, "neither an output file nor the number"),
    (GOOD, {"request_counts": BOTH}, "has 1 answers, but 2 lines"),
    (b"", {}, "is empty, and the number"),
    (b"", {"request_counts": BOTH}, "has 0 answers, but 2 lines"),
    (b"{}\n", {}, "not an answer"),
    (b'{"response": {"body": {}}}\n', {}, "not an answer"),
    (b'{"response": null, "error": null}\n', {}, "not an answer"),
    (None, {"status": "done\0"}, r"status 'done\x00' is unknown"),
    (None, {"status": None}, "not this batch"),
    (None, {"request_counts": {"completed": 0}}, "not this batch"),
]


def test_batch_whose_output_has_an_unexpected_shape_keeps_its_reservation(tmp_path: Path) -> None:
    async def scene(ingestion: Ingestion, writer: JournalWriter, name: str) -> None:
        for output, fields, problem in UNEXPECTED:
            [row] = await ended(ingestion, name, output, **fields)
            assert problem in row["problem"]
            assert ingestion.posted == MOST.nano
        assert await ended(ingestion, name, GOOD + GOOD, request_counts=BOTH) == [], "the next answer may be better"
        assert ingestion.posted == 2 * (2 + 6)

    play(tmp_path, scene)


def test_output_that_stays_unreadable_costs_the_whole_reservation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(ingestion: Ingestion, writer: JournalWriter, name: str) -> None:
        assert ingestion.ingest.store is not None
        await ingestion.ingest.lapse()  # the day of the request is over, so limits hold nothing of it any more
        assert len(await ended(ingestion, name, b"{}\n")) == 1, "control may have been away for a day"
        assert await ended(ingestion, name, b"{}\n") == []
        assert await ingestion.total() == MOST.nano
        assert "costs its whole reservation: a line of the output file is not an answer" in caplog.text

    play(tmp_path, scene, at=time.time() - 40 * GIVE_UP_S)


def test_lost_output_costs_the_whole_reservation_after_its_window_too(tmp_path: Path) -> None:
    async def scene(ingestion: Ingestion, writer: JournalWriter, name: str) -> None:
        await ingestion.ingest.lapse()
        assert await ended(ingestion, name, b"", b"404 Not Found") == []
        assert await ingestion.total() == MOST.nano

    play(tmp_path, scene, at=time.time() - 40 * 86_400)


@pytest.mark.parametrize("output", [None, b""])  # some providers name a file without lines
def test_failed_lines_are_counted_at_no_cost(tmp_path: Path, output: bytes | None) -> None:
    async def scene(ingestion: Ingestion, writer: JournalWriter, name: str) -> None:
        assert ingestion.ingest.store is not None
        counts = {"total": 2, "completed": 0, "failed": 2}
        assert await ended(ingestion, name, output, request_counts=counts) == []
        [row] = [one for one in await ingestion.ingest.store.usage(["model"], {}, ALL) if one["model"] == "gpt-4o"]
        assert (row["attempts"], row["failures"], row["nano"], ingestion.posted) == (2, 2, 0, 0)

    play(tmp_path, scene)


def test_batch_that_two_lists_lack_was_never_made(tmp_path: Path) -> None:
    async def scene(ingestion: Ingestion, writer: JournalWriter, name: str) -> None:
        page: dict[str, Any] = {}

        async def script(peer: Peer) -> None:
            await peer.answer(answer(json.dumps(page).encode()))

        async with serving(script) as fake:
            following = follower(ingestion, fake.origin)
            await step(following)
            [row] = await rows_of(ingestion)
            assert row["problem"] == "the provider's list of batches cannot be read", "it has no field 'data'"
            other = {"id": "x", "status": "completed", "metadata": {"pointsman_attempt": "another"}}
            page |= {"data": [other], "has_more": False}
            for _ in range(2):
                await hurry(ingestion)
                await step(following)
                assert (len(await rows_of(ingestion)), ingestion.posted) == (1, MOST.nano), "it may be listed late"
            following._missing[f"{name}-1"] -= LOST_S
            await hurry(ingestion)
            await step(following)
            assert (await rows_of(ingestion), ingestion.posted) == ([], 0)

    play(tmp_path, scene, is_answered=False, at=time.time() - 3600)


def test_batch_without_its_key_stays_open(tmp_path: Path) -> None:
    async def scene(ingestion: Ingestion, writer: JournalWriter, name: str) -> None:
        await step(follower(ingestion, Origin("http", "127.0.0.1", 9), key="another"))
        [row] = await rows_of(ingestion)
        assert (row["problem"], ingestion.posted) == (
            "its provider or its key is no longer in the configuration",
            MOST.nano,
        )

    play(tmp_path, scene)


def test_batch_whose_request_goes_on_is_not_asked_about(tmp_path: Path) -> None:
    async def main() -> None:
        ingestion, writer = Ingestion(tmp_path), journal_writer(tmp_path)
        write_batch(writer, scope(model=""), request_id(1, time.time()), is_answered=False)
        await ingestion.read()

        async def script(peer: Peer) -> None:
            raise AssertionError

        async with serving(script) as fake:
            await step(follower(ingestion, fake.origin))
            assert not fake.peers
        [row] = await rows_of(ingestion)
        assert (row["problem"], row["checked_at"]) == ("", 0.0)
        assert row["due_at"] > time.time()
        writer.close()
        await ingestion.ingest.finish(0.0)

    run(main())


def test_cost_that_an_operator_set_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(ingestion: Ingestion, writer: JournalWriter, name: str) -> None:
        caplog.set_level(logging.INFO)
        assert await ingestion.ingest.reconcile({f"{name}-1": 99}) == {}
        await step(follower(ingestion))
        assert (await rows_of(ingestion), ingestion.posted) == ([], 99)
        assert f"batch b-{name} at openai: an operator set its cost, 0.000000099 dollars" in caplog.text

    play(tmp_path, scene)


def test_slow_provider_and_faulty_batch_stop_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        ingestion, writer = Ingestion(tmp_path), journal_writer(tmp_path)
        names = [request_id(number, time.time()) for number in range(3)]
        write_batch(writer, scope(provider="other", model="", number=1), names[0])
        for name in names[1:]:
            write_batch(writer, scope(model="", number=2), name)
        await ingestion.read()
        silent = asyncio.Event()

        async def slow(peer: Peer) -> None:
            await silent.wait()

        async def script(peer: Peer) -> None:
            await peer.request()
            name = peer.received.split(b" ")[1].rpartition(b"/")[2].decode()
            peer.send(answer(json.dumps({"id": name, "status": "in_progress"}).encode()))

        async with serving(script) as fake, serving(slow) as other:
            following = follower(ingestion, fake.origin, other.origin)
            follow, seen = following._follow, list[str]()

            async def broken(store: Any, row: Any) -> dict[str, Any]:
                seen.append(row["batch_id"])
                if row["batch_id"] == f"b-{names[1]}":
                    raise RuntimeError("a defect")
                return await follow(store, row)

            monkeypatch.setattr(following, "_follow", broken)
            for turn in (1, 2):
                await hurry(ingestion)
                await following.step()
                async with asyncio.timeout(10.0):
                    while seen.count(f"b-{names[2]}") < turn or len(following._tasks) > 1:
                        await asyncio.sleep(0.01)
            found = {row["batch_id"]: row for row in await rows_of(ingestion)}
            assert found[f"b-{names[1]}"]["problem"] == "an internal error: RuntimeError: a defect"
            assert seen.count(f"b-{names[0]}") == 1, "it is still being asked"
            silent.set()
            await following.finish()
        writer.close()
        await ingestion.ingest.finish(0.0)

    run(main())
