"""The console in a real browser, in front of a gateway with real traffic."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

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
            problems = problems_of(page)
            await log_in(page, gateway)
            await expect(page.get_by_text("No requests yet.")).to_be_visible()
            await traffic(gateway)
            await page.reload()
            await look(page, gateway)
            await page.get_by_role("button", name="Log out").click()
            await expect(page.get_by_label("Admin token")).to_be_visible()
            assert await page.locator("table").count() == 0
            # The browser logs the 401 for the wrong token.
            assert [problem for problem in problems if "401" not in problem] == []
            await page.close()

    run(main())


def problems_of(page: Page) -> list[str]:
    """Return the list of errors and warnings of a page, which grows."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda message: problems.append(message.text) if message.type in ("error", "warning") else None,
    )
    return problems


async def log_in(page: Page, gateway: Gateway) -> None:
    """Log in. A wrong token is rejected with a message; the right one opens the page and appears in no address."""
    await page.goto(gateway.console_url + "/")
    await page.get_by_label("Admin token").fill("wrong")
    await page.get_by_role("button", name="Open").click()
    await expect(page.get_by_role("alert")).to_have_text("this is not the admin token")
    await page.get_by_label("Admin token").fill(ADMIN_TOKEN)
    await page.get_by_role("button", name="Open").click()
    await expect(page.get_by_text("1 worker, configuration ")).to_be_visible()
    assert ADMIN_TOKEN not in page.url


async def enter(page: Page, gateway: Gateway, path: str = "overview") -> None:
    """Open a page of the console as an owner."""
    await page.goto(gateway.console_url + "/")
    await page.evaluate("token => sessionStorage.setItem('pointsman-admin-token', token)", ADMIN_TOKEN)
    await page.goto(f"{gateway.console_url}/#/{path}")
    await page.reload()
    await expect(page.locator("nav")).to_be_attached()


async def look(page: Page, gateway: Gateway) -> None:
    """Look at the pages. Requests open to their routing; money and limits match the spending."""
    providers = page.get_by_role("region", name="Providers")
    await expect(providers.locator("tr").filter(has_text="flaky/sim-1")).to_have_count(1)
    await page.keyboard.press("g")
    await page.keyboard.press("r")
    lines = page.get_by_role("region", name="Requests").locator("tbody tr")
    await expect(lines).to_have_count(17)
    refused = lines.filter(has_text="402")
    await expect(refused).to_have_count(1)
    await refused.get_by_role("link").click()
    main = page.get_by_role("main")
    await expect(main).to_contain_text("budget_exceeded")
    await expect(main).to_contain_text("Left out or changed, with reasons")
    await expect(main).to_contain_text("budget of $0.00001 per day of virtual key batch")

    await page.goto(f"{gateway.console_url}/#/requests?key=notebook&provider=steady")
    await lines.first.get_by_role("link").click()
    attempts = page.get_by_role("region", name="Attempts").locator("tbody tr")
    await expect(attempts).to_have_count(2)
    await expect(attempts.nth(0)).to_contain_text("upstream_error")
    await expect(attempts.nth(1)).to_contain_text("ok")

    await page.get_by_role("link", name="Usage").click()
    money = page.get_by_role("region", name="Usage").locator("tbody tr")
    await expect(money.filter(has_text="notebook")).to_have_count(1)
    await expect(money.filter(has_text="support-bot")).to_contain_text("$0.0")
    await page.get_by_role("link", name="Budgets and limits").click()
    limits = page.get_by_role("region", name="Limits").locator("tbody tr")
    await expect(limits.filter(has_text="notebook").filter(has_text="$0.02 per day")).to_have_count(1)


def test_estimated_and_reserved_amounts_are_readable() -> None:
    """Each amount is shown, and no column is cut off."""

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
            await enter(page, gateway, "usage")
            row = page.get_by_role("region", name="Usage").locator("tbody tr").filter(has_text="support-bot")
            await expect(row).to_contain_text("estimated")
            await expect(row).to_contain_text("reserved")
            await expect(page.get_by_role("main")).to_contain_text("of it not reported")
            region = page.get_by_role("region", name="Usage")
            assert await region.evaluate("one => one.scrollWidth - one.clientWidth") <= 0, "a column is cut off"
            await page.close()

    run(main())
