"""Accounts of clouds through a whole gateway, in front of local servers that play their services: federation and
impersonation at Google, managed identities at Azure, logins and programs at AWS."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest

from fakes.gemini import answer, text
from fakes.origin import Peer
from fakes.origin import serving as serving_script
from integration.gateway import chat, run, serving
from pointsman.simulate import Settings


class Service:
    """A server that answers each request with JSON by the beginning of its request line, and keeps the requests."""

    def __init__(self) -> None:
        self.answers: dict[str, object] = {}
        self.requests: list[bytes] = []
        self.origin = ""

    async def script(self, peer: Peer) -> None:
        while True:
            request = await peer.request()
            self.requests.append(request)
            place = next((name for name in self.answers if request.startswith(name.encode())), None)
            body = json.dumps(self.answers.get(place or "", {})).encode()
            status = b"200 OK" if place is not None else b"404 No"
            kind = b"Content-Type: application/json\r\n"
            peer.send(b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, kind, len(body), body))

    def of(self, beginning: str) -> list[bytes]:
        return [one for one in self.requests if one.startswith(beginning.encode())]


@asynccontextmanager
async def playing(service: Service) -> AsyncIterator[Service]:
    async with serving_script(service.script) as fake:
        service.origin = str(fake.origin)
        yield service
        await fake.stop()


def with_path(service: Service, method_and_path: str, body: object) -> None:
    service.answers[method_and_path] = body


@pytest.mark.parametrize("is_inner", [False, True])
def test_federated_account_of_google_impersonates_another(tmp_path: Path, is_inner: bool) -> None:
    """The file of a workload names a token that its platform writes; that of a user may impersonate with it too."""
    service = Service()
    used = {"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8}
    with_path(service, "POST /sts ", {"access_token": "federated-token", "expires_in": 3600})
    with_path(service, "POST /impersonate", {"accessToken": "ya29.other", "expireTime": "2999-01-01T00:00:00Z"})
    with_path(service, "POST /v1/projects", answer(text("from Gemini"), finish="STOP", usageMetadata=used))

    async def main() -> None:
        async with playing(service):
            (tmp_path / "token").write_text(json.dumps({"value": "subject-of-the-tests"}))
            url = {"service_account_impersonation_url": f"{service.origin}/impersonate/g@p.test:generateAccessToken"}
            account: dict[str, Any] = {
                "type": "external_account",
                "audience": "//iam.googleapis.com/projects/1/x",
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "token_url": f"{service.origin}/sts",
                "credential_source": {
                    "file": str(tmp_path / "token"),
                    "format": {"type": "json", "subject_token_field_name": "value"},
                },
            }
            if is_inner:
                account = {"type": "impersonated_service_account", "source_credentials": account}
            (tmp_path / "account.json").write_text(json.dumps({**account, **url}))
            vertex = {
                "type": "vertex",
                "base_url": f"{service.origin}/v1",
                "keys": {"main": {"google": f"file:{tmp_path / 'account.json'}"}},
                "project": "my-project",
                "region": "europe-west4",
            }
            async with serving(provider_settings={"vertex": vertex}, is_alone=False) as gateway:
                assert (await gateway.ask(chat("vertex/gemini-2.5-flash"))).text == "from Gemini"
                assert b"subject-of-the-tests" not in gateway.log_file.read_bytes()
        assert b"subject_token=subject-of-the-tests" in service.of("POST /sts")[0]
        assert b"authorization: Bearer federated-token\r\n" in service.of("POST /impersonate")[0]
        assert b"authorization: Bearer ya29.other\r\n" in service.of("POST /v1/projects")[0]

    run(main())


@pytest.mark.parametrize("of_app", [False, True])
def test_managed_identity_of_azure_is_used(monkeypatch: pytest.MonkeyPatch, of_app: bool) -> None:
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZURE_TENANT_ID"):
        monkeypatch.delenv(name, raising=False)
    service, until = Service(), 32_503_680_000
    with_path(service, "GET /msi/token?", {"access_token": "token-of-the-app", "expires_on": str(until)})
    with_path(service, "GET /metadata/identity/oauth2/token?", {"access_token": "token-of-the-vm", "expires_in": "9"})

    async def main() -> None:
        async with playing(service):
            monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", service.origin)
            if of_app:
                monkeypatch.setenv("IDENTITY_ENDPOINT", f"{service.origin}/msi/token")
                monkeypatch.setenv("IDENTITY_HEADER", "h3ader")
            entra = {"identity": "managed_identity", "client_id": "id-2"} if of_app else "managed_identity"
            azure = {"type": "azure", "keys": {"only": {"entra": entra}}, "serves": ["gpt-4o-mini"]}
            async with serving(
                providers={"azure": Settings()}, provider_settings={"azure": azure}, is_alone=False
            ) as gateway:
                assert (await gateway.ask(chat("azure/gpt-4o-mini"))).status == 200
                sent = gateway.providers["azure"].requests[-1].headers["authorization"]
                assert sent == f"Bearer token-of-the-{'app' if of_app else 'vm'}"
        (asked, *_) = service.requests
        assert b"resource=https%3A%2F%2Fcognitiveservices.azure.com" in asked
        assert (b"x-identity-header: h3ader\r\n" in asked and b"client_id=id-2" in asked) is of_app
        assert (b"metadata: true\r\n" in asked) is not of_app

    run(main())


@pytest.mark.parametrize("kind", ["login", "program"])
def test_profile_of_aws_signs_requests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_ROLE_ARN", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    keys = {"accessKeyId": "ASIALOGIN", "secretAccessKey": "s3cret-of-a-login", "sessionToken": "t"}
    service = Service()
    with_path(service, "GET /federation", {"roleCredentials": {**keys, "expiration": 32_503_680_000_000}})
    message = {"message": {"role": "assistant", "content": [{"text": "signed"}]}}
    used = {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4}
    with_path(service, "POST /model", {"output": message, "stopReason": "end_turn", "usage": used})
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    token = json.dumps({"accessToken": "login-token", "expiresAt": "2999-01-01T00:00:00Z"})
    (cache / f"{sha1(b'corp').hexdigest()}.json").write_text(token)
    printed = {"Version": 1, "AccessKeyId": "AKIAPROGRAM", "SecretAccessKey": "s3cret-of-a-program"}
    (tmp_path / "keys.py").write_text(f"print({json.dumps(printed)!r})\n")
    profile = {
        "login": "sso_session = corp\nsso_account_id = 1\nsso_role_name = r\n"
        "[sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://corp.test/start\n",
        "program": f"credential_process = {sys.executable} {tmp_path / 'keys.py'}\n",
    }[kind]
    (tmp_path / ".aws" / "config").write_text(f"[default]\n{profile}")

    async def main() -> None:
        async with playing(service):
            monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", service.origin)
            bedrock = {
                "type": "bedrock",
                "base_url": service.origin,
                "keys": {"only": {"aws": "ambient"}},
                "region": "eu-central-1",
            }
            async with serving(provider_settings={"bedrock": bedrock}, is_alone=False) as gateway:
                assert (await gateway.ask(chat("bedrock/amazon.nova-lite-v1:0"))).text == "signed"
                assert b"s3cret" not in gateway.log_file.read_bytes()
        (asked,) = service.of("POST /model")
        key_id = b"ASIALOGIN" if kind == "login" else b"AKIAPROGRAM"
        assert b"Credential=%b/" % key_id in asked
        assert bool(service.of("GET /federation")) is (kind == "login")

    run(main())


def test_ended_login_says_how_to_log_in_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_ROLE_ARN", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".aws").mkdir()
    session = "[sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://corp.test/start\n"
    profile = "[default]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = r\n"
    (tmp_path / ".aws" / "config").write_text(profile + session)

    async def main() -> None:
        bedrock = {
            "type": "bedrock",
            "base_url": "http://127.0.0.1:1",
            "keys": {"only": {"aws": "ambient"}},
            "region": "eu-central-1",
        }
        async with serving(provider_settings={"bedrock": bedrock}, is_alone=False) as gateway:
            answered = await gateway.ask(chat("bedrock/amazon.nova-lite-v1:0"))
            assert answered.status >= 400
            (record,) = await gateway.wait_for_records(1)
            (attempt,) = record["attempts"]
            assert attempt["outcome"] == "upstream_credential_rejected"
            assert "run `aws sso login --profile default` as the user of the gateway" in attempt["message"]

    run(main())
