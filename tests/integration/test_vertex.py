"""Vertex AI through a whole gateway: a service account's token, Gemini and Claude, for clients of two dialects."""

import json
from pathlib import Path
from typing import Any

from fakes.anthropic import HELLO
from fakes.gemini import answer, text
from fakes.origin import Peer
from fakes.origin import serving as serving_script
from integration.gateway import chat, run, serving
from integration.wire import ask
from unit.engine.sources.test_google import account

CLAUDE = "claude-sonnet-4-5@20250929"
GEMINI = "gemini-2.5-flash"
SAID = {
    "type": "message",
    "id": "msg_vrtx_1",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": "from Claude"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 2},
}


def reply(body: object) -> bytes:
    data = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data)


def test_both_authors_serve_clients_of_both_dialects_by_one_account(tmp_path: Path) -> None:
    requests: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            request = await peer.request()
            requests.append(request)
            if request.startswith(b"POST /token "):
                peer.send(reply({"access_token": "ya29.of-the-tests", "expires_in": 3599}))
            else:
                used = {"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8}
                gemini = answer(text("from Gemini"), finish="STOP", usageMetadata=used)
                peer.send(reply(SAID if b":rawPredict " in request else gemini))

    async def main() -> None:
        async with serving_script(script) as fake:
            file = tmp_path / "account.json"
            file.write_text(account(token_uri=f"{fake.origin}/token"))
            vertex = {
                "type": "vertex",
                "base_url": f"{fake.origin}/v1",
                "keys": {"main": {"google": f"file:{file}"}},
                "project": "my-project",
                "region": "europe-west4",
            }
            async with serving(provider_settings={"vertex": vertex}, is_alone=False) as gateway:
                for model, expected in ((GEMINI, "from Gemini"), (CLAUDE, "from Claude")):
                    one = await gateway.ask(chat(f"vertex/{model}"))
                    assert (one.status, one.text) == (200, expected)
                    body: Any = {**HELLO, "model": f"vertex/{model}"}
                    other = await ask(gateway.base_url, "POST", "/v1/messages", json.dumps(body).encode())
                    assert (other.status, json.loads(other.body)["content"][0]["text"]) == (200, expected)
                records = await gateway.wait_for_records(4)
                assert all(record["cost_nano"] > 0 for record in records)
            await fake.stop()
        assert sum(one.startswith(b"POST /token ") for one in requests) == 1
        sent = [one for one in requests if not one.startswith(b"POST /token ")]
        assert all(b"authorization: Bearer ya29.of-the-tests\r\n" in one for one in sent)
        place = "/v1/projects/my-project/locations/europe-west4/publishers"
        assert [one.split(b" ")[1].decode() for one in sent] == [
            *[f"{place}/google/models/{GEMINI}:generateContent"] * 2,
            *[f"{place}/anthropic/models/{CLAUDE}:rawPredict"] * 2,
        ]

    run(main())
