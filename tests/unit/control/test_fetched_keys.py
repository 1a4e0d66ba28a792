"""Tokens that control fetches for a moment."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from fakes.origin import Peer, run, serving
from fakes.routing import endpoint, provider_key
from pointsman.control.fetch import AnswerError
from pointsman.control.fetched_keys import concrete
from pointsman.domain.origin import AccessToken, GoogleSource, Secret

ACCOUNT = {"type": "authorized_user", "client_id": "c", "client_secret": "very-secret", "refresh_token": "r"}


def test_concrete_key_is_used_as_it_is() -> None:
    key = provider_key("k")
    assert run(concrete(endpoint("a", key), key)) is key


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (b"200 OK", {"access_token": "ya29.token", "expires_in": 60}, ""),
        (b"400 No", {"error": "invalid_grant"}, "no credential for the key a:k: .*refused with status 400 .*again"),
    ],
)
def test_token_is_fetched_once(status: bytes, body: object, expected: str, tmp_path: Path) -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            answer = json.dumps(body).encode()
            await peer.answer(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(answer), answer))

        async with serving(script) as fake:
            text = json.dumps({**ACCOUNT, "token_uri": f"{fake.origin}/token"})
            key = replace(provider_key("k"), credential=GoogleSource(Secret(text)))
            if expected:
                with pytest.raises(AnswerError, match=expected) as raised:
                    await concrete(endpoint("a", key), key)
                assert "very-secret" not in str(raised.value)
            else:
                assert (await concrete(endpoint("a", key), key)).credential == AccessToken("ya29.token")
            assert len(fake.peers) == 1

    run(main())
