"""Users log in at the console in a real browser: with a password, and at an identity provider."""

import socket

import httpx
from playwright.async_api import Page, expect

from e2e.browser import browser
from e2e.test_console import run
from fakes.access import PASSWORD, roles
from fakes.identity_provider import identity_server
from integration.gateway import ADMIN_TOKEN, serving
from integration.governance import settings


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def leave(page: Page) -> None:
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_label("Password")).to_be_visible()


def test_users_log_in_with_a_password_and_at_an_identity_provider() -> None:
    url = f"http://127.0.0.1:{free_port()}"

    async def main() -> None:
        with identity_server() as provider:
            provider.set_user("rita", name="Rita", groups=["research"])
            sign_on = {
                "issuer": provider.issuer, "client_id": "console", "client_secret": "env.OIDC_SECRET",
                "groups": {"research": ["team-admin@team:research"]}, "scopes": ["openid", "profile"],
            }  # fmt: skip
            console = {"listen": url.removeprefix("http://"), "public_url": url, "sign_on": {"company": sign_on}}
            async with (
                browser() as chromium,
                serving(
                    providers={"sim": settings(models=("sim-1",))},
                    console=console,
                    egress={"allow_private": ["127.0.0.0/8"]},
                    environ={"OIDC_SECRET": "secret-of-the-tests"},
                    as_process=True,
                ),
                httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {ADMIN_TOKEN}"}) as admin,
            ):
                body = {"name": "vera", "password": PASSWORD, "roles": roles("viewer")}
                assert (await admin.post("/api/v1/users", json=body)).status_code == 201
                page = await chromium.new_page()
                await page.goto(url)
                await page.get_by_label("Name").fill("vera")
                await page.get_by_label("Password").fill("a wrong password")
                await page.get_by_role("button", name="Open").click()
                await expect(page.get_by_role("alert")).to_have_text("the name or the password is wrong")
                await page.get_by_label("Password").fill(PASSWORD)
                await page.get_by_role("button", name="Open").click()
                await expect(page.get_by_text("1 worker, configuration ")).to_be_visible()
                assert await page.evaluate("document.cookie") == "", "no page can read the session"
                await page.reload()
                await expect(page.get_by_text("1 worker, configuration ")).to_be_visible()
                await leave(page)
                await page.reload()
                await page.get_by_role("link", name="Log in with company").click()
                await page.locator("input[name=sub]").first.fill("rita")
                await page.locator("button[type=submit], input[type=submit]").first.click()
                await expect(page.get_by_role("link", name="Rita")).to_be_visible()
                assert page.url.startswith(f"{url}/")
                (made,) = [one for one in (await admin.get("/api/v1/users")).json() if one["issuer"] != "local"]
                assert (made["issuer"], made["subject"]) == (provider.issuer, "rita")

    run(main())
