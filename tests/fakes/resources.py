"""Calls of the admin API about resources, to a control plane in this process."""

from typing import Any

import httpx

from fakes.control import TOKEN, ControlPlane

CONFIG = """\
data_dir: .
providers: {openai: env.OPENAI_API_KEY}
egress: {allow_private: [127.0.0.0/8]}
governance:
  teams: {research: {budgets: [{limit_usd: 100, per: month}]}}
  virtual_keys: {me: {value: env.ME, team: research}}
"""
UP = {"type": "openai-compatible", "base_url": "http://127.0.0.1:9/v1", "keys": {"main": "sk-of-the-provider"}}


async def call(plane: ControlPlane, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
    """Send a call, and return its answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {"authorization": f"Bearer {TOKEN}", **named}
    return await plane.client.request(method, f"/api/v1/{path}", json=body, headers=sent)


async def made(plane: ControlPlane, kind: str, name: str, spec: object) -> Any:
    """Make a resource, and return it."""
    answer = await call(plane, "POST", kind, {"name": name, "spec": spec})
    assert answer.status_code == 201, answer.text
    return answer.json()["resource"]
