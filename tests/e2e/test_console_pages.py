"""Every page of the console, in both themes, on a telephone and on a desk: no error, nothing cut off, no serious fault
of accessibility, and no script of a client's."""

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Page, expect

from e2e.browser import browser
from e2e.test_console import KEYS, TEAMS, enter, picture, problems_of, run, traffic
from integration.gateway import Gateway, chat, serving
from integration.governance import bearer, governance, prices, settings

AXE = Path(__file__).parents[2] / "console" / "node_modules" / "axe-core" / "axe.min.js"
HOSTILE = "\"><img src=x onerror=alert(1)><script>alert(2)</script>'`{{7*7}}${7*7}</textarea><svg/onload=alert(3)>"
OTHERS = (
    "account", "keys/notebook", "providers/flaky", "models/chat", "teams/research", "rules/x", "keys?new=1",
    "teams?new=1", "models?new=1", "providers?new=1", "rules?new=1", "prices?new=1",
    "start", "explain?model=chat", "statements?month=2026-01", "routing/chat", "health?hold=flaky",
)  # fmt: skip
FAULTS = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations
  .filter(one => ['serious', 'critical'].includes(one.impact))
  .map(one => `${one.id}: ${one.nodes.map(node => node.target.join(' ')).slice(0, 4).join(', ')}`)"""


async def addresses(page: Page) -> list[str]:
    """Return the pages of the navigation, some with their dialogs, and one of each kind with an object in it."""
    links = page.locator("nav a")  # a narrow page hides them
    found = [str(await one.get_attribute("href")) for one in await links.all()]
    names = [address.removeprefix("#/") for address in found]
    assert len(names) >= 12, names
    return [*names, *OTHERS]


async def settled(page: Page) -> None:
    """Wait until a page has loaded its first data."""
    await expect(page.get_by_role("main").locator("h1").first).to_be_visible()
    await expect(page.get_by_text("Loading…")).to_have_count(0)


@pytest.mark.parametrize(
    ("theme", "width"),
    [
        ("light", 1280),
        ("dark", 360),
        pytest.param("dark", 1280, marks=pytest.mark.slow),
        pytest.param("light", 360, marks=pytest.mark.slow),
    ],
)
def test_every_page_opens_without_faults(theme: Literal["light", "dark"], width: int) -> None:
    async def main() -> None:
        sim = settings(models=("sim-1", "sim-2"), output_tokens=30.0)
        rule: dict[str, Any] = {"name": "x", "when": 'headers["x-tier"] == "<b>"', "targets": ["steady/sim-2"]}
        async with (
            browser() as chromium,
            serving(
                providers={"flaky": sim, "steady": sim},
                models={"chat": ["flaky/sim-1", "steady/sim-1"]},
                routing={"rules": [rule]},
                governance=governance(KEYS, teams=TEAMS, customers={"acme": {}}),
                pricing=prices("flaky/*", "steady/*", output_tokens=4000),
                as_process=True,
            ) as gateway,
        ):
            await traffic(gateway)
            faults: list[str] = []
            page = await chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
            problems = problems_of(page)
            await enter(page, gateway)
            for address in await addresses(page):
                where = f"{address} ({theme}, {width})"
                await page.goto(f"{gateway.console_url}/#/{address}")
                await settled(page)
                if AXE.exists():
                    await page.evaluate(AXE.read_text())
                    faults += [f"{where}: {one}" for one in await page.evaluate(FAULTS)]
                if await page.evaluate("document.documentElement.scrollWidth") > width:
                    faults.append(f"{where}: wider than the screen")
                await picture(page, f"{address.split('?')[0].replace('/', '-')}-{theme}-{width}")
                faults += [f"{where}: {one}" for one in problems]
                problems.clear()
            await page.close()
            assert not faults, "\n".join(faults)
        if not AXE.exists():
            pytest.skip("accessibility was not checked: axe-core is missing (`make console`)")

    run(main())


def test_hostile_texts_run_no_script() -> None:
    async def main() -> None:
        async with (
            browser() as chromium,
            serving(
                providers={"a": settings(models=("sim-1",))},
                governance=governance({"me": {}}),
                as_process=True,
            ) as gateway,
        ):
            headers = {"x-pointsman-session": "<img/src=x/onerror=alert(4)>", "x-pointsman-tag-t": HOSTILE}
            await gateway.ask(chat(f"a/{HOSTILE.replace(' ', '/')}"), headers=bearer("me") | headers)
            await fill_store(gateway)
            page = await chromium.new_page(viewport={"width": 1280, "height": 900})
            problems = problems_of(page)
            page.on("dialog", lambda _: pytest.fail("a script of a client's ran"))
            await enter(page, gateway, "requests")
            line = page.get_by_role("region", name="Requests").locator("tbody tr")
            await expect(line).to_contain_text("<img/src=x/onerror=alert(1)>")
            await line.get_by_role("link").click()
            await expect(page.get_by_text("Targets, in order")).to_be_visible()
            await settled(page)
            for address in await addresses(page):
                await page.goto(f"{gateway.console_url}/#/{address}")
                await settled(page)
                main = page.get_by_role("main").or_(page.get_by_role("dialog"))
                for field in await main.locator("input:not([type=checkbox]):visible, textarea:visible").all():
                    if await field.is_editable():
                        await field.fill(HOSTILE)
                await page.wait_for_timeout(400)  # filters ask for their rows
                assert await page.locator("img").count() == 0, address
            # A hostile name is unknown, so that the browser logs 404 and 422.
            assert [one for one in problems if "Failed to load resource" not in one] == []
            await page.close()

    run(main())


async def fill_store(gateway: Gateway) -> None:
    """Put hostile texts into every free text that the API stores."""
    for path, body in (
        ("keys", {"name": "hostile", "note": HOSTILE, "settings": {"labels": {"a": HOSTILE}}}),
        ("customers", {"name": "hostile", "spec": {"labels": {"a": HOSTILE}}, "note": HOSTILE}),
        ("models", {"name": "<img/src=x/onerror=alert(5)>", "spec": {"targets": ["a/sim-1"]}, "note": HOSTILE}),
        ("health/holds", {"name": "a/sim-9", "reason": HOSTILE, "for_s": 600}),
        ("users", {"name": HOSTILE}),
    ):
        answer = await gateway.admin(f"/api/v1/{path}", "POST", body)
        assert answer.status in (200, 201, 202), (path, answer.body, json.dumps(body))
