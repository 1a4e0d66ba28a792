"""A login at an identity provider: its state is bound to one browser, one provider and ten minutes."""

from typing import Any

import pytest
from msgspec.structs import replace

from integration.gateway import run
from pointsman.admin.sign_on import flow
from pointsman.admin.sign_on.flow import SignOnFlow
from pointsman.admin.sign_on.identity import IdentityError
from unit.admin.sign_on.test_client import lying


def test_cookie_of_another_process_provider_or_time_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with lying() as (_, client):
            one, other = SignOnFlow(), SignOnFlow()
            _, cookie = await one.begin(client.provider, "https://a.example/back")
            query = {"state": one._read(cookie).state, "code": "c"}
            second = replace(client.provider, name="second")
            for flow_, provider, text in (
                (other, client.provider, cookie), (one, second, cookie), (one, client.provider, cookie[:-2]),
                (one, client.provider, None), (one, client.provider, ""),
            ):  # fmt: skip
                with pytest.raises(IdentityError, match="begin again"):
                    await flow_.finish(provider, "https://a.example/back", text, query)
            monkeypatch.setattr(flow, "LOGIN_S", -1)
            with pytest.raises(IdentityError, match="took too long"):
                await one.finish(client.provider, "https://a.example/back", cookie, query)

    run(main())


def test_issuer_in_the_answer_must_be_that_of_the_provider() -> None:
    async def main() -> None:
        async with lying() as (liar, client):
            sign_on = SignOnFlow()
            document = liar.metadata(authorization_response_iss_parameter_supported=True)
            liar.answers["/.well-known/openid-configuration"] = 200, document
            liar.answers["/t"] = 400, {"error": "invalid_grant"}
            _, cookie = await sign_on.begin(client.provider, "https://a.example/back")
            query: dict[str, Any] = {"state": sign_on._read(cookie).state, "code": "c"}
            for more, message in (
                ({}, "another identity provider"), ({"iss": "https://evil.example"}, "another identity provider"),
                ({"iss": liar.issuer}, "invalid_grant"), ({"iss": liar.issuer, "error": "denied"}, "did not log"),
            ):  # fmt: skip
                with pytest.raises(IdentityError, match=message):
                    await sign_on.finish(client.provider, "https://a.example/back", cookie, {**query, **more})

    run(main())


def test_changed_settings_get_a_new_client() -> None:
    async def main() -> None:
        async with lying() as (_, client):
            sign_on = SignOnFlow()
            first = sign_on.client(client.provider)
            assert sign_on.client(client.provider) is first
            assert sign_on.client(replace(client.provider, client_secret="new")) is not first
            assert await sign_on.log_out_url(client.provider, "https://a.example/") is None

    run(main())


def test_answer_for_another_user_ends_the_session() -> None:
    async def main() -> None:
        async with lying() as (liar, client):
            sign_on = SignOnFlow()
            liar.answers |= {"/t": (200, {"access_token": "a"}), "/u": (200, {"sub": "s1", "groups": ["x"]})}
            confirmed = await sign_on.again(client.provider, "refresh", "s1")
            assert (confirmed.identity.groups, confirmed.refresh) == (("x",), "refresh")
            liar.answers["/t"] = 200, {"access_token": "a", "refresh_token": "rotated"}
            assert (await sign_on.again(client.provider, "refresh", "s1")).refresh == "rotated"
            with pytest.raises(IdentityError, match="another user"):
                await sign_on.again(client.provider, "refresh", "s2")

    run(main())
