"""Callers prove who they are by tokens of an issuer, over real sockets."""

import asyncio
import hmac
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai import AsyncOpenAI

from fakes.clock import PATIENCE_S
from fakes.issuer import Issuer, assembled, claims_of, issuing, key_set, new_key, signed
from integration.client import Answer
from integration.gateway import Gateway, chat, run, serving, until
from pointsman.engine.rejections import RejectionThrottle
from pointsman.simulate import Settings

MODELS = {"chat": ["alpha/gpt-4o-mini"]}
EGRESS = {"allow_private": ["127.0.0.0/8"]}


@asynccontextmanager
async def guarded(issuer: Issuer, *, jwt: dict[str, Any] | None = None, **fields: Any) -> AsyncIterator[Gateway]:
    """Run a gateway for the callers of an issuer, after it has the issuer's keys."""
    of_jwt = {"issuer": issuer.url, "audience": "pointsman", "keys": issuer.keys_url, **(jwt or {})}
    identity = {"jwt": of_jwt, "when": "true", **fields.pop("identity", {})}
    governance = {"require_key": True, "identities": {"ci": identity}, **fields.pop("governance", {})}
    async with serving(
        providers={"alpha": Settings()},
        is_alone=False,  # the issuer serves in the same loop
        models=MODELS,
        governance=governance,
        egress=EGRESS,
        **fields,
    ) as gateway:
        if gateway.worker is not None:
            await have_keys(gateway)
        yield gateway


async def have_keys(gateway: Gateway) -> None:
    assert gateway.worker is not None
    sets = gateway.worker.plane.api.callers.key_sets
    await until(lambda: all(one.keys for one in sets._sets.values()), "the keys of the issuer have been read")


async def ask(gateway: Gateway, token: str, **headers: str) -> Answer:
    return await gateway.ask(chat(), headers={"authorization": f"Bearer {token}", **headers})


def test_caller_with_a_token_is_served_and_recorded_by_its_subject() -> None:
    async def main() -> None:
        async with issuing() as issuer:
            identity = {
                "when": 'claims.repository_owner == "acme"',
                "claims": {"team": "group", "labels": {"repository": "repository"}},
            }
            teams = {"research": {"labels": {"cost_center": "a7"}}}
            async with guarded(issuer, identity=identity, governance={"teams": teams}) as gateway:
                token = issuer.token("repo:acme/app", repository_owner="acme", repository="acme/app", group="research")
                async with AsyncOpenAI(api_key=token, base_url=gateway.base_url, max_retries=0) as client:
                    answer = await client.chat.completions.create(
                        model="chat", messages=[{"role": "user", "content": "hi"}]
                    )
                    assert answer.choices[0].message.content
                    streamed = await client.chat.completions.create(
                        model="chat", messages=[{"role": "user", "content": "hi"}], stream=True
                    )
                    assert [event async for event in streamed]
                first, second = await gateway.wait_for_records(2)
                assert first["virtual_key"] == second["virtual_key"] == "ci:repo:acme%2Fapp"
                assert (first["team"], first["labels"]) == (
                    "research",
                    {"cost_center": "a7", "repository": "acme/app"},
                )
                counted = [name for name in await gateway.metrics() if "pointsman_requests_total" in name]
                assert any('virtual_key="ci"' in name for name in counted), counted
                assert token.rpartition(".")[2] not in gateway.log_file.read_text()
                other = issuer.token("x", repository_owner="evil", repository="acme/app", group="research")
                assert (await ask(gateway, other)).status == 401
                unknown = issuer.token("x", repository_owner="acme", group="nobody")
                assert (await ask(gateway, unknown)).status == 401

    run(main())


def test_refused_tokens_get_no_reason_and_the_log_has_it(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with issuing() as issuer, guarded(issuer) as gateway:
            assert gateway.worker is not None
            api = gateway.worker.plane.api
            stranger, rsa = new_key("first"), issuer.keys[0]
            public = rsa.as_pem(private=False)
            good = claims_of(issuer.url)
            header, payload, signature = issuer.token().split(".")
            cases = {
                "alg none": (assembled({"alg": "none", "kid": "first"}, good, lambda _: b""), "algorithm 'none'"),
                "no signature": (f"{header}.{payload}.", "cannot be verified"),
                "another payload": (f"{header}.{payload[:-4]}AAAA.{signature}", ""),
                "public key as secret": (
                    assembled({"alg": "HS256", "kid": "first"}, good, lambda text: hmac.digest(public, text, "sha256")),
                    "algorithm 'HS256'",
                ),
                "wrong audience": (issuer.token(aud="another"), "another audience"),
                "no audience": (issuer.token(aud=None), "another audience"),
                "expired": (issuer.token(exp=good["iat"] - 61), "it expired"),
                "never ends": (issuer.token(exp=None), "no expiry"),
                "not yet": (issuer.token(nbf=good["iat"] + 3600), "not valid for another"),
                "issued later": (issuer.token(iat=good["iat"] + 3600), "not valid for another"),
                "stranger with the key's name": (signed(stranger, good), "cannot be verified"),
                "unknown key": (issuer.token(head={"kid": "other"}), "has no key 'other'"),
                "path as name": (issuer.token(head={"kid": "../../../../dev/null"}), "has no key"),
                "own key set": (signed(stranger, good, kid="x", jku="https://evil.example/keys"), "has no key"),
                "another issuer": (signed(rsa, claims_of("https://evil.example")), "no identity has its issuer"),
                "another type": (issuer.token(head={"typ": "logout+jwt"}), "another use"),
                "bound to a key": (issuer.token(cnf={"jkt": "x"}), "bound to a key"),
                "no subject": (issuer.token(sub=None), "names the caller"),
                "long subject": (issuer.token("x" * 600), "more than 512"),
                "huge": (issuer.token(more="x" * 14_000), "more than 16384 bytes"),
                "encrypted": (f"{header}.a.b.c.d", "three parts"),
                "no JSON": ("eyJxxx.eyJxxx.xxx", "base64 of JSON"),
            }
            for name, (token, reason) in cases.items():
                caplog.clear()
                api.callers._logged_at = -10.0
                api._plain._rejections = RejectionThrottle()
                answer = await ask(gateway, token)
                assert answer.status == 401, name
                error = answer.json["error"]
                assert error["code"] == "invalid_api_key", name
                assert error["message"].startswith("no valid virtual key was presented"), name
                assert reason in caplog.text, (name, caplog.text)
            assert (await ask(gateway, issuer.token())).status == 200

    with caplog.at_level(logging.WARNING, "pointsman.engine.callers"):
        run(main())


def test_clocks_may_differ_by_the_tolerated_time() -> None:
    async def main() -> None:
        async with issuing() as issuer, guarded(issuer, jwt={"clock_skew_s": 60}) as gateway:
            now = claims_of(issuer.url)["iat"]
            assert (await ask(gateway, issuer.token(exp=now - 30))).status == 200
            assert (await ask(gateway, issuer.token(nbf=now + 30, iat=now + 30))).status == 200
            assert (await ask(gateway, issuer.token(exp=now - 70))).status == 401

    run(main())


@pytest.mark.parametrize("kind", ["RSA", "EC", "OKP"])
def test_each_kind_of_key_signs(kind: str) -> None:
    async def main() -> None:
        async with issuing() as issuer:
            issuer.keys = [new_key("only", kind), new_key("other", "EC" if kind == "RSA" else "RSA")]
            async with guarded(issuer) as gateway:
                assert (await ask(gateway, issuer.token())).status == 200
                assert (await ask(gateway, issuer.token(head={"kid": None}))).status == 200

    run(main())


def test_new_keys_are_found_and_replaced_ones_are_refused() -> None:
    async def main() -> None:
        async with issuing() as issuer, guarded(issuer) as gateway:
            assert gateway.worker is not None
            sets = gateway.worker.plane.api.callers.key_sets
            sets.least_s = 0.0
            old = issuer.token()
            assert (await ask(gateway, old)).status == 200
            issuer.keys = [new_key("second")]
            new = issuer.token()
            assert (await ask(gateway, new)).status == 401, "a request does not wait for the issuer"
            (one,) = sets._sets.values()
            await until(lambda: one.keys and one.keys[0].name == "second", "the new keys have been read")
            assert (await ask(gateway, new)).status == 200
            assert (await ask(gateway, old)).status == 401, "it was verified before, by a key that is gone"
            issuer.is_away = True
            asked = len(issuer.asked)
            assert (await ask(gateway, issuer.token(head={"kid": "third"}))).status == 401
            await until(lambda: len(issuer.asked) > asked, "the issuer was asked")
            assert (await ask(gateway, new)).status == 200, "the last keys are used while the issuer is away"

    run(main())


def test_unknown_keys_do_not_make_the_gateway_ask_often() -> None:
    async def main() -> None:
        async with issuing() as issuer, guarded(issuer) as gateway:
            for number in range(20):
                assert (await ask(gateway, issuer.token(head={"kid": f"k{number}"}))).status == 401
            assert len(issuer.asked) == 1

    run(main())


def test_without_any_keys_callers_may_retry_and_virtual_keys_are_served() -> None:
    async def main() -> None:
        async with issuing() as issuer:
            issuer.is_away = True
            identity = {"jwt": {"issuer": issuer.url, "audience": "pointsman"}, "when": "true"}
            governance = {"identities": {"ci": identity}, "virtual_keys": {"me": "env.ME"}, "require_key": True}
            async with serving(
                providers={"alpha": Settings()},
                is_alone=False,
                models=MODELS,
                governance=governance,
                egress=EGRESS,
                environ={"ME": "pm-key-of-the-tests-0001"},
            ) as gateway:
                refused = await ask(gateway, issuer.token())
                assert (refused.status, refused.json["error"]["code"]) == (503, "identity_unavailable")
                assert (await ask(gateway, "pm-key-of-the-tests-0001")).status == 200
                issuer.is_away = False
                await have_keys(gateway)
                assert issuer.asked[-2:] == ["/.well-known/openid-configuration", "/keys"]
                assert (await ask(gateway, issuer.token())).status == 200

    run(main())


def test_file_of_keys_is_read_again_when_it_changes() -> None:
    async def main() -> None:
        async with issuing() as issuer, serving(providers={"alpha": Settings()}, models=MODELS) as plain:
            path = plain.config_file.parent / "keys.json"
            path.write_text(key_set(*issuer.keys))
            async with guarded(issuer, jwt={"keys": f"file:{path}"}) as gateway:
                old = issuer.token()
                assert (await ask(gateway, old)).status == 200
                issuer.keys = [new_key("second")]
                path.write_text(key_set(*issuer.keys))
                assert gateway.worker is not None
                (one,) = gateway.worker.plane.api.callers.key_sets._sets.values()
                one.hurry()
                await until(lambda: one.keys and one.keys[0].name == "second", "the file has been read again")
                assert (await ask(gateway, issuer.token())).status == 200
                assert (await ask(gateway, old)).status == 401
            assert not issuer.asked

    run(main())


def test_each_caller_has_limits_of_its_own_beside_the_shared_ones() -> None:
    async def main() -> None:
        async with issuing() as issuer:
            identity = {
                "each_caller": {"rate_limits": [{"requests": 2, "per": "day"}]},
                "rate_limits": [{"requests": 3, "per": "day"}],
            }
            async with guarded(issuer, identity=identity) as gateway:
                first, second = issuer.token("one"), issuer.token("two")
                assert [(await ask(gateway, first)).status for _ in range(3)] == [200, 200, 429]
                refused = await ask(gateway, issuer.token("one", jti="another token of the same caller"))
                assert refused.status == 429
                assert "virtual key ci:one" in refused.json["error"]["message"]
                assert (await ask(gateway, second)).status == 200
                refused = await ask(gateway, second)
                assert refused.status == 429
                assert "virtual key ci has" in refused.json["error"]["message"] or "key ci " in json.dumps(refused.json)

    run(main())


def test_rules_of_an_identity_hold_for_its_callers() -> None:
    async def main() -> None:
        async with issuing() as issuer:
            rule = {
                "name": "no",
                "scope": "virtual_key:ci",
                "when": 'key.name == "ci:bad"',
                "refuse": {"message": "no"},
            }
            async with guarded(issuer, routing={"rules": [rule]}) as gateway:
                assert (await ask(gateway, issuer.token("good"))).status == 200
                assert (await ask(gateway, issuer.token("bad"))).status == 403

    run(main())


def test_identity_and_each_of_its_callers_can_be_paused() -> None:
    async def main() -> None:
        async with issuing() as issuer, guarded(issuer, as_process=True) as gateway:
            good, other = issuer.token("good"), issuer.token("other")
            async with asyncio.timeout(PATIENCE_S):
                while (await ask(gateway, good)).status != 200:  # the worker has no keys of the issuer yet
                    await asyncio.sleep(0.05)
            for name, expected in (("ci:good", [403, 200]), ("ci", [403, 403])):
                hold = {"name": f"virtual_key={name}", "reason": "a leak"}
                assert (await gateway.admin("/api/v1/health/holds", "POST", hold)).status == 200
                assert [(await ask(gateway, token)).status for token in (good, other)] == expected
            unknown = await gateway.admin("/api/v1/health/holds", "POST", {"name": "virtual_key=nobody:good"})
            assert unknown.status == 404

    run(main())
