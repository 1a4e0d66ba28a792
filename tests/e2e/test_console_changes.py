"""Changes that people make in the console: keys, resources, and a first request."""

from playwright.async_api import Page, expect

from e2e.browser import browser
from e2e.test_console import enter, problems_of, run
from integration.gateway import chat, serving
from integration.governance import governance, prices, settings


async def press(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name, exact=True).click()


def test_a_key_is_made_used_and_revoked() -> None:
    async def main() -> None:
        async with (
            browser() as chromium,
            serving(
                providers={"a": settings(models=("sim-1",))},
                governance=governance({"other": {}}),
                pricing=prices("a/*", output_tokens=100),
                as_process=True,
            ) as gateway,
        ):
            page = await chromium.new_page(viewport={"width": 1280, "height": 900})
            problems = problems_of(page)
            await enter(page, gateway, "keys")
            await page.get_by_role("link", name="New key").click()
            await page.get_by_label("Name", exact=True).last.fill("mine")
            await page.get_by_label("Budget").fill("2.5")
            await press(page, "Make the key")
            value = await page.get_by_label("Key", exact=True).input_value()
            await press(page, "Done")
            await expect(page.get_by_role("heading", name="mine")).to_be_visible()
            await expect(page.get_by_role("region", name="Limits")).to_contain_text("$2.50 per month")
            sent = {"authorization": f"Bearer {value}"}
            assert (await gateway.ask(chat("a/sim-1"), headers=sent)).status == 200
            await expect(page.get_by_role("region", name="Last requests")).to_contain_text("a/sim-1")
            await press(page, "Revoke")
            await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
            await expect(page.get_by_text("No worker serves it any more.")).to_be_visible()
            assert (await gateway.ask(chat("a/sim-1"), headers=sent)).status == 401
            assert problems == []
            await page.close()

    run(main())


def test_first_steps_lead_to_a_first_request() -> None:
    async def main() -> None:
        async with (
            browser() as chromium,
            serving(
                providers={"a": settings(models=("sim-1",))},
                governance=governance({"other": {}}),
                pricing=prices("a/*", output_tokens=100),
                as_process=True,
            ) as gateway,
        ):
            page = await chromium.new_page(viewport={"width": 1280, "height": 900})
            problems = problems_of(page)
            await enter(page, gateway)
            await page.get_by_role("link", name="begin with a provider key").click()
            await page.get_by_label("Key of the provider").fill("sk-a-key-of-nobody")
            await press(page, "Add the provider")
            await expect(page.get_by_text("Requests can go to openai now.")).to_be_visible()
            await press(page, "Make a key")
            value = await page.get_by_label("Key, shown only now").input_value()
            await page.get_by_label("Model").fill("a/sim-1")
            await expect(page.get_by_label("JSON")).to_contain_text(value)
            await expect(page.get_by_text("Waiting for the first request…")).to_be_visible()
            assert (await gateway.ask(chat("a/sim-1"), headers={"authorization": f"Bearer {value}"})).status == 200
            await expect(page.get_by_text("It arrived:")).to_be_visible()
            await page.get_by_role("link", name="a/sim-1").click()
            await expect(page.get_by_role("region", name="Attempts")).to_contain_text("a/sim-1")
            assert problems == []
            await page.close()

    run(main())


def test_a_team_is_made_checked_changed_and_brought_back() -> None:
    async def main() -> None:
        async with (
            browser() as chromium,
            serving(providers={"a": settings(models=("sim-1",))}, as_process=True) as gateway,
        ):
            page = await chromium.new_page(viewport={"width": 1280, "height": 900})
            await enter(page, gateway, "teams?new=1")
            await page.get_by_label("Name", exact=True).fill("research")
            budgets = page.get_by_role("group", name="Budgets")
            await budgets.get_by_role("button", name="Add", exact=True).click()
            await budgets.get_by_label("Limit USD").fill("lots")
            await budgets.get_by_label("Per", exact=True).select_option("day")
            await press(page, "Check")
            await expect(page.get_by_role("alert")).to_contain_text("limit_usd")
            await budgets.get_by_label("Limit USD").fill("12")
            await press(page, "Make the team")
            await expect(page.get_by_role("main")).to_contain_text('"limit_usd": "12"')
            await press(page, "Delete")
            await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
            await expect(page.get_by_text("There are no teams yet.")).to_be_visible()
            await page.get_by_role("link", name="History").click()
            await page.get_by_role("link", name="Version 1").click()
            await press(page, "Go back to it")
            await press(page, "Go back")
            await page.get_by_role("link", name="Teams").click()
            await expect(page.get_by_role("link", name="research")).to_be_visible()
            await page.close()

    run(main())
