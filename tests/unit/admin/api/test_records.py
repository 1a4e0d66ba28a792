"""GET /api/v1/records: whole records, page by page."""

from pathlib import Path
from typing import Any

import msgspec

from fakes.control import control_plane
from integration.gateway import run
from pointsman.domain.records import RequestRecord


def test_records_are_paged_newest_first_and_whole(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            assert await plane.data("/api/v1/records") == []
            ids = [plane.write(number, rule_facts={"user": str(number)}) for number in range(5)]
            await plane.ingest()

            async def page(**parameters: Any) -> list[RequestRecord]:
                return msgspec.convert(await plane.data("/api/v1/records", **parameters), list[RequestRecord])

            newest = sorted(ids, reverse=True)
            first = await page(limit=3)
            assert [one.request_id for one in first] == newest[:3]
            assert first[0].rule_facts == {"user": str(ids.index(newest[0]))}
            assert first[0].attempts[0].provider == "openai"
            assert [one.request_id for one in await page(limit=3, before=newest[2])] == newest[3:]
            assert (await plane.get("/api/v1/records", limit=501)).status_code == 422

    run(main())
