"""Requirements of processes at their start: a writable log, and their own modules."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from integration import kills
from integration.gateway import chat, run, serving, until
from integration.governance import settings

MODULE_NAMES = (
    "multipart",
    "python_multipart",
    "alembic",
    "sqlalchemy",
    "msgspec",
    "uvloop",
    "json",
    "logging",
    "asyncio",
)


def test_other_workers_serve_while_one_cannot_start(tmp_path: Path) -> None:
    """The folder of its log is missing."""
    logs, away = tmp_path / "logs", tmp_path / "away"
    logs.mkdir()

    async def main() -> None:
        async with serving(
            providers={"alpha": settings()},
            models={"chat": ["alpha/gpt-4o-mini"]},
            server={"workers": 2},
            logging={"file": str(logs / "requests.log")},
            as_process=True,
        ) as gateway:

            async def all_answer() -> None:
                async with asyncio.timeout(gateway.within_s(10)):
                    for _ in range(40):
                        assert (await gateway.ask(chat())).status == 200
                        assert (await gateway.ask(path="/readyz", method="GET")).status == 200

            await all_answer()
            logs.rename(away)
            os.kill(gateway.children["worker 0"], signal.SIGKILL)
            await until(
                lambda: "failed to start 2 times" in "".join(gateway.stderr), "the supervisor reports two failed starts"
            )
            await all_answer()
            away.rename(logs)
            await until(lambda: "worker 0 is serving again" in "".join(gateway.stderr), "worker 0 serves again")
            await all_answer()
            os.kill(gateway.children["worker 1"], signal.SIGSTOP)  # so that some reach the other worker
            try:
                for _ in range(40):
                    client = await gateway.connect()
                    answer = await client.ask(chat(), quiet_s=1.0)
                    await client.close()
                    if answer.ended == "complete":
                        break
                assert answer.status == 200
            finally:
                os.kill(gateway.children["worker 1"], signal.SIGCONT)

    run(main())


def test_gateway_imports_no_file_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caught = tmp_path / "caught"
    for name in MODULE_NAMES:
        (tmp_path / f"{name}.py").write_text(f"import os\nos.open({str(caught)!r}, os.O_CREAT)\n")
    monkeypatch.chdir(tmp_path)

    async def main() -> None:
        async with serving(
            providers={"alpha": settings()},
            models={"chat": ["alpha/gpt-4o-mini"]},
            server={"workers": kills.WORKERS},
            as_process=True,
        ) as gateway:
            assert (await gateway.ask(chat())).status == 200
            assert (await gateway.admin("/api/v1/status")).status == 200
            await kills.upgrade(gateway)
            assert (await gateway.ask(chat())).status == 200

    run(main())
    assert not caught.exists()
