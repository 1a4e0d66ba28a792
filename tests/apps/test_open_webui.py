"""Open WebUI, as released and with the settings of the guide, shows answers and names its users."""

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from apps.scene import ADDRESS, APPS, KEY, MODELS, Running, in_guide, scene, skip_unless_possible
from fakes.clock import PATIENCE_S
from fakes.processes import free_ports
from integration.gateway import Gateway, run

pytestmark = pytest.mark.apps

PROGRAM = APPS / "open-webui" / "bin" / "open-webui"
# It is installed without its libraries for documents, speech and search, so it uses no vectors.
LEAN = {
    "USE_SLIM_DOCKER": "true",
    "OFFLINE_MODE": "true",
    "ENABLE_OLLAMA_API": "false",
    "BYPASS_MODEL_ACCESS_CONTROL": "true",
    "WEBUI_SECRET_KEY": "a-secret-for-the-tests",
}


def settings(root: str) -> dict[str, str]:
    """Return the variables of the guide for a gateway at `root`."""
    text = in_guide("Open WebUI", "sh").replace(ADDRESS, root).replace("$POINTSMAN_KEY", KEY)
    return dict(line.split("=", 1) for line in text.splitlines())


async def until_it_answers(client: httpx.AsyncClient, program: Running) -> None:
    async with asyncio.timeout(4 * PATIENCE_S):  # it creates its database first
        while True:
            program.ensure()
            try:
                if (await client.get("/health")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.2)


async def person(client: httpx.AsyncClient, name: str, admin: dict[str, str] | None) -> tuple[str, dict[str, str]]:
    """Return the id of a new user and the header of their session. The first user becomes the administrator."""
    path = "/api/v1/auths/add" if admin else "/api/v1/auths/signup"
    body = {"name": name, "email": f"{name}@example.com", "password": f"Password-of-{name}-1", "role": "user"}
    answer = await client.post(path, json=body, headers=admin)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"], {"authorization": f"Bearer {answer.json()['token']}"}


async def charged_users(gateway: Gateway, count: int) -> dict[str, int]:
    """Return the charges of end users, once `count` of them have some."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            rows = (await gateway.admin("/api/v1/budgets?limit=100")).json
            found = {row["owner"]: row["posted"] for row in rows if row["owner"].startswith("end_user:")}
            if sum(amount > 0 for amount in found.values()) >= count:
                return found
            await asyncio.sleep(0.1)


async def text_of(client: httpx.AsyncClient, session: dict[str, str], model: str, *, stream: bool) -> str:
    """Return the answer of a model to a user."""
    body = {"model": model, "messages": [{"role": "user", "content": "say cheese"}], "stream": stream}
    answer = await client.post("/api/chat/completions", json=body, headers=session)
    assert answer.status_code == 200, answer.text
    if not stream:
        return str(answer.json()["choices"][0]["message"]["content"])
    return "".join(re.findall(r'"content": ?"([^"]*)"', answer.text))


def test_users_chat_and_are_charged_each(tmp_path: Path) -> None:
    skip_unless_possible(PROGRAM)

    async def main() -> None:
        governance: dict[str, Any] = yaml.safe_load(in_guide("Open WebUI", "yaml"))["governance"]
        async with scene(tmp_path, governance, OPEN_WEBUI_KEY=KEY) as found:
            (port,) = free_ports(1)
            command = (str(PROGRAM), "serve", "--host", "127.0.0.1", "--port", str(port))
            variables = {**settings(found.root), **LEAN, "DATA_DIR": str(tmp_path)}
            async with (
                found.running(*command, **variables) as program,
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client,
            ):
                await until_it_answers(client, program)
                ann_id, ann = await person(client, "ann", None)
                _, ben = await person(client, "ben", ann)
                listed = (await client.get("/api/models", headers=ann)).json()["data"]
                assert {one["id"] for one in listed} >= set(MODELS)
                for model in MODELS:
                    assert await text_of(client, ann, model, stream=False) == "cheese"
                    assert await text_of(client, ben, model, stream=True) == "cheese"
                assert len(await charged_users(found.gateway, 2)) == 2
            records = await found.gateway.wait_for_records(2 * len(MODELS))
            chats = [record["status"] for record in records if record["path"] == "/v1/chat/completions"]
            assert chats == [200] * 2 * len(MODELS)
            sent = [str(seen.headers) + str(seen.body) for seen in found.provider.messages]
            assert not [one for one in sent if ann_id in one or "ann@example.com" in one]

    run(main())
