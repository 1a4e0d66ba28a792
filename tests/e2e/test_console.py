"""The console in a real browser, in front of a gateway with real traffic."""

import asyncio
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from e2e.browser import browser
from integration.gateway import ADMIN_TOKEN, Gateway, chat, serving
from integration.governance import bearer, governance, prices, settings, usd

SCREENSHOTS = "POINTSMAN_TEST_SCREENSHOTS"
KEYS: dict[str, Any] = {
    "notebook": {"team": "research", "budgets": usd("0.02", "day"), "rate_limits": [{"requests": 60, "per": "minute"}]},
    "support-bot": {"team": "product", "budgets": usd("5", "month")},
    "batch": {"budgets": usd("0.00001", "day")},
}
TEAMS = {"research": {"budgets": usd("20", "month")}, "product": {"budgets": usd("80", "month")}}


def run(main: Any) -> None:
    asyncio.run(main)


async def traffic(gateway: Gateway) -> None:
    """Send requests that are served, that fail over, and that exceed a budget."""
    for number in range(8):
        gateway.providers["flaky"].set_fault("status=500" if number % 3 == 1 else None)
        await gateway.ask(chat(stream=number % 2 == 0, max_tokens=40), headers=bearer("notebook"))
        await gateway.ask(chat("steady/sim-2", max_tokens=400), headers=bearer("support-bot"))
    assert (await gateway.ask(chat(max_tokens=4000), headers=bearer("batch"))).status == 402


async def picture(page: Page, name: str) -> None:
    folder = os.environ.get(SCREENSHOTS)
    if folder:
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_console_shows_live_traffic() -> None:
    async def main() -> None:
        sim = settings(models=("sim-1", "sim-2"), output_tokens=30.0)
        async with (
            browser() as chromium,
            serving(
                providers={"flaky": sim, "steady": sim},
                models={"chat": ["flaky/sim-1", "steady/sim-1"]},
                governance=governance(KEYS, teams=TEAMS),
                pricing=prices("flaky/*", "steady/*", output_tokens=4000),
                as_process=True,
            ) as gateway,
        ):
            page = await chromium.new_page(viewport={"width": 1280, "height": 900})
            problems: list[str] = []
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on(
                "console",
                lambda message: problems.append(message.text) if message.type in ("error", "warning") else None,
            )
            await log_in(page, gateway)
            await expect(page.get_by_text("No requests yet.")).to_be_visible()
            await traffic(gateway)
            await look(page)
            await picture(page, "light")
            await page.emulate_media(color_scheme="dark")
            await picture(page, "dark")
            await page.set_viewport_size({"width": 420, "height": 900})
            width = await page.evaluate("document.documentElement.scrollWidth")
            await picture(page, "narrow")
            assert width <= 420, "the page is wider than the screen of a telephone"
            await page.set_viewport_size({"width": 1280, "height": 900})
            await page.get_by_role("button", name="Log out").click()
            await expect(page.get_by_label("Admin token")).to_be_visible()
            assert await page.locator("#requests tbody tr").count() == 0
            # The browser logs every 401 for the wrong token, some of them late.
            assert [problem for problem in problems if "401" not in problem] == []
            await page.close()

    run(main())


async def log_in(page: Page, gateway: Gateway) -> None:
    """Log in. A wrong token is rejected with a message; the right one opens the page and appears in no address."""
    await page.goto(gateway.console_url + "/")
    await page.get_by_label("Admin token").fill("wrong")
    await page.get_by_role("button", name="Open").click()
    await expect(page.get_by_role("alert")).to_have_text("this is not the admin token")
    await page.get_by_label("Admin token").fill(ADMIN_TOKEN)
    await page.get_by_role("button", name="Open").click()
    await expect(page.get_by_role("status")).to_contain_text("1 worker, configuration ")
    assert page.url == gateway.console_url + "/"


async def look(page: Page) -> None:
    """Look at the page. Requests appear by themselves and open to their routing; money and limits match the
    spending."""
    lines = page.locator("#requests tr.request")
    await expect(lines).to_have_count(17)
    refused, served = lines.filter(has_text="402"), lines.filter(has_text="notebook")
    await expect(refused).to_have_count(1)
    await refused.click()
    opened = page.locator("tr.detail")
    await expect(opened).to_contain_text("budget_exceeded")
    await expect(opened).to_contain_text("Candidates excluded or changed, with reasons")
    await expect(opened).to_contain_text("budget of $0.00001 per day of virtual key batch")
    await refused.click()
    await expect(opened).to_have_count(0)

    failed_over = served.filter(has_text="steady").first
    await failed_over.focus()
    await page.keyboard.press("Enter")
    await expect(opened).to_contain_text("Attempts, in order")
    await expect(opened.locator("tbody tr")).to_have_count(2)
    await expect(opened.locator("tbody tr").nth(0)).to_contain_text("upstream_error")
    await expect(opened.locator("tbody tr").nth(1)).to_contain_text("ok")

    money = page.locator("#money tbody tr")
    await expect(money.filter(has_text="notebook")).to_have_count(1)
    await expect(money.filter(has_text="support-bot")).to_contain_text("$0.0")
    limit = page.locator("#limits tbody tr").filter(has_text="virtual key notebook").filter(has_text="$0.02 per day")
    await expect(limit).to_have_count(1)
    await expect(page.locator("#figures")).to_contain_text("spent in 30 days")

    fault = page.locator("#health tbody tr").filter(has_text="flaky")
    await expect(fault).to_have_count(1)
    await expect(fault).to_contain_text("sim-1")


def test_estimated_and_reserved_amounts_are_readable() -> None:
    """Each amount is shown, no column is cut off, and no amount is split over lines."""

    async def main() -> None:
        async with (
            browser() as chromium,
            serving(
                providers={"steady": settings(models=("sim-1",), output_tokens=30.0, token_gap_ms=100.0)},
                models={"chat": ["steady/sim-1"]},
                governance=governance({"support-bot": {"budgets": usd("5", "month")}}),
                pricing=prices("steady/*", output_tokens=4000),
                as_process=True,
            ) as gateway,
        ):
            gateway.providers["steady"].set_fault("malformed_json,slow_tokens=1")
            await gateway.ask(chat(max_tokens=100), headers=bearer("support-bot"))
            gateway.providers["steady"].set_fault(None)
            client = await gateway.connect()
            client.send(chat(stream=True, max_tokens=3000), headers=bearer("support-bot"))
            await client.reader.read(1)
            os.kill(gateway.children["worker 0"], signal.SIGKILL)
            await client.close()
            page = await chromium.new_page(viewport={"width": 1280, "height": 900})
            await log_in(page, gateway)
            spent = page.locator("#money tbody tr").filter(has_text="support-bot").locator("td").last
            await expect(spent).to_contain_text(re.compile(r"^\$0\.\d+\$0\.\d+ estimated\$0\.\d+ reserved$"))
            await expect(page.locator("#figures")).to_contain_text("of it from estimates")
            await expect(page.locator("#figures")).to_contain_text("of it from reservations")
            for scheme in ("light", "dark"):
                await page.emulate_media(color_scheme=scheme)
                await picture(page, f"split-{scheme}")
            card = page.locator(".scroll", has=page.locator("#money"))
            assert await card.evaluate("one => one.scrollWidth - one.clientWidth") <= 0, "a column is cut off"
            heights = "all => new Set(all.map(one => one.getBoundingClientRect().height)).size"
            assert await page.locator("#figures b").evaluate_all(heights) == 1, "an amount is split over lines"
            await page.close()

    run(main())


def test_client_input_is_shown_as_text(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            browser() as chromium,
            serving(providers={"a": settings(models=("sim-1",))}, as_process=True) as gateway,
        ):
            await gateway.ask(chat("a/<img src=x onerror=alert(1)>"))
            page = await chromium.new_page()
            page.on("dialog", lambda _: pytest.fail("a script of a client's ran"))
            await page.goto(gateway.console_url + "/")
            await page.get_by_label("Admin token").fill(ADMIN_TOKEN)
            await page.get_by_role("button", name="Open").click()
            line = page.locator("#requests tr.request")
            await expect(line).to_contain_text("<img src=x onerror=alert(1)>")
            await line.click()
            await expect(page.locator("tr.detail")).to_be_visible()
            assert await page.locator("#requests img").count() == 0
            await page.close()

    run(main())
