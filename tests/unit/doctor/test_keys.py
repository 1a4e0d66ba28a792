"""The check of the keys at their providers."""

from pathlib import Path

import pytest

from fakes.examined import CONFIG, examine, levels, subject
from fakes.origin import Peer, run, serving
from pointsman.doctor.api import Finding
from pointsman.doctor.keys import check

LIST = b'{"object":"list","data":[{"id":"a","object":"model"}]}'


@pytest.mark.parametrize(
    ("status", "body", "level", "text"),
    [
        (b"200 OK", LIST, "ok", "here, key k: works; it lists 1 models"),
        (b"401 Unauthorized", b"{}", "error", "here, key k: the provider rejects it: the response has status 401"),
        (b"404 Not Found", b"{}", "warning", "here, key k: the response has status 404"),
        (b"503 Busy", b"{}", "error", "here, key k: the response has status 503"),
        (b"200 OK", b"<html>", "error", "here, key k: the response is not a list of models"),
    ],
)
def test_answer_of_the_provider(status: bytes, body: bytes, level: str, text: str, tmp_path: Path) -> None:
    async def main() -> Finding:
        async def script(peer: Peer) -> None:
            await peer.answer(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))

        async with serving(script) as fake:
            entry = f"{{type: openai-compatible, base_url: '{fake.origin}/v1', keys: {{k: env.OPENAI_API_KEY}}}}"
            config = CONFIG.replace("{openai: env.OPENAI_API_KEY}", f"{{here: {entry}}}")
            (found,) = await check(subject(tmp_path, config))
            assert b"Bearer sk-openai" in fake.peers[0].received
            return found

    found = run(main())
    assert (found.level, found.text[: len(text)]) == (level, text)


def test_offline_asks_nobody(tmp_path: Path) -> None:
    assert levels(examine("keys", subject(tmp_path, is_online=False))) == ["skipped"]


def test_key_without_a_token_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    config = CONFIG.replace(
        "{openai: env.OPENAI_API_KEY}", "{vertex: {project: p, region: europe-west1, keys: {k: {google: adc}}}}"
    )
    (found,) = examine("keys", subject(tmp_path, config))
    assert found.level == "error"
    assert "no credential for the key vertex:k" in found.text


def test_key_without_the_right_to_list_may_still_work(tmp_path: Path) -> None:
    async def main() -> Finding:
        async def script(peer: Peer) -> None:
            await peer.answer(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}")

        async with serving(script) as fake:
            entry = f"{{base_url: '{fake.origin}', region: eu-west-1, keys: {{k: env.OPENAI_API_KEY}}}}"
            config = CONFIG.replace("{openai: env.OPENAI_API_KEY}", f"{{bedrock: {entry}}}")
            (found,) = await check(subject(tmp_path, config))
            return found

    found = run(main())
    assert (found.level, found.text) == (
        "warning",
        "bedrock, key k: may not list models: the response has status 403",
    )
