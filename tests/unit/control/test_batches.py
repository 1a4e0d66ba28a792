"""Following open batches at their providers. `tests/integration/test_batches.py` has whole batches."""

import json
import time
from pathlib import Path
from typing import Any

from fakes.batches import MOST, write_batch
from fakes.control import record, request_id, scope
from fakes.ingestion import Ingestion, journal_writer
from fakes.origin import Peer, run, serving
from fakes.routing import provider_key
from pointsman.control.batches import LOST_S, BatchFollower
from pointsman.domain.operations import OPERATIONS
from pointsman.domain.origin import Origin
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Endpoint
from unit.control.test_listing import answer

OUTPUT = {
    "response": {"status_code": 200, "body": {"model": "gpt-4o", "usage": {"prompt_tokens": 4, "completion_tokens": 6}}}
}


def follower(ingestion: Ingestion, origin: Origin, key: str = "only") -> BatchFollower:
    found = Endpoint(
        name="openai",
        type="openai",
        origin=origin,
        base_path="/v1",
        keys=(provider_key(key),),
        operations=frozenset(OPERATIONS),
    )
    snapshot = Snapshot(digest="", endpoints={"openai": found}, models={}, virtual_keys={})
    return BatchFollower(ingestion.ingest, lambda: snapshot, lambda: 0.5)


async def open_count(ingestion: Ingestion) -> int:
    assert ingestion.ingest.store is not None
    return len(await ingestion.ingest.store.batches())


def test_ended_batch_is_settled_from_its_output(tmp_path: Path) -> None:
    async def main() -> None:
        ingestion, writer, name = Ingestion(tmp_path), journal_writer(tmp_path), request_id(1, time.time())
        write_batch(writer, scope(model=""), name)
        writer.request(record(name, time.time(), cost_nano=0))
        await ingestion.read()
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
            await following.step()
            assert (await open_count(ingestion), ingestion.posted) == (1, MOST.nano)
            await following.step()
            assert asked == [b"batch"], "it is not due again"
            status = "completed"
            following._due.clear()
            await following.step()
            assert asked == [b"batch", b"batch", b"file"]
            assert (await open_count(ingestion), ingestion.posted) == (0, 2 + 6)
        writer.close()
        await ingestion.ingest.finish(0.0)

    run(main())


def test_batch_that_is_not_listed_is_settled_at_nothing_after_a_while(tmp_path: Path) -> None:
    async def main() -> None:
        ingestion, writer = Ingestion(tmp_path), journal_writer(tmp_path)
        name = request_id(1, time.time())
        write_batch(writer, scope(model=""), name, is_answered=False, at=time.time() - LOST_S - 1)
        writer.close()
        await ingestion.read()

        async def script(peer: Peer) -> None:
            page = {"data": [{"id": "x", "metadata": {"pointsman_attempt": "another"}}], "has_more": False}
            await peer.answer(answer(json.dumps(page).encode()))

        async with serving(script) as fake:
            assert ingestion.posted == MOST.nano
            await follower(ingestion, fake.origin).step()
            assert (await open_count(ingestion), ingestion.posted) == (0, 0)
        await ingestion.ingest.finish(0.0)

    run(main())


def test_batch_without_its_key_stays_open(tmp_path: Path) -> None:
    async def main() -> None:
        ingestion, writer = Ingestion(tmp_path), journal_writer(tmp_path)
        write_batch(writer, scope(model=""), request_id(1, time.time()))
        await ingestion.read()
        await follower(ingestion, Origin("http", "127.0.0.1", 9), key="another").step()
        assert (await open_count(ingestion), ingestion.posted) == (1, MOST.nano)
        writer.close()
        await ingestion.ingest.finish(0.0)

    run(main())
