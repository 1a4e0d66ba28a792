"""GET /api/v1/requests/{id}/bodies: bodies that are kept."""

from pathlib import Path

import msgspec

from fakes.control import control_plane
from integration.gateway import run
from pointsman.control.store.bodies import add_bodies
from pointsman.domain.bodies import KeptBodies


def test_bodies_of_a_request_are_shown_if_they_are_kept(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            name = plane.write(1)
            await plane.ingest()
            answer = await plane.get(f"/api/v1/requests/{name}/bodies")
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
            kept = KeptBodies(request_id=name, at=1.7e9, request='{"a":1}', cut=("answer",))
            store = plane.inquiry_handler.parts.ingest.store
            assert store is not None
            await add_bodies(store, [{"request_id": name, "bodies": msgspec.json.encode(kept)}])
            assert await plane.data(f"/api/v1/requests/{name}/bodies") == {
                "request_id": name,
                "at": 1.7e9,
                "request": '{"a":1}',
                "cut": ["answer"],
            }

    run(main())
