"""Aborted canaries are counted over the pages of workers."""

from pathlib import Path

import pytest

from fakes.control import services_in
from integration.gateway import run
from pointsman.admin.canaries import METRIC, AbortedCanary, aborted_canaries
from pointsman.control.inquiries.pages import WorkerPage
from pointsman.telemetry.metrics import MetricsPage, encode_page, gauge


def page(*rows: tuple[str, ...]) -> bytes:
    labels = ("public_model", "variant", "provider", "model")
    return encode_page(MetricsPage([], [], [gauge(METRIC, "d", [(row, 1) for row in rows], labels)]))


def test_workers_that_aborted_a_canary_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = ("chat", "trial", "groq", "llama"), ("quick", "", "openai", "gpt-4o")
    pages = [page(one, other), page(one), page(), b"of another version"]
    services = services_in(tmp_path)

    async def ask(*_: object) -> list[WorkerPage]:
        return [WorkerPage(number, text) for number, text in enumerate(pages)]

    monkeypatch.setattr(services.control, "ask", ask)

    async def main() -> None:
        assert await aborted_canaries(services) == [
            AbortedCanary("chat", "trial", "groq/llama", 2),
            AbortedCanary("quick", "", "openai/gpt-4o", 1),
        ]
        await services.store.close()

    run(main())
