"""The rest of OpenAI's API passes through to one provider: JSON, forms, files and streams, unchanged in both
directions."""

import asyncio
import gzip
import random
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fakes.origin import Peer
from fakes.origin import serving as serving_script
from integration.gateway import Gateway, run, serving
from integration.governance import bearer, governance, prices, usd
from integration.wire import ask, connect, request
from pointsman.simulate import Settings

MODELS = {"voice": ["a/tts-1", "b/tts-1"], "ears": ["a/whisper-1", "b/whisper-1"], "talk": ["a/gpt-4o", "b/gpt-4o"]}
TWO = {"a": Settings(), "b": Settings()}
MIB = 1 << 20
_BOUNDARY = "----boundary7MA4"
FORM = {"content-type": f"multipart/form-data; boundary={_BOUNDARY}"}
TRANSCRIPTIONS = "/v1/audio/transcriptions"


def form(*parts: tuple[str, bytes, str | None]) -> bytes:
    """Build a form from `(name, data, filename)`."""
    body = b""
    for name, data, filename in parts:
        file = f'; filename="{filename}"\r\ncontent-type: audio/wav' if filename else ""
        body += (
            f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + data + b"\r\n"
        )
    return body + f"--{_BOUNDARY}--\r\n".encode()


def test_json_paths_get_the_providers_name_for_the_model() -> None:
    async def main() -> None:
        async with serving(providers=TWO, models={**MODELS, "judge": ["b/omni-moderation-latest"]}) as gateway:
            for path, model, fields, theirs in (
                ("/v1/moderations", "judge", {"input": "x"}, "omni-moderation-latest"),
                ("/v1/audio/speech", "voice", {"input": "Hi", "voice": "alloy"}, "tts-1"),
                ("/v1/images/generations", "a/gpt-image-1", {"prompt": "x"}, "gpt-image-1"),
                ("/v1/responses", "talk", {"input": "x", "store": False}, "gpt-4o"),
            ):
                body = msgspec.json.encode({**fields, "model": model})
                received = await ask(gateway.base_url, "POST", path, body)
                assert received.status == 200, received
                name = received.headers["x-pointsman-provider"]
                sent = gateway.providers[name].requests[-1]
                assert sent.target == path
                assert msgspec.json.decode(sent.body) == {**fields, "model": theirs}

    run(main())


def test_form_is_routed_by_its_model_or_by_a_header() -> None:
    audio = random.Random(1).randbytes(100_000)
    file = ("file", audio, "a.wav")
    model = ("model", b"ears", None)
    rest = ("language", b"en", None)

    async def main() -> None:
        async with serving(providers=TWO, models=MODELS) as gateway:
            a = gateway.providers["a"]
            for parts in ((model, file, rest), (rest, model, file), (file, model), (file, rest, model)):
                received = await ask(gateway.base_url, "POST", TRANSCRIPTIONS, form(*parts), FORM)
                assert received.status == 200, received
                assert received.json()["text"] == "100000 bytes of audio."
                expected = [("model", b"whisper-1", None) if part is model else part for part in parts]
                assert a.requests[-1].body == form(*expected)
                assert a.requests[-1].headers["content-length"] == str(len(form(*expected)))

            # If a header names the provider, the form may omit the model.
            to_b = {**FORM, "x-pointsman-provider": "b"}
            for second, theirs, status in ((model, ("model", b"whisper-1", None), 200), (rest, rest, 400)):
                received = await ask(gateway.base_url, "POST", TRANSCRIPTIONS, form(file, second), to_b)
                assert (received.status, received.headers["x-pointsman-provider"]) == (status, "b")
                assert gateway.providers["b"].requests[-1].body == form(file, theirs)

            count = len(a.bill.entries)
            received = await ask(gateway.base_url, "POST", TRANSCRIPTIONS, form(file, rest), FORM)
            assert received.status == 400
            error = received.error()
            assert error["param"] == "model"
            assert "x-pointsman-provider" in str(error["message"])
            received = await ask(gateway.base_url, "POST", TRANSCRIPTIONS, form(rest), FORM)
            assert (received.status, received.error()["param"]) == (400, "model")
            received = await ask(gateway.base_url, "POST", TRANSCRIPTIONS, form(("model", b"no", None), file), FORM)
            assert (received.status, received.error()["code"]) == (404, "model_not_found")
            assert len(a.bill.entries) == count

    run(main())


def test_form_reaches_the_provider_with_the_decided_model() -> None:
    model, sly = ("model", b"ears", None), ("model", b"gpt-4o-transcribe", None)
    short, long = ("file", b"sound", "a.wav"), ("file", b"x" * 3_000_000, "a.wav")
    forms = [form(*parts) for parts in ((model, sly, short), (sly, model, short), (model, short, sly))]
    forms += [form(model, short).replace(b'"model"', b'"Model"'), form(model, short) + form(sly, short)]
    late = form(model, long, sly)

    async def main() -> None:
        async with serving(providers=TWO, models=MODELS, routing={"commit_buffer": MIB}) as gateway:
            for headers in (FORM, {**FORM, "x-pointsman-provider": "a"}):
                for body in (*forms, late):
                    received = await ask(gateway.base_url, "POST", TRANSCRIPTIONS, body, headers)
                    assert (received.status, received.error()["code"]) == (400, "invalid_request"), body[:300]
            body = form(long, sly)
            received = await ask(gateway.base_url, "POST", TRANSCRIPTIONS, body, headers)
            assert (received.status, received.error()["param"]) == (400, "model")
            assert not any(one.bill.entries for one in gateway.providers.values())
            records = await gateway.wait_for_records(13)
            # Only forms that were corrupted after their beginning were started. Their failure is the client's fault.
            assert [bool(record.get("attempts")) for record in records] == 2 * [*5 * [False], True] + [True]
            assert {record["attempts"][0]["outcome"] for record in records[5:6]} == {"invalid_request"}
            received = await ask(gateway.base_url, "POST", TRANSCRIPTIONS, form(model, long), FORM)
            assert received.status == 200

    run(main())


def test_rights_and_prices_hold_for_forms_with_a_provider_header() -> None:
    file = ("file", b"sound", "a.wav")
    keys: dict[str, dict[str, Any]] = {
        "named": {"allow_models": ["whisper-1"]},
        "entered": {"providers": {"a": {"allow_models": ["whisper-1"]}}},
        "poor": {"budgets": usd(1)},
    }

    async def main() -> None:
        rules, pricing = governance(keys), prices("a/whisper-1")
        async with serving(providers=TWO, models=MODELS, governance=rules, pricing=pricing) as gateway:
            for key, code in (
                ("named", "model_not_allowed"),
                ("entered", "model_not_allowed"),
                ("poor", "price_unknown"),
            ):
                headers = {**FORM, **bearer(key), "x-pointsman-provider": "a"}
                for name in (b"whisper-1", b"gpt-4o-transcribe"):
                    model = ("model", name, None)
                    for body in (form(model, file), form(file, model)):
                        received = await ask(gateway.base_url, "POST", TRANSCRIPTIONS, body, headers)
                        if name == b"whisper-1":
                            assert received.status == 200, received
                        else:
                            assert (received.status, received.error()["code"]) == (403, code)

    run(main())


@pytest.mark.parametrize("size", [1000, 60_000, 1_000_000])
def test_chunking_of_a_form_does_not_change_its_reservation(size: int) -> None:
    """400 kB of a file come before its model, under a budget, with the provider named by a header."""
    body = form(("file", b"x" * 400_000, "a.wav"), ("model", b"whisper-1", None))
    rules, pricing = governance({"poor": {"budgets": usd(1)}}), prices("a/whisper-1")

    async def main() -> None:
        async with serving(providers=TWO, models=MODELS, governance=rules, pricing=pricing) as gateway:
            async with connect(gateway.base_url) as wire:
                headers = {**FORM, **bearer("poor"), "x-pointsman-provider": "a"}
                wire.write(request("POST", TRANSCRIPTIONS, body, headers).removesuffix(body))
                for at in range(0, len(body), size):
                    wire.write(body[at : at + size])
                    await asyncio.sleep(0)
                received = await wire.answer()
            assert (received.status, received.json()["text"]) == (200, "400000 bytes of audio.")

    run(main())


def test_requested_images_of_a_form_are_reserved() -> None:
    """Each image may have this number of tokens: two fit, three do not."""
    image, model = ("image", b"\x89PNG" * 1000, "a.png"), ("model", b"gpt-image-1", None)
    rules = governance({"poor": {"budgets": usd("0.0020")}})
    input_usd = {"input_usd_per_million": "0.01", "cached_input_usd_per_million": "0.01"}
    pricing = prices("a/gpt-image-1", output_tokens=1000, **input_usd)

    async def main() -> None:
        async with serving(providers=TWO, governance=rules, pricing=pricing) as gateway:
            headers = {**FORM, **bearer("poor"), "x-pointsman-provider": "a"}
            for count, status in ((b"3", 402), (b"2", 200), (b"two", 400)):
                body = form(image, ("n", count, None), model)
                received = await ask(gateway.base_url, "POST", "/v1/images/edits", body, headers)
                assert received.status == status, received

    run(main())


def test_uploads_without_a_length_arrive_whole() -> None:
    body = form(("purpose", b"user_data", None), ("file", b"x" * 300_000, "a.jsonl"))
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(body[at : at + 999]), body[at : at + 999]) for at in range(0, len(body), 999)
    )

    async def main() -> None:
        async with serving(providers=TWO) as gateway, connect(gateway.base_url) as wire:
            headers = {**FORM, "x-pointsman-provider": "a", "transfer-encoding": "chunked"}
            head = request("POST", "/v1/files", headers=headers).replace(b"content-length: 0\r\n", b"")
            wire.write(head + chunks + b"0\r\n\r\n")
            received = await wire.answer()
            assert (received.status, received.json()["bytes"]) == (200, 300_000)
            assert gateway.providers["a"].requests[-1].body == body

    run(main())


def test_files_are_stored_read_and_deleted_with_one_key() -> None:
    given = {"a": {"keys": {"one": "env.KEY_ONE", "two": "env.KEY_TWO"}}}
    environ = {"KEY_ONE": "sk-one-0123456789", "KEY_TWO": "sk-two-0123456789"}

    async def main() -> None:
        keys = dict.fromkeys(environ.values(), "")
        async with serving(providers={"a": Settings(keys=keys)}, provider_settings=given, environ=environ) as gateway:
            at_a = {"x-pointsman-provider": "a"}
            data = random.Random(2).randbytes(50_000)
            for _ in range(10):
                body = form(("purpose", b"user_data", None), ("file", data, "a.bin"))
                async with connect(gateway.base_url) as wire:
                    stored = await wire.ask("POST", "/v1/files", body, {**FORM, **at_a})
                    assert stored.status == 200, stored
                    name = str(stored.json()["id"])
                    assert (await wire.ask("GET", f"/v1/files/{name}", headers=at_a)).json()["bytes"] == len(data)
                    content = await wire.ask("GET", f"/v1/files/{name}/content", headers=at_a)
                    assert content.body == data
                    assert content.headers["content-type"] == "application/octet-stream"
                    listed = await wire.ask("GET", "/v1/files?limit=5&order=asc", headers=at_a)
                    assert name in listed.body.decode()
                    assert gateway.providers["a"].requests[-1].target == "/v1/files?limit=5&order=asc"
                    head = await wire.ask("HEAD", f"/v1/files/{name}", headers=at_a)
                    assert head.body == b""
                    assert (await wire.ask("DELETE", f"/v1/files/{name}", headers=at_a)).json()["deleted"] is True
                    missing = await wire.ask("GET", f"/v1/files/{name}", headers=at_a)
                    assert missing.status == 404
                    assert name in missing.body.decode()
            assert len({entry.key for entry in gateway.providers["a"].bill.entries}) == 1

    run(main())


def test_long_forms_fail_over_only_before_bytes_were_sent() -> None:
    body = form(("purpose", b"user_data", None), ("model", b"ears", None), ("file", b"x" * 5000, "a.wav"))

    async def main() -> None:
        async with serving(providers=TWO, models=MODELS, routing={"commit_buffer": 1024}) as gateway:
            a, b = gateway.providers["a"], gateway.providers["b"]
            for fault in ("status=500", "reset", "close_at=50"):
                a.set_fault(fault)
                a.reset()
                received = await ask(gateway.base_url, "POST", TRANSCRIPTIONS, body, FORM)
                assert received.status in (502, 503), (fault, received)
                assert len(a.bill.entries) == 1
                assert not b.bill.entries, fault
                gateway.live.conditions.clear()
                gateway.live.change()
            a.set_fault("refuse")
            for _ in range(3):
                received = await ask(gateway.base_url, "POST", TRANSCRIPTIONS, body, FORM)
                assert (received.status, received.headers["x-pointsman-provider"]) == (200, "b")
                gateway.live.conditions.clear()
                gateway.live.change()

    run(main())


@pytest.mark.parametrize("fault", ["status=500", "reset", "close_at=50", "refuse"])
def test_forms_that_are_held_fail_over(fault: str) -> None:
    """The recording is replayed unchanged, with the other provider's name for the model."""
    sound = random.Random(3).randbytes(20_000)
    body = form(("file", sound, "a.wav"), ("model", b"ears", None))
    models = {"ears": ["a/whisper-1", "b/gpt-4o"]}

    async def main() -> None:
        async with serving(providers=TWO, models=models) as gateway:
            gateway.providers["a"].set_fault(fault)
            received = await ask(gateway.base_url, "POST", TRANSCRIPTIONS, body, FORM)
            assert (received.status, received.headers["x-pointsman-provider"]) == (200, "b"), received
            assert gateway.providers["b"].requests[-1].body == body.replace(b"ears", b"gpt-4o")
            (record,) = await gateway.wait_for_records(1)
            assert len(record["attempts"]) == 2

    run(main())


def test_calls_without_state_fail_over() -> None:
    async def main() -> None:
        async with serving(providers=TWO, models=MODELS) as gateway:
            gateway.providers["a"].set_fault("status=500")
            body = msgspec.json.encode({"model": "voice", "input": "Hello", "voice": "alloy"})
            received = await ask(gateway.base_url, "POST", "/v1/audio/speech", body)
            assert (received.status, received.headers["x-pointsman-provider"]) == (200, "b")
            assert received.headers["content-type"] == "audio/mpeg"

    run(main())


def test_paths_of_special_servers_reach_the_named_one() -> None:
    async def main() -> None:
        async with serving(providers=TWO, models=MODELS) as gateway:
            to_b = {"x-pointsman-provider": "b", "openai-beta": "assistants=v2"}
            for method, path, body, headers, server in (
                ("POST", "/v1/rerank", b'{"model":"b/ranker","query":"q","documents":["d"]}', {}, "b"),
                ("POST", "/v1/score", b'{"model":"a/ranker","text_1":"q","text_2":"d"}', {}, "a"),
                ("POST", "/v1/threads", b"", to_b, "b"),
                ("GET", "/v1/threads/t-1/messages?limit=2", b"", to_b, "b"),
                ("DELETE", "/v1/assistants/asst-1", b"", to_b, "b"),
            ):
                received = await ask(gateway.base_url, method, path, body, headers)
                assert received.headers["x-pointsman-provider"] == server
                sent = gateway.providers[server].requests[-1]
                assert (sent.method, sent.target) == (method, path)
                assert sent.headers.get("openai-beta") == headers.get("openai-beta")
            received = await ask(gateway.base_url, "POST", "/v1/threads", b"{}")
            assert (received.status, "x-pointsman-provider" in str(received.error()["message"])) == (400, True)
            for path in ("/v1/organization/admin_api_keys", "/v1/realtime/sessions"):
                received = await ask(gateway.base_url, "POST", path, b"{}", to_b)
                assert (received.status, received.error()["code"]) == (404, "unknown_path")

    run(main())


def test_responses_are_streamed_immediately() -> None:
    async def main() -> None:
        settings = Settings(output_tokens=20, token_gap_ms=20, text="numbered")
        async with serving(providers={"a": settings}, models={"talk": ["a/gpt-4o"]}) as gateway:
            body = msgspec.json.encode({"model": "talk", "input": "x", "stream": True})
            async with connect(gateway.base_url) as wire:
                wire.write(request("POST", "/v1/responses", body))
                received = await wire.head()
                assert received.headers["content-type"].startswith("text/event-stream")
                entry = gateway.providers["a"].bill.entries[0]
                pieces, was_open = [], 0
                async for piece in wire.pieces(received):
                    pieces.append(piece)
                    was_open += entry.outcome == "open"
                assert was_open > 10, "the events arrived only at the end of the stream"
            text = b"".join(pieces)
            events = [line[6:] for line in text.split(b"\n") if line.startswith(b"data: ")]
            found = [msgspec.json.decode(event) for event in events]
            assert [event["sequence_number"] for event in found] == list(range(len(found)))
            assert "".join(event["delta"] for event in found if "delta" in event) == "".join(f" {n}" for n in range(20))
            stored = found[-1]["response"]["id"]
            again = await ask(gateway.base_url, "GET", f"/v1/responses/{stored}", headers={"x-pointsman-provider": "a"})
            assert again.json()["id"] == stored

    run(main())


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity"])
def test_encoded_answers_reach_the_client_decoded(encoding: str) -> None:
    plain = msgspec.json.encode({"object": "list", "data": ["x" * 100_000]})
    packed = {"gzip": gzip.compress(plain), "deflate": zlib.compress(plain), "identity": plain}[encoding]

    async def script(peer: Peer) -> None:
        while await peer.request():
            lines = f"content-type: application/json\r\ncontent-encoding: {encoding}\r\ncontent-length: {len(packed)}"
            peer.send(f"HTTP/1.1 200 OK\r\n{lines}\r\n\r\n".encode(), packed)

    async def main() -> None:
        async with (
            serving_script(script) as fake,
            serving(provider_settings={"a": {"base_url": f"{fake.origin}/v1"}}) as gateway,
        ):
            received = await ask(gateway.base_url, "GET", "/v1/files", headers={"x-pointsman-provider": "a"})
            assert (received.status, received.body) == (200, plain)
            assert "content-encoding" not in received.headers
            await fake.stop()

    run(main())


def test_gzipped_chat_stream_is_decoded_immediately() -> None:
    async def main() -> None:
        async with serving(providers=TWO, models=MODELS) as gateway:
            gateway.providers["a"].set_fault("gzip")
            for stream in (False, True):
                answer = await gateway.ask(
                    {"model": "talk", "messages": [{"role": "user", "content": "x"}], "stream": stream}
                )
                assert answer.status == 200
                assert "content-encoding" not in answer.headers
                assert answer.text

    run(main())


def _memory_kib(process: int) -> tuple[int, int]:
    """Return the memory of a process now, and its peak, in KiB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    found = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return int(found["VmRSS"].split()[0]), int(found["VmHWM"].split()[0])


def test_large_bodies_pass_in_little_memory_both_ways() -> None:
    size = 64 * MIB
    block = random.Random(3).randbytes(MIB)

    async def script(peer: Peer) -> None:
        """Read an upload at a slow pace and answer with its size; send a file of the requested size."""
        while True:
            head = await peer._reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"POST"):
                left = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                arrived = 0
                while arrived < left:
                    arrived += len(await peer._reader.read(MIB))
                answer = msgspec.json.encode({"bytes": arrived})
                peer.send(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer)
                )
                peer.send(answer)
            else:
                peer.send(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: %d\r\n\r\n" % size
                )
                for _ in range(size // MIB):
                    peer.send(block)
                    await peer.drain()

    async def upload(gateway: Gateway) -> None:
        headers = {"content-type": "application/octet-stream", "x-pointsman-provider": "a", "content-length": str(size)}
        async with connect(gateway.base_url) as wire:
            wire.write(request("POST", "/v1/files", headers=headers))
            for _ in range(size // MIB):
                wire.write(block)
                await wire.writer.drain()
            assert (await wire.answer()).json() == {"bytes": size}

    async def download(gateway: Gateway) -> None:
        async with connect(gateway.base_url) as wire:
            wire.write(request("GET", "/v1/files/x/content", headers={"x-pointsman-provider": "a"}))
            received = await wire.head()
            assert received.headers["content-length"] == str(size)
            at = 0
            async for piece in wire.pieces(received):
                start = at % MIB
                assert piece == (block + block)[start : start + len(piece)]
                at += len(piece)
            assert at == size

    async def main() -> None:
        async with serving_script(script) as fake:
            given = {"a": {"base_url": f"{fake.origin}/v1"}}
            async with serving(as_process=True, provider_settings=given) as gateway:
                assert gateway.process is not None
                await ask(gateway.base_url, "GET", "/healthz")
                before, _ = _memory_kib(gateway.process.pid)
                await upload(gateway)
                await download(gateway)
                _, most = _memory_kib(gateway.process.pid)
                assert most - before < 16 * 1024, f"{most - before} KiB for bodies of {size >> 10} KiB"
                print(f"64 MiB up and down: {most - before} KiB above idle")
                await fake.stop()

    run(main())
