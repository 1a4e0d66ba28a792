"""The check of the clock."""

from email.utils import formatdate
from pathlib import Path
from time import time

import pytest

from fakes.examined import CONFIG, subject
from fakes.origin import Peer, run, serving
from pointsman.doctor.api import Finding
from pointsman.doctor.clock import check


@pytest.mark.parametrize(("ahead_s", "level"), [(0, "ok"), (30, "warning"), (-300, "error"), (None, "skipped")])
def test_difference_from_the_provider(ahead_s: float | None, level: str, tmp_path: Path) -> None:
    async def main() -> Finding:
        async def script(peer: Peer) -> None:
            date = f"Date: {formatdate(time() - ahead_s, usegmt=True)}\r\n" if ahead_s is not None else ""
            await peer.answer(f"HTTP/1.1 404 Not Found\r\n{date}Content-Length: 0\r\n\r\n".encode())

        async with serving(script) as fake:
            entry = f"{{type: openai-compatible, base_url: '{fake.origin}/v1', keys: {{k: env.OPENAI_API_KEY}}}}"
            (found,) = await check(
                subject(tmp_path, CONFIG.replace("{openai: env.OPENAI_API_KEY}", f"{{here: {entry}}}"))
            )
            return found

    assert run(main()).level == level
