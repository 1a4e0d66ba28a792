"""Callers prove who they are by client certificates, over real TLS. The console has TLS too."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from fakes.certificates import Authority, Certificates
from integration.gateway import ADMIN_TOKEN, Gateway, chat, run, serving
from pointsman.simulate import Settings

INGEST, OTHER = "spiffe://acme.example/ingest", "spiffe://acme.example/other"
IDENTITY = {
    "client_certificate": {"subject": "uri"},
    "when": 'claims.uri[0].startsWith("spiffe://acme.example/")',
    "each_caller": {"rate_limits": [{"requests": 3, "per": "day"}]},
}


@asynccontextmanager
async def secured(certificates: Certificates, **fields: Any) -> AsyncIterator[Gateway]:
    governance = {
        "require_key": True,
        "identities": {"mesh": {**IDENTITY, **fields.pop("identity", {})}},
        "virtual_keys": {"me": "env.ME"},
    }
    async with serving(
        providers={"alpha": Settings()},
        models={"chat": ["alpha/gpt-4o-mini"]},
        server={"tls": certificates.settings(**fields.pop("tls", {}))},
        governance=governance,
        environ={"ME": "pm-key-of-the-tests-0001"},
        **fields,
    ) as gateway:
        yield gateway


@asynccontextmanager
async def client(gateway: Gateway, context: ssl.SSLContext, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    url = f"https://127.0.0.1:{gateway.port}"
    async with httpx.AsyncClient(base_url=url, verify=context, headers=headers, timeout=30) as found:
        yield found


async def ask(found: httpx.AsyncClient) -> int:
    return (await found.post("/v1/chat/completions", json=chat())).status_code


def test_callers_with_certificates_share_heads_but_not_rights(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def main() -> None:
        async with secured(certificates) as gateway:
            async with (
                client(gateway, certificates.context(INGEST)) as ingest,
                client(gateway, certificates.context(OTHER)) as other,
                client(gateway, certificates.context("spiffe://evil.example/ingest")) as evil,
                client(gateway, certificates.context(common_name="no URI")) as nameless,
            ):
                found = [[await ask(one) for one in (ingest, other, evil, nameless)] for _ in range(4)]
                assert found == [[200, 200, 401, 401]] * 3 + [[429, 429, 401, 401]]
                models = await ingest.get("/v1/models")
                assert models.status_code == 200
            records = await gateway.wait_for_records(17)
            named = [(one["virtual_key"], one["status"]) for one in records if one["status"] in (200, 429)]
            names = ["mesh:spiffe:%2F%2Facme.example%2Fingest", "mesh:spiffe:%2F%2Facme.example%2Fother"]
            assert sorted(named) == sorted(
                [(name, 200) for name in names] * 3 + [(name, 429) for name in names] + [(names[0], 200)]
            )

    run(main())


def test_connection_without_a_trusted_certificate_is_not_accepted(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    ended = datetime.now(UTC) - timedelta(minutes=1)
    contexts = [
        certificates.context(),
        certificates.context(INGEST, authority=Authority()),
        certificates.context(INGEST, not_after=ended),
    ]

    async def main() -> None:
        async with secured(certificates) as gateway:
            for context in contexts:
                async with client(gateway, context) as found:
                    with pytest.raises((httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)):
                        await ask(found)
            assert not gateway.records

    run(main())


def test_optional_certificates_are_beside_virtual_keys(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def main() -> None:
        async with secured(certificates, tls={"client_certificates": "optional"}) as gateway:
            key = {"authorization": "Bearer pm-key-of-the-tests-0001"}
            async with (
                client(gateway, certificates.context()) as bare,
                client(gateway, certificates.context(), **key) as with_key,
                client(gateway, certificates.context(INGEST), **key) as with_both,
                client(gateway, certificates.context(INGEST), authorization="Bearer wrong") as with_wrong,
                client(gateway, certificates.context(INGEST)) as with_certificate,
            ):
                every = (bare, with_key, with_both, with_wrong, with_certificate)
                assert [await ask(one) for one in every] == [401, 200, 200, 401, 200]
            records = await gateway.wait_for_records(3, 200)
            assert [one["virtual_key"].partition(":")[0] for one in records] == ["me", "me", "mesh"]

    run(main())


def test_certificate_that_ends_while_connected_is_refused(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def main() -> None:
        async with secured(certificates) as gateway:
            ends_at = datetime.now(UTC) + timedelta(seconds=4)
            async with client(gateway, certificates.context(INGEST, not_after=ends_at)) as found:
                assert await ask(found) == 200
                await asyncio.sleep((ends_at - datetime.now(UTC)).total_seconds() + 1)
                answer = await found.post("/v1/chat/completions", json=chat())
                assert answer.status_code == 401
                assert answer.json()["error"]["message"].startswith("no valid virtual key was presented")

    run(main())


def test_replaced_files_are_in_force_for_new_connections(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    another = Authority("another")

    async def main() -> None:
        async with secured(certificates) as gateway:
            assert gateway.worker is not None
            tls = gateway.worker.tls
            assert tls is not None
            assert not tls.refresh()
            old = certificates.context(INGEST)
            async with client(gateway, old) as found:
                assert await ask(found) == 200
            certificates.of_server = trustme.CA()
            certificates.renew()
            certificates.trust_clients(another)
            assert tls.refresh()
            async with client(gateway, certificates.context(OTHER, authority=another)) as found:
                assert await ask(found) == 200
            fresh = certificates.context(INGEST)
            async with client(gateway, fresh) as found:
                with pytest.raises((httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)):
                    await ask(found)
            (tmp_path / "cert.pem").write_text("nothing")
            assert not tls.refresh()
            async with client(gateway, certificates.context(OTHER, authority=another)) as found:
                assert await ask(found) == 200, "the earlier files stay in force"

    run(main())


def test_console_has_tls_and_asks_for_certificates(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def main() -> None:
        console = {"listen": "127.0.0.1:0", "tls": certificates.settings()}
        async with secured(certificates, as_process=True, console=console) as gateway:
            assert gateway.console_url.startswith("https://")
            headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
            context = certificates.context(common_name="operator")
            async with httpx.AsyncClient(verify=context, timeout=30) as operator:
                answer = await operator.get(f"{gateway.console_url}/api/v1/me", headers=headers)
                assert answer.status_code == 200, answer.text
            async with httpx.AsyncClient(verify=certificates.context(), timeout=30) as bare:
                with pytest.raises((httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)):
                    await bare.get(f"{gateway.console_url}/healthz")
            async with client(gateway, certificates.context(INGEST)) as found:
                assert [await ask(found) for _ in range(4)] == [200, 200, 200, 429], "control shares the limits"
                assert json.loads((await found.get("/readyz")).text)["status"] == "ok"
            assert gateway.process is not None
            gateway.process.terminate()
            assert await gateway.process.wait() == 0

    run(main())
