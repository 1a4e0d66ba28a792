"""Questions that control answers with its store. `tests/unit/engine/test_questions.py` has the others."""

import time
from pathlib import Path

from fakes.control import control_plane, request_id, scope
from integration.gateway import run
from pointsman.domain.batches import BatchWork, ModelWork, encode_work
from pointsman.domain.state import MADE
from pointsman.journal.records import StateRecord
from unit.admin.api.test_explain import explained


def test_cost_of_a_batch_is_explained_by_the_lines_of_its_file(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            of, now = scope(model=""), time.time()
            model = ModelWork("gpt-4o-mini", lines=2, tokens_in=1000, tokens_out=1000)
            work = BatchWork(endpoint="/v1/chat/completions", models=(model,), names=("openai/gpt-4o-mini",))
            name = request_id(1, now)
            plane.writer.store(
                of,
                StateRecord(of.number, name, now, "default", ((MADE, "file", "f-1"),), note=encode_work(work)),
            )
            await plane.ingest()
            body = {"input_file_id": "f-1", "endpoint": work.endpoint, "completion_window": "24h"}
            found = (await explained(plane, key="me", path="/v1/batches", body=body)).json()
            assert [one["provider"] for one in found["attempts"]] == ["openai"], found
            assert found["attempts"][0]["most_nano"] > 0
            other = (await explained(plane, key="me", path="/v1/batches", body={**body, "endpoint": "/v1/x"})).json()
            assert "not for '/v1/x'" in str(other)

    run(main())
