"""A browser for tests: Chromium, if it is installed."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright, expect

from fakes.clock import PATIENCE_S

VARIABLE = "POINTSMAN_TEST_CHROMIUM"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Start Chromium, or skip the test if it is missing."""
    path = os.environ.get(VARIABLE) or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip(f"no Chromium: neither {VARIABLE} nor PATH has one (`apt-get install chromium`)")
    expect.set_options(timeout=PATIENCE_S * 1000)
    async with async_playwright() as tools:
        started: Any = await tools.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield started
        finally:
            await started.close()
