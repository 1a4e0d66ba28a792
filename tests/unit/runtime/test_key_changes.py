"""A worker serves no later request under the earlier state of a key."""

import os
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path

from msgspec.structs import replace

from fakes.configuration import ENVIRON, accept
from integration.client import Client
from integration.gateway import run
from pointsman.config.live_keys import LiveKeys, LiveRow, generation_of, open_for_writing
from pointsman.config.live_policies import PolicyCompiler
from pointsman.config.snapshot_file import read_snapshot
from pointsman.runtime.key_changes import KeyChanges
from pointsman.runtime.worker import Worker

CONFIG = """\
data_dir: {folder}
server: {{listen: "127.0.0.1:0"}}
providers: {{openai: env.OPENAI_API_KEY}}
governance: {{virtual_keys: {{me: {{value: env.CLIENT_KEY}}}}}}
"""
VALUE = "pm-a-key-made-by-api"
ROW = LiveRow(sha256(VALUE.encode()).digest(), "app", 1)


def in_worker(
    folder: Path, check: Callable[[LiveKeys, KeyChanges, Callable[[], Awaitable[int]]], Awaitable[None]]
) -> None:
    async def main() -> None:
        live = open_for_writing(folder)
        accepted = accept(folder / "snapshot", CONFIG.format(folder=folder))
        number = live.number_of("{}")
        key, _ = PolicyCompiler(accepted, ENVIRON).compile("{}")
        live.keep_compiled(generation_of(accepted.snapshot.digest), {number: key})
        live.write([replace(ROW, policy=number)])
        taken = read_snapshot(folder / "snapshot", ENVIRON)
        log = os.open(os.devnull, os.O_WRONLY)
        worker = Worker(taken.snapshot, taken.settings, log)
        await worker.start()
        client = await Client.connect(worker.plane.server.port)

        async def ask() -> int:
            answer = await client.ask(method="GET", path="/v1/models", headers={"authorization": f"Bearer {VALUE}"})
            return answer.status

        try:
            await check(live, KeyChanges(worker.plane, lambda _: None), ask)
        finally:
            await client.close()
            await worker.stop()
            os.close(log)

    run(main())


def test_revoked_key_is_rejected_after_the_notice(tmp_path: Path) -> None:
    async def check(live: LiveKeys, changes: KeyChanges, ask: Callable[[], Awaitable[int]]) -> None:
        assert [await ask(), await ask()] == [200, 200]
        live.write([], ["app"])
        assert await ask() == 200  # it was admitted, and the worker looks only once a second
        changes.take([ROW.digest], ())
        assert await ask() == 401

    in_worker(tmp_path, check)


def test_revoked_key_is_rejected_without_a_notice(tmp_path: Path) -> None:
    async def check(live: LiveKeys, changes: KeyChanges, ask: Callable[[], Awaitable[int]]) -> None:
        assert await ask() == 200
        changes.look()
        assert await ask() == 200
        live.write([], ["app"])
        changes.look()
        assert await ask() == 401

    in_worker(tmp_path, check)


def test_unreadable_file_rejects_the_keys_in_it_only(tmp_path: Path) -> None:
    async def check(live: LiveKeys, changes: KeyChanges, ask: Callable[[], Awaitable[int]]) -> None:
        assert await ask() == 200
        live.close()
        for path in tmp_path.glob("api-keys.db*"):
            path.unlink()
        (tmp_path / "api-keys.db").write_bytes(b"nonsense" * 1000)
        changes.look()
        assert await ask() == 503

    in_worker(tmp_path, check)
