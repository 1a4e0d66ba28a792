"""Strings that have broken programs, in every string of every resource, key, user, role and token.

Each is stored and shown as it was sent, or rejected with an error that names its field. No answer is 500 or above.
"""

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import yaml
from msgspec import Struct
from typer.testing import CliRunner

from fakes.access import ADMIN, PASSWORD, QUICK
from fakes.admin_api import served
from fakes.control import TOKEN, ControlPlane, control_plane
from integration.corpora import naughty_strings
from integration.gateway import run, until
from pointsman.admin.passwords import Passwords
from pointsman.cli import build_app
from pointsman.config.resource_kinds import KINDS, default_name, price_name

Path_ = tuple[str | int, ...]

CONFIG = """\
data_dir: .
providers: {openai: env.OPENAI_API_KEY}
governance:
  teams: {research: {}}
  customers: {acme: {}}
  virtual_keys: {me: {value: env.ME, team: research}}
"""
BUDGETS = [{"limit_usd": "0.5", "per": "day", "zone": "Europe/Berlin"}]
RATES = [{"requests": 5, "per": "minute", "zone": "UTC"}]
OWNER = {
    "budgets": BUDGETS,
    "rate_limits": RATES,
    "labels": {"cost_center": "a7"},
    "require": {"region": ["eu"]},
}
RIGHTS = {
    **OWNER,
    "from": ["192.0.2.0/24"],
    "allow_models": ["gpt-4o*"],
    "providers": {"openai": {"allow_models": ["gpt-4o*"], "keys": ["default"]}},
    "strategy": "priority",
    "provider_tools": ["web_search"],
    "near_limit": "shorten",
}
# A body that makes each kind of object, with a text in each of its fields that may have one.
SPECS: dict[str, tuple[str, Any]] = {
    "provider": (
        "made",
        {
            "type": "openai-compatible",
            "base_url": "https://api.example.com/v1",
            "keys": {"main": {"value": "sk-1", "serves": ["x*"], "tags": {"tier": "gold"}, "cache_domain": "one"}},
            "serves": {"also": ["x"]},
            "catalog": "",
            "tags": {"region": "eu"},
            "deployments": {"gpt-4o": "mine"},
            "budgets": BUDGETS,
            "rate_limits": RATES,
        },
    ),
    "model": (
        "quick",
        {
            "strategy": "weighted",
            "targets": [{"model": "openai/gpt-4o", "variant": "trial", "tags": {"region": "eu"}}],
            "fallbacks": ["openai/gpt-4o-mini"],
        },
    ),
    "rule": (
        "up",
        {
            "scope": "team:research",
            "when": 'model == "x"',
            "targets": [{"model": "openai/gpt-4o", "variant": "trial"}],
            "fallbacks": ["openai/gpt-4o-mini"],
            "provider_key": "default",
            "set": {"user": "somebody"},
            "drop": ["logit_bias"],
            "require": {"region": ["eu"]},
        },
    ),
    "customer": ("made", OWNER),
    "team": ("made", {**OWNER, "customer": "acme"}),
    "access_template": ("made", {**RIGHTS, "team": "research"}),
    "default": (
        "team;customer=acme;label.tier=gold",
        {"each": "team", "customer": "acme", "labels": {"tier": "gold"}, "budgets": BUDGETS, "rate_limits": RATES},
    ),
    "price": (
        "openai/*;team=research",
        {"model": "openai/*", "team": "research", "input_usd_per_million": 1, "output_usd_per_million": "2.5"},
    ),
}
BODIES: dict[str, Any] = {
    **{KINDS[kind].plural: {"name": name, "spec": spec, "note": "why"} for kind, (name, spec) in SPECS.items()},
    "keys": {"name": "app", "note": "why", "settings": {**RIGHTS, "team": "research"}},
    "users": {"name": "tina", "password": PASSWORD, "roles": [{"role": "viewer", "scope": "team:research"}]},
    "tokens": {"name": "ci", "roles": [{"role": "viewer", "scope": "*"}], "days": 1},
    "roles": {"permissions": ["usage:read"], "note": "why"},
}
NAMED = {"defaults": default_name, "prices": price_name}  # these have names that their fields make
SECRET: set[Path_] = {("spec", "keys", "main", "value"), ("password",)}
OWN = ["\ud800", "\x00", "\u202e", "a\r\nb: c", "..", "a/../b", "%2e%2e", "x" * 5000, "{{7*7}}", "env.ME", "file:/etc"]


class Place(Struct, frozen=True):
    """A text in the body for a kind of objects. With `is_name`, it is the name of a field in the mapping there."""

    kind: str
    path: Path_
    is_name: bool = False

    def filled(self, text: str) -> Any:
        """Return a body with this text."""
        body = copy.deepcopy(BODIES[self.kind])
        node = body
        for part in self.path[:-1]:
            node = node[part]
        if self.is_name:
            node[text] = node.pop(self.path[-1])
        else:
            node[self.path[-1]] = text
        if self.path[0] == "spec" and self.kind in NAMED:
            body["name"] = NAMED[self.kind](body["spec"])
        return body

    @property
    def fields(self) -> set[str]:
        """The words of which an error about this text has at least one."""
        named = {"name"} if self.path[0] == "spec" and self.kind in NAMED else set()
        return {str(part) for part in self.path if isinstance(part, str)} - {"spec", "settings"} | named


def places() -> list[Place]:
    """Return every text of every body."""

    def within(kind: str, node: Any, path: Path_) -> Iterator[Place]:
        if isinstance(node, str):
            yield Place(kind, path)
        for part in node if isinstance(node, dict) else ():
            if path and path[-1] in {"labels", "tags", "require", "deployments", "set", "keys", "providers"}:
                yield Place(kind, (*path, part), is_name=True)
            yield from within(kind, node[part], (*path, part))
        for at, item in enumerate(node if isinstance(node, list) else ()):
            yield from within(kind, item, (*path, at))

    return [one for kind, body in BODIES.items() for one in within(kind, body, ())]


async def send(plane: ControlPlane, method: str, path: str, body: Any = None) -> httpx.Response:
    content = json.dumps(body).encode() if body is not None else None
    headers = {**ADMIN, "content-type": "application/json"}
    return await plane.client.request(method, f"/api/v1/{path}", content=content, headers=headers)


def shown_at(shown: Any, place: Place, text: str) -> bool:
    """Return whether an answer shows the text at its place."""
    node = shown
    for part in place.path[:-1]:
        node = node[part]
    return text in node if place.is_name else bool(node[place.path[-1]] == text)


async def problem_with(plane: ControlPlane, place: Place, text: str) -> str | None:
    """Send a text, and return what is wrong with the answers."""
    body = place.filled(text)
    path, method = place.kind, "POST"
    if place.kind == "roles":
        path, method = "roles/made", "PUT"
    answer = await send(plane, method, path, body)
    if answer.status_code >= 400:
        found = answer.json()
        told = f"{found.get('detail')} {found.get('errors')}"
        if answer.status_code >= 500 or not any(field in told for field in place.fields):
            return f"{answer.status_code}: {told[:300]}"
        return None
    made = answer.json()
    shown = made.get("resource", made)
    name = made["id"] if place.kind == "users" else shown["name"]
    one = f"{place.kind}/{quote(name, safe='')}"
    if place.path not in SECRET and place.path != ("note",) and not shown_at(shown, place, text):
        return f"{answer.status_code}: shows {str(shown)[:300]}"
    if place.kind not in ("tokens", "roles"):
        read = await send(plane, "GET", one)
        if read.status_code != 200:
            return f"cannot be read: {read.status_code}"
        known = read.json()
        if place.path not in SECRET and place.path != ("note",) and not shown_at(known, place, text):
            return f"reads as {str(known)[:300]}"
    gone = await send(plane, "DELETE", one)
    return None if gone.status_code == 200 else f"cannot be deleted: {gone.status_code} {gone.text[:200]}"


async def all_problems(folder: Path, pairs: list[tuple[Place, str]]) -> list[str]:
    async with control_plane(folder, config=CONFIG) as plane:
        plane.services.logins.passwords = Passwords(QUICK)
        keys = plane.inquiry_handler.parts.keys
        await until(lambda: not keys._is_behind, "the keys are read from the store")
        wrong = []
        for place, text in pairs:
            problem = await problem_with(plane, place, text)
            if problem is not None:
                wrong.append(f"{place.kind} {place.path} {'name ' if place.is_name else ''}{text[:80]!r}: {problem}")
        return wrong


def test_bodies_are_valid_as_they_are(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            plane.services.logins.passwords = Passwords(QUICK)
            keys = plane.inquiry_handler.parts.keys
            await until(lambda: not keys._is_behind, "the keys are read from the store")
            for kind, body in BODIES.items():
                path, method = (kind, "POST") if kind != "roles" else ("roles/made", "PUT")
                answer = await send(plane, method, path, body)
                assert answer.status_code in (200, 201), f"{kind}: {answer.text}"

    run(main())
    assert SPECS.keys() == KINDS.keys()
    assert len(places()) > 100


def test_hostile_strings_are_kept_or_rejected(tmp_path: Path) -> None:
    dice, strings = random.Random(21), [*naughty_strings(), *OWN]
    every = places()
    pairs = [(dice.choice(every), dice.choice(strings)) for _ in range(60)]
    pairs += [(place, text) for place in every if place.path == ("name",) for text in dice.sample(OWN, 2)]
    assert run(all_problems(tmp_path, pairs)) == []


@pytest.mark.slow
def test_all_hostile_strings_are_kept_or_rejected(tmp_path: Path) -> None:
    strings, every = [*naughty_strings(), *OWN], places()
    random.Random(22).shuffle(every)
    pairs = [(every[(3 * at + more) % len(every)], text) for at, text in enumerate(strings) for more in range(3)]
    assert run(all_problems(tmp_path, pairs)) == []


def test_command_shows_what_it_sent(tmp_path: Path) -> None:
    dice = random.Random(23)
    strings = [text for text in naughty_strings() if text.isprintable() and 0 < len(text) < 4000]
    with served(tmp_path, lambda plane: None) as url:

        def invoke(*arguments: str) -> Any:
            env = {"POINTSMAN_ADMIN_TOKEN": TOKEN}
            done = CliRunner().invoke(build_app(), [*arguments, "--url", url, "--json"], env=env)
            assert done.exit_code == 0, done.output
            return json.loads(done.stdout)

        labels = {f"label-{at}": text for at, text in enumerate(dice.sample(strings, 40))}
        file = tmp_path / "team.yaml"
        file.write_text(yaml.safe_dump({"labels": labels}, allow_unicode=True), encoding="utf-8")
        assert invoke("teams", "create", "made", "--file", str(file))["resource"]["spec"]["labels"] == labels
        assert invoke("teams", "show", "made")["spec"]["labels"] == labels
