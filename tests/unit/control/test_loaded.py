"""The audit log says which configuration is in force, whatever happened meanwhile."""

from pathlib import Path

from fakes.control import CONFIG, ControlPlane, control_plane
from integration.gateway import run
from pointsman.control.store.audit_table import every_record
from pointsman.domain.audit import AuditRecord


async def loaded(plane: ControlPlane) -> list[AuditRecord]:
    return [one async for one in every_record(plane.services.store.rows) if one.action == "load"]


def test_changed_file_is_recorded_with_its_difference(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            (first,) = await loaded(plane)
            parts = plane.inquiry_handler.parts
            assert first.configuration == parts.configuration.digest
            (tmp_path / "pointsman.yaml").write_text(CONFIG.replace("limit_usd: 100", "limit_usd: 200"))
            await parts.configuration.reload()
            (_, second) = await loaded(plane)
            assert second.configuration == parts.configuration.digest
            assert '"field":"governance.teams.research.budgets"' in second.changes
            await parts.configuration.reload()
            assert len(await loaded(plane)) == 2, "the same file again is no other configuration"

    run(main())


def test_restart_with_another_file_is_recorded_once(tmp_path: Path) -> None:
    async def main() -> None:
        for config, count in ((CONFIG, 1), (CONFIG, 1), (CONFIG.replace("100", "300"), 2), (CONFIG, 3)):
            async with control_plane(tmp_path, config=config) as plane:
                assert len(await loaded(plane)) == count

    run(main())


def test_reload_without_the_store_is_recorded_later(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, is_read=False) as plane:
            (tmp_path / "pointsman.yaml").write_text(CONFIG.replace("limit_usd: 100", "limit_usd: 200"))
            parts = plane.inquiry_handler.parts
            await parts.configuration.reload()
            await plane.ingest()
            (found,) = await loaded(plane)
            assert found.configuration == parts.configuration.digest

    run(main())
