"""Only the user that runs a gateway can read its files, with any umask."""

import asyncio
import os
import stat
from pathlib import Path

from integration.gateway import chat, run, serving
from integration.governance import bearer, governance, prices, settings, usd


def exposed(folder: Path) -> dict[str, str]:
    """Return the files that others may read or write."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        mode = path.stat().st_mode
        if stat.S_IMODE(mode) & 0o077 and not stat.S_ISSOCK(mode):
            found[str(path.relative_to(folder))] = oct(mode)
    return found


def test_files_are_private_without_a_umask() -> None:
    async def main() -> None:
        before = os.umask(0)
        try:
            async with serving(
                providers={"alpha": settings()},
                models={"chat": ["alpha/gpt-4o-mini"]},
                governance=governance({"me": {"budgets": usd(10)}}),
                pricing=prices("alpha/gpt-4o-mini"),
                logging={"file": "new.log"},
                environ={"POINTSMAN_ADMIN_TOKEN": ""},
                as_process=True,
            ) as gateway:
                folder = gateway.config_file.parent
                assert (await gateway.ask(chat(), headers=bearer("me"))).status == 200
                data = folder / "data"
                async with asyncio.timeout(30):
                    while not (data / "pointsman.db-wal").exists() or not any(data.glob("journal/*/*")):
                        await asyncio.sleep(0.05)
                assert not exposed(data)
                assert stat.S_IMODE((folder / "new.log").stat().st_mode) == 0o600
                assert {path.name for path in data.iterdir()} >= {
                    "pointsman.db-shm",
                    "snapshot",
                    "journal",
                    "admin-token",
                }
        finally:
            os.umask(before)

    run(main())
