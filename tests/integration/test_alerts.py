"""A gateway alerts a receiver that checks signatures: once for each threshold of a budget, whatever dies meanwhile."""

import asyncio
import hmac
import json
import os
import signal
from base64 import b64decode, b64encode
from functools import partial
from typing import Any

from fakes.alerts import SECRET
from fakes.clock import PATIENCE_S
from fakes.receiver import FakeReceiver, Received, receiving
from integration.gateway import Gateway, chat, run, serving, until
from pointsman.simulate import Settings

KEY = "pm-xyzzy-of-the-client-0123456789"
PROMPT = "xyzzy-of-the-prompt"
PER_REQUEST = 30  # dollars: 10 tokens in and 20 out, each for a dollar
SECRETS = {"ME": KEY, "HOOK": SECRET, "PROVIDER_KEY": "sk-xyzzy-of-the-provider"}


def check(request: Received) -> int:
    """Return the status for a message by its signature."""
    content = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    expected = b64encode(hmac.digest(b64decode(SECRET.removeprefix("whsec_")), content, "sha256")).decode()
    return 200 if request.headers["webhook-signature"] == f"v1,{expected}" else 401


def sections(receiver: FakeReceiver, budget_usd: int, **alerts: Any) -> dict[str, Any]:
    receiver.check = check
    hook = {"type": "webhook", "url": f"{receiver.url}/in", "secrets": ["env.HOOK"]}
    each = {"input_usd_per_million": 10**6, "output_usd_per_million": 10**6, "max_output_tokens": 100}
    budget = {"limit_usd": budget_usd, "per": "year", "soft": True}
    return {
        "providers": {"a": Settings(models=("sim-1",))},
        "provider_settings": {"a": {"keys": {"only": "env.PROVIDER_KEY"}}},
        "models": {"chat": ["a/sim-1"]},
        "egress": {"allow_private": ["127.0.0.0/8"]},
        "pricing": {"overrides": [{"model": "*", **each}]},
        "governance": {"virtual_keys": {"me": {"value": "env.ME", "budgets": [budget]}}},
        "alerts": {"channels": {"hook": hook}, "rules": [{"name": "budget", "kind": "budget"}], **alerts},
        "environ": SECRETS,
        "as_process": True,
    }


async def ask(gateway: Gateway, count: int) -> None:
    body = chat(messages=[{"role": "user", "content": PROMPT}])
    for answer in await gateway.ask_many(count, min(count, 4), body, headers={"authorization": f"Bearer {KEY}"}):
        assert answer.status == 200


def thresholds(receiver: FakeReceiver) -> list[str]:
    """Return the thresholds of all messages; one that was sent again counts once, by its id."""
    by_id = {one.headers["webhook-id"]: json.loads(one.body) for one in receiver.received}
    found = [alert for one in by_id.values() if one["type"] == "alert.fired" for alert in one["data"]["alerts"]]
    return sorted((one["labels"]["threshold"] for one in found), key=int)


def has(receiver: FakeReceiver, expected: list[str]) -> bool:
    return thresholds(receiver) == expected


def test_every_threshold_is_sent_once_over_kills() -> None:
    async def main() -> None:
        with receiving() as receiver:
            async with serving(**sections(receiver, 20 * PER_REQUEST)) as gateway:
                for count, expected in ((10, ["50"]), (6, ["50", "80"]), (5, ["50", "80", "100"])):
                    await ask(gateway, count)
                    for name in ("admin", "control", "admin"):
                        os.kill(gateway.children[name], signal.SIGKILL)
                        await asyncio.sleep(0.3)
                        await until(lambda: {"admin", "control"} <= gateway.children.keys(), "both are started again")
                    await until(partial(has, receiver, expected), f"{expected} arrive")
                await ask(gateway, 3)
                await asyncio.sleep(2.5)
                assert thresholds(receiver) == ["50", "80", "100"]
                alerts = (await gateway.admin("/api/v1/alerts/history")).json
                assert len(alerts) == 3
                for xyzzy in (*SECRETS.values(), "xyzzy"):
                    assert xyzzy.encode() not in receiver.raw

    run(main())


def test_dead_receiver_costs_no_request_and_gets_its_messages_later() -> None:
    async def main() -> None:
        with receiving() as receiver:
            receiver.mode = 503
            async with serving(**sections(receiver, 2 * PER_REQUEST)) as gateway:
                began_at = asyncio.get_running_loop().time()
                await ask(gateway, 3)
                async with asyncio.timeout(PATIENCE_S):
                    while (await gateway.admin("/readyz")).json.get("alerts_hook") != "status 503":
                        await asyncio.sleep(0.1)
                assert asyncio.get_running_loop().time() - began_at < gateway.within_s(10)
                await ask(gateway, 3)
                os.kill(gateway.children["admin"], signal.SIGKILL)
                receiver.mode = "ok"
                await until(lambda: thresholds(receiver) == ["50", "80", "100"], "all messages arrive")
                assert (await gateway.admin("/api/v1/alerts")).json["channels"][0]["problem"] == ""

    run(main())


def test_failed_target_is_reported_until_the_rule_is_removed() -> None:
    async def main() -> None:
        with receiving() as receiver:
            rules = [{"name": "down", "kind": "provider_state", "severity": "critical"}]
            given = sections(receiver, 1000, rules=rules)
            given["providers"] = {
                "a": Settings(models=("sim-1",), model_faults={"sim-1": "status=500"}),
                "b": Settings(models=("sim-1",)),
            }
            given["provider_settings"] = {}
            given["models"] = {"chat": {"strategy": "priority", "targets": ["a/sim-1", "b/sim-1"]}}
            async with serving(**given) as gateway:
                await ask(gateway, 6)
                await until(lambda: receiver.received, "the failure is reported")
                fired = json.loads(receiver.received[0].body)
                assert (fired["type"], fired["data"]["severity"]) == ("alert.fired", "critical")
                assert fired["data"]["alerts"][0]["labels"]["provider"] == "a"
                document = json.loads(gateway.config_file.read_text())
                document["alerts"]["rules"] = []
                await gateway.watches()
                gateway.config_file.write_text(json.dumps(document))
                async with asyncio.timeout(PATIENCE_S):
                    while (await gateway.admin("/api/v1/alerts")).json["firing"]:
                        await asyncio.sleep(0.1)

    run(main())
