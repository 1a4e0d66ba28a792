"""Objects that one team creates at a provider are invisible to another: on every stateful path, in every field with an
id."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec
import pytest

from fakes.clock import PATIENCE_S
from fakes.processes import freeze
from integration.gateway import Gateway, run, serving, until
from integration.governance import bearer, governance
from integration.wire import Received, ask, connect, request
from pointsman.simulate import Settings
from pointsman.wire.state import COLLECTIONS, FIELDS, ITEMS, OBJECTS

KEYS = {"red": {"team": "red"}, "blue": {"team": "blue"}, "red2": {"team": "red"}, "alone": {}}
RULES = governance(KEYS, teams={"red": {}, "blue": {}})
MODELS = {"talk": {"strategy": "weighted", "targets": ["a/gpt-4o", "b/gpt-4o"]}}
TWO = {"a": Settings(), "b": Settings()}
FORM = {"content-type": "multipart/form-data; boundary=B"}
FILE = (
    b'--B\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
    b'--B\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n{}\r\n--B--\r\n'
)
AT_A = {"x-pointsman-provider": "a"}

# The creation of one object of each kind: the path and the body.
CREATIONS: dict[str, tuple[str, Any]] = {
    "assistants": ("/assistants", {"name": "helper"}),
    "audio/voice_consents": ("/audio/voice_consents", FILE),
    "audio/voices": ("/audio/voices", FILE),
    "batches": ("/batches", {"endpoint": "/v1/embeddings"}),
    "containers": ("/containers", {"name": "box"}),
    "conversations": ("/conversations", {}),
    "evals": ("/evals", {"name": "judge"}),
    "files": ("/files", FILE),
    "fine_tuning/jobs": ("/fine_tuning/jobs", {"model": "a/gpt-4o"}),
    "responses": ("/responses", {"model": "a/gpt-4o", "input": "x"}),
    "threads": ("/threads", {}),
    "uploads": ("/uploads", {"filename": "a"}),
    "vector_stores": ("/vector_stores", {"name": "shelf"}),
    "videos": ("/videos", {"model": "a/gpt-4o", "prompt": "x"}),
    "videos/characters": ("/videos/characters", FILE),
}
# The calls on an object: the method and the path after its id, as in OpenAI's API description.
CALLS: dict[str, tuple[tuple[str, str], ...]] = {
    "assistants": (("GET", ""), ("POST", ""), ("DELETE", "")),
    "audio/voice_consents": (("GET", ""), ("POST", ""), ("DELETE", "")),
    "audio/voices": (("GET", ""), ("DELETE", "")),
    "batches": (("GET", ""), ("POST", "/cancel")),
    "containers": (
        ("GET", ""), ("POST", "/files"), ("GET", "/files"), ("GET", "/files/cfile_1"),
        ("GET", "/files/cfile_1/content"), ("DELETE", "/files/cfile_1"), ("DELETE", ""),
    ),
    "conversations": (
        ("GET", ""), ("POST", ""), ("GET", "/items"), ("POST", "/items"), ("GET", "/items/msg_1"),
        ("DELETE", "/items/msg_1"), ("DELETE", ""),
    ),
    "evals": (
        ("GET", ""), ("POST", ""), ("POST", "/runs"), ("GET", "/runs"), ("GET", "/runs/r_1"), ("POST", "/runs/r_1"),
        ("GET", "/runs/r_1/output_items"), ("GET", "/runs/r_1/output_items/i_1"), ("DELETE", "/runs/r_1"),
        ("DELETE", ""),
    ),
    "files": (("GET", ""), ("GET", "/content"), ("HEAD", ""), ("DELETE", "")),
    "fine_tuning/jobs": (
        ("GET", ""), ("POST", "/cancel"), ("GET", "/checkpoints"), ("GET", "/events"), ("POST", "/pause"),
        ("POST", "/resume"),
    ),
    "responses": (("GET", ""), ("GET", "/input_items"), ("POST", "/cancel"), ("DELETE", "")),
    "threads": (
        ("GET", ""), ("POST", ""), ("POST", "/messages"), ("GET", "/messages"), ("GET", "/messages/msg_1"),
        ("POST", "/messages/msg_1"), ("DELETE", "/messages/msg_1"), ("POST", "/runs"), ("GET", "/runs"),
        ("GET", "/runs/run_1"), ("POST", "/runs/run_1"), ("POST", "/runs/run_1/cancel"), ("GET", "/runs/run_1/steps"),
        ("GET", "/runs/run_1/steps/s_1"), ("POST", "/runs/run_1/submit_tool_outputs"), ("DELETE", ""),
    ),
    "uploads": (("POST", "/parts"), ("POST", "/cancel"), ("POST", "/complete")),
    "vector_stores": (
        ("GET", ""), ("POST", ""), ("POST", "/file_batches"), ("GET", "/file_batches/b_1"),
        ("POST", "/file_batches/b_1/cancel"), ("GET", "/file_batches/b_1/files"), ("POST", "/files"), ("GET", "/files"),
        ("POST", "/search"), ("DELETE", ""),
    ),
    "videos": (("GET", ""), ("GET", "/content"), ("POST", "/remix"), ("DELETE", "")),
    "videos/characters": (("GET", ""),),
}  # fmt: skip
LISTED = (
    "assistants",
    "batches",
    "containers",
    "evals",
    "files",
    "fine_tuning/jobs",
    "vector_stores",
    "videos",
    "audio/voice_consents",
)


async def call(gateway: Gateway, who: str, method: str, path: str, body: Any = None, **headers: str) -> Received:
    """Send one request; a body of bytes is a form."""
    form = FORM if isinstance(body, bytes) else {}
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    return await ask(gateway.base_url, method, "/v1" + path, data, {**bearer(who), **form, **headers})


async def create(gateway: Gateway, who: str, kind: str, **headers: str) -> str:
    path, body = CREATIONS[kind]
    received = await call(gateway, who, "POST", path, body, **(AT_A | headers))
    assert received.status == 200, (kind, received)
    return str(received.json()["id"])


def sent(gateway: Gateway) -> int:
    """Return the number of requests that have reached a provider."""
    return sum(one.counters.requests_received for one in gateway.providers.values())


def is_absent(received: Received) -> bool:
    """Return true if this is OpenAI's answer for a missing object, in the gateway's words."""
    if received.status == 404 and not received.body:
        return True  # of HEAD
    error = received.error()
    return (received.status, error["type"], error["code"]) == (404, "invalid_request_error", "state_not_found")


def test_table_equals_that_of_the_gateway() -> None:
    assert set(CREATIONS) == set(CALLS) == COLLECTIONS.keys() - {"fine_tuning/checkpoints"}


@pytest.mark.parametrize("kind", sorted(CREATIONS))
def test_objects_of_one_team_are_invisible_to_another(kind: str) -> None:
    async def main() -> None:
        async with serving(providers=TWO, models=MODELS, governance=RULES) as gateway:
            name = await create(gateway, "red", kind)
            before = sent(gateway)
            for method, below in CALLS[kind]:
                for other in ("blue", "alone"):
                    for headers in ({}, AT_A, {"x-pointsman-provider": "b"}):
                        received = await call(gateway, other, method, f"/{kind}/{name}{below}", **headers)
                        assert is_absent(received), (method, below, other, received)
                        assert name in str(received.body) or method == "HEAD"
            assert sent(gateway) == before
            for method, below in CALLS[kind]:  # the other key of the team, without a header: pinned
                if method == "HEAD":  # the simulated provider has none
                    continue
                received = await call(
                    gateway, "red2", method, f"/{kind}/{name}{below}", {} if method == "POST" else None
                )
                assert received.status == 200, (method, below, received)
                assert received.headers["x-pointsman-provider"] == "a"
            if ("DELETE", "") in CALLS[kind]:
                assert is_absent(await call(gateway, "red", "GET", f"/{kind}/{name}"))

    run(main())


@pytest.mark.parametrize("kind", LISTED)
def test_lists_contain_only_owned_objects(kind: str) -> None:
    async def main() -> None:
        async with serving(providers={"a": Settings()}, governance=RULES) as gateway:
            made: dict[str, list[str]] = {"red": [], "blue": [], "alone": []}
            for number in range(12):
                who = ("red", "red", "red", "blue")[number % 4]
                made[who].append(await create(gateway, who, kind))
            for who, own in (*made.items(), ("red2", made["red"])):
                listed: Any = (await call(gateway, who, "GET", f"/{kind}")).json()
                assert [one["id"] for one in listed["data"]] == own
                assert listed["has_more"] is False
                # Pages of two, as an SDK reads them.
                read: list[str] = []
                query = "limit=2"
                while True:
                    listed = (await call(gateway, who, "GET", f"/{kind}?{query}")).json()
                    read += [one["id"] for one in listed["data"]]
                    assert (listed["first_id"], listed["last_id"]) == (
                        (read[-len(listed["data"])], read[-1]) if listed["data"] else (None, None)
                    )
                    if not listed["has_more"]:
                        break
                    query = f"limit=2&after={read[-1]}"
                assert read == own
            received = await call(gateway, "blue", "GET", f"/{kind}?after={made['red'][0]}")
            assert is_absent(received)
            received = await call(gateway, "blue", "GET", f"/{kind}?before={made['blue'][0]}")
            assert (received.status, received.error()["param"]) == (400, "before")

    run(main())


def bodies(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield requests that name an id in their body, in every field of the table."""
    for field in FIELDS:
        yield "/responses", {"model": "talk", "input": "x", field: name}
        yield "/responses", {"model": "talk", "input": "x", "tools": [{"type": "t", "deeper": [{field: [name]}]}]}
        yield "/threads", {"tool_resources": {"search": {field: name}}}
    for field in OBJECTS:
        yield "/responses", {"model": "talk", "input": "x", field: {"id": name}}
        yield "/evals", {"testing_criteria": {field: [{"id": name}]}}
    for type_ in ITEMS:
        yield "/responses", {"model": "talk", "input": [{"type": type_, "id": name}]}
    yield "/responses", {"model": "talk", "input": [{"id": name}]}
    for part in ({"type": "file", "file": {"file_id": name}},):
        yield "/chat/completions", {"model": "talk", "messages": [{"role": "user", "content": [part]}]}
    yield "/chat/completions", {"model": "talk", "messages": [{"role": "assistant", "audio": {"id": name}}]}
    yield (
        "/chat/completions",
        {"model": "talk", "messages": [{"role": "user", "content": "x"}], "audio": {"voice": {"id": name}}},
    )
    yield "/audio/speech", {"model": "talk", "input": "x", "voice": {"id": name}}
    yield "/images/edits", {"model": "talk", "prompt": "x", "images": [{"file_id": name}]}


def test_ids_in_bodies_are_checked_at_every_place() -> None:
    async def main() -> None:
        async with serving(providers=TWO, models=MODELS, governance=RULES) as gateway:
            name = await create(gateway, "red", "files")
            before, count = sent(gateway), 0
            for path, body in bodies(name):
                text = json.dumps(body)
                # Names may be written with escapes, and some servers ignore their case.
                for spelt in (text, text.replace("_id", "\\u005fid"), text.replace('"file_id', '"File_ID')):
                    data = spelt.encode()
                    received = await ask(gateway.base_url, "POST", "/v1" + path, data, {**bearer("blue"), **AT_A})
                    assert is_absent(received), (spelt, received)
                    count += 1
            assert sent(gateway) == before
            assert count > 200

    run(main())


def test_ids_in_client_data_are_ignored() -> None:
    async def main() -> None:
        async with serving(providers={"a": Settings()}, governance=RULES) as gateway:
            name = await create(gateway, "red", "files")
            tool = {
                "type": "function",
                "name": "f",
                "parameters": {"properties": {"file_id": {"default": name}}, "file_id": name},
            }
            body = {
                "model": "a/gpt-4o",
                "input": f'{{"file_id": "{name}"}}',
                "metadata": {"file_id": name},
                "tools": [tool],
            }
            assert (await call(gateway, "blue", "POST", "/responses", body)).status == 200

    run(main())


def test_previous_responses_go_to_their_provider() -> None:
    keys = {"sk-one": "", "sk-two": ""}
    given = {name: {"keys": {"one": "env.KEY_ONE", "two": "env.KEY_TWO"}} for name in TWO}
    environ = {"KEY_ONE": "sk-one", "KEY_TWO": "sk-two"}
    providers = {name: Settings(keys=keys) for name in TWO}

    async def main() -> None:
        async with serving(
            providers=providers, provider_settings=given, environ=environ, models=MODELS, governance=RULES
        ) as gateway:
            places: set[str] = set()
            for number in range(12):
                body: dict[str, Any] = {"model": "talk", "input": "x", "stream": number % 2 == 0}
                received = await call(gateway, "red", "POST", "/responses", body)
                first, name = received.headers["x-pointsman-provider"], _made(received)
                places.add(first)
                for _ in range(4):
                    received = await call(gateway, "red", "POST", "/responses", {**body, "previous_response_id": name})
                    assert (received.status, received.headers["x-pointsman-provider"]) == (200, first), received
                    name = _made(received)
                assert is_absent(
                    await call(gateway, "blue", "POST", "/responses", {**body, "previous_response_id": name})
                )
            assert places == {"a", "b"}

    run(main())


def _made(received: Received) -> str:
    """Return the id of a response, streamed or not."""
    text = received.body.decode()
    if text.startswith("{"):
        return str(json.loads(text)["id"])
    line = next(line for line in text.splitlines() if line.startswith("data: "))
    return str(msgspec.json.decode(line[6:])["response"]["id"])


def test_unowned_objects_are_rejected_unless_allowed() -> None:
    async def main() -> None:
        for rules, routing, who, status in (
            (RULES, {}, "red", 404),
            (RULES, {"unowned_state": "allow"}, "red", 200),
            ({"require_key": False}, {}, "red", 200),
            ({"require_key": False}, {"unowned_state": "refuse"}, "red", 404),
        ):
            async with serving(providers={"a": Settings()}, governance=rules, routing=routing) as gateway:
                form = {**FORM, "authorization": "Bearer "}
                made = await ask(gateway.providers["a"].base_url, "POST", "/v1/files", FILE, form)
                name = str(made.json()["id"])
                assert (await call(gateway, who, "GET", f"/files/{name}")).status == status
                listed: Any = (await call(gateway, who, "GET", "/files")).json()
                assert [one["id"] for one in listed["data"]] == (
                    [name] if status == 200 or not rules["require_key"] else []
                )

    run(main())


def test_side_products_belong_to_the_same_owner() -> None:
    async def main() -> None:
        async with serving(providers={"a": Settings()}, governance=RULES) as gateway:
            batch = (await call(gateway, "red", "POST", "/batches", {"endpoint": "/v1/embeddings"})).json()
            upload = await create(gateway, "red", "uploads")
            whole: Any = (await call(gateway, "red", "POST", f"/uploads/{upload}/complete", {"part_ids": ["p"]})).json()
            started = (await call(gateway, "red", "POST", "/threads/runs", {"thread": {}})).json()
            remixed = f"/videos/{await create(gateway, 'red', 'videos')}/remix"
            video = (await call(gateway, "red", "POST", remixed, {"prompt": "y"})).json()
            for path in (
                f"/files/{batch['output_file_id']}/content",
                f"/files/{whole['file']['id']}/content",
                f"/threads/{started['thread_id']}/messages",
                f"/videos/{video['id']}",
            ):
                assert (await call(gateway, "red2", "GET", path)).status == 200, path
                assert is_absent(await call(gateway, "blue", "GET", path)), path

    run(main())


def test_evals_over_a_whole_account_are_rejected() -> None:
    async def main() -> None:
        for rules, status in ((RULES, 400), ({"require_key": False}, 200)):
            async with serving(providers={"a": Settings()}, governance=rules) as gateway:
                name = await create(gateway, "red", "evals")
                for kind in ("stored_completions", "responses"):
                    body: dict[str, Any] = {"data_source": {"type": "x", "source": {"type": kind}}}
                    received = await call(gateway, "red", "POST", f"/evals/{name}/runs", body)
                    assert received.status == status, received
                for kind in ("stored_completions", "logs"):
                    received = await call(gateway, "red", "POST", "/evals", {"data_source_config": {"type": kind}})
                    assert received.status == status, received
                body = {"data_source": {"type": "jsonl", "source": {"type": "file_content", "content": []}}}
                assert (await call(gateway, "red", "POST", f"/evals/{name}/runs", body)).status == 200

    run(main())


def test_response_that_is_not_stored_has_no_owner() -> None:
    async def main() -> None:
        async with serving(providers={"a": Settings()}, governance=RULES) as gateway:
            for stream in (False, True):
                body = {"model": "a/gpt-4o", "input": "x", "store": False, "stream": stream}
                name = _made(await call(gateway, "red", "POST", "/responses", body))
                assert is_absent(await call(gateway, "red", "GET", f"/responses/{name}"))

    run(main())


def test_forms_may_name_only_owned_objects() -> None:
    form = b'--B\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b\r\n--B--\r\n'

    async def main() -> None:
        async with serving(providers={"a": Settings()}, governance=RULES) as gateway:
            box = await create(gateway, "blue", "containers")
            for path, field, kind in (
                (f"/containers/{box}/files", b"file_id", "files"),
                ("/audio/voices", b"consent", "audio/voice_consents"),
                ("/videos/edits", b"video[id]", "videos"),
            ):
                mine, theirs = await create(gateway, "blue", kind), await create(gateway, "red", kind)
                before = sent(gateway)
                received = await call(gateway, "blue", "POST", path, form % (field, theirs.encode()))
                assert is_absent(received), received
                twice = (form % (field, mine.encode())).removesuffix(b"--B--\r\n") + form % (field, theirs.encode())
                assert is_absent(await call(gateway, "blue", "POST", path, twice))
                for odd in (
                    b'["%b"]' % theirs.encode(),
                    b" " + theirs.encode(),
                    theirs.encode() + b"," + mine.encode(),
                ):
                    received = await call(gateway, "blue", "POST", path, form % (field, odd))
                    assert (received.status, received.error()["param"]) == (400, field.decode()), received
                assert sent(gateway) == before
                assert (await call(gateway, "blue", "POST", path, form % (field, mine.encode()))).status == 200

    run(main())


def test_path_without_an_id_goes_to_the_default_provider() -> None:
    async def main() -> None:
        async with serving(providers=TWO, governance=RULES, server={"default_provider": "b"}) as gateway:
            received = await call(gateway, "red", "POST", "/files", FILE)
            assert (received.status, received.headers["x-pointsman-provider"]) == (200, "b")
            name = await create(gateway, "red", "files")  # at a, by its header
            received = await call(gateway, "red", "GET", f"/files/{name}")
            assert (received.status, received.headers["x-pointsman-provider"]) == (200, "a")

    run(main())


def test_object_at_a_removed_provider_is_a_clear_error() -> None:
    async def main() -> None:
        models, routing = {**MODELS, "only": ["b/gpt-4o"]}, {"max_attempts": 1}
        async with serving(providers=TWO, models=models, governance=RULES, routing=routing) as gateway:
            file, other = (
                await create(gateway, "red", "files"),
                await create(gateway, "red", "files", **{"x-pointsman-provider": "b"}),
            )
            received = await call(gateway, "red", "GET", f"/files/{file}", **{"x-pointsman-provider": "b"})
            assert (received.status, "stored at provider 'a'" in str(received.error()["message"])) == (400, True)
            body = {
                "model": "talk",
                "input": [
                    {"role": "user", "content": [{"type": "input_file", "file_id": one} for one in (file, other)]}
                ],
            }
            received = await call(gateway, "red", "POST", "/responses", body)
            assert (received.status, "have no provider key in common" in str(received.error()["message"])) == (
                400,
                True,
            )
            body = {"model": "only", "input": [{"type": "input_file", "file_id": file}]}
            received = await call(gateway, "red", "POST", "/responses", body)
            assert (received.status, "no target there" in str(received.error()["message"])) == (400, True)
            gateway.providers["a"].set_fault("refuse")
            body = {"model": "talk", "input": [{"type": "input_file", "file_id": file}]}
            for _ in range(4):
                received = await call(gateway, "red", "POST", "/responses", body)
                assert received.status >= 500
                assert "a/gpt-4o" in str(received.error()["message"])
            assert not [one for one in gateway.providers["b"].requests if one.path == "/v1/responses"]

    run(main())


def test_unused_owners_expire() -> None:
    async def main() -> None:
        routing = {"state_days": 1.0 / 86_400}
        async with serving(providers={"a": Settings()}, governance=RULES, routing=routing) as gateway:
            name = await create(gateway, "red", "files")
            await asyncio.sleep(1.1)
            assert is_absent(await call(gateway, "red", "GET", f"/files/{name}"))

    run(main())


def test_owners_are_known_to_every_worker_and_after_every_death() -> None:
    async def main() -> None:
        async with serving(
            providers={"a": Settings(), "b": Settings()},
            models=MODELS,
            governance=RULES,
            as_process=True,
            server={"workers": 2},
        ) as gateway:

            async def check() -> None:
                for name, first in made.items():
                    for _ in range(3):  # on separate connections, so through either worker
                        body = {"model": "talk", "input": "x", "previous_response_id": name, "store": False}
                        received = await call(gateway, "red2", "POST", "/responses", body)
                        assert (received.status, received.headers["x-pointsman-provider"]) == (200, first), received
                        assert is_absent(await call(gateway, "blue", "GET", f"/responses/{name}"))

            made: dict[str, str] = {}
            for number in range(6):
                body = {"model": "talk", "input": "x", "stream": number % 2 == 0}
                received = await call(gateway, "red", "POST", "/responses", body)
                made[_made(received)] = received.headers["x-pointsman-provider"]
                if number % 2:
                    await check()
            for victims in (("worker 0", "worker 1"), ("control", "worker 0")):
                pids = [gateway.children[name] for name in victims]
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
                await until(partial(_are_replaced, gateway, pids), "all processes are restarted")
                await _serves(gateway)
                await check()
            assert gateway.process is not None
            gateway.process.send_signal(signal.SIGTERM)
            await gateway.process.wait()
            await gateway.start()
            await check()
            name, first = next(iter(made.items()))
            received = await call(gateway, "red", "DELETE", f"/responses/{name}")
            assert (received.status, received.headers["x-pointsman-provider"]) == (200, first)

    run(main())


def _are_replaced(gateway: Gateway, pids: list[int]) -> bool:
    children = gateway.children
    return len(children) == 4 and set(pids).isdisjoint(children.values())


async def _serves(gateway: Gateway) -> None:
    """Wait until every worker answers for unknown ids, which means that control can be reached again."""
    good = 0
    async with asyncio.timeout(PATIENCE_S):
        while good < 8:
            try:
                received = await call(gateway, "red", "GET", "/files/file-unheard-of")
            except OSError:
                received = None
            good = good + 1 if received is not None and is_absent(received) else 0


def test_stream_is_known_before_its_worker_dies() -> None:
    async def main() -> None:
        async with serving(providers={"a": Settings()}, governance=RULES, as_process=True) as gateway:
            body = json.dumps({"model": "a/gpt-4o", "input": "x", "stream": True}).encode()
            gateway.providers["a"].set_fault("hang_mid_stream=2")
            async with connect(gateway.base_url) as wire:
                wire.write(request("POST", "/v1/responses", body, bearer("red")))
                text = b""
                async with asyncio.timeout(PATIENCE_S):
                    while b"response.in_progress" not in text:
                        text += await wire.reader.read(4096)
                os.kill(gateway.children["worker 0"], signal.SIGKILL)
            gateway.providers["a"].set_fault(None)
            name = text.partition(b'"id":"')[2].partition(b'"')[0].decode()
            await _serves(gateway)
            assert is_absent(await call(gateway, "blue", "GET", f"/responses/{name}"))
            assert (await call(gateway, "red", "GET", f"/responses/{name}")).status == 200

    run(main())


def test_without_control_only_known_objects_are_served() -> None:
    async def main() -> None:
        async with serving(providers={"a": Settings()}, governance=RULES, as_process=True) as gateway:
            name = await create(gateway, "red", "files")
            control = gateway.children["control"]
            freeze(control)
            try:
                assert (await call(gateway, "red", "GET", f"/files/{name}")).status == 200
                assert is_absent(await call(gateway, "blue", "GET", f"/files/{name}"))
                before = sent(gateway)
                received = await call(gateway, "red", "GET", "/files/file-of-long-ago")
                assert (received.status, received.error()["code"]) == (503, "state_unavailable")
                assert "control" in str(received.error()["message"])
                assert sent(gateway) == before
            finally:
                os.kill(control, signal.SIGCONT)
            await _serves(gateway)

    run(main())


def test_upgrade_keeps_all_owners() -> None:
    async def main() -> None:
        async with serving(providers=TWO, models=MODELS, governance=RULES, as_process=True) as gateway:
            made: dict[str, str] = {}
            for number in range(4):
                body = {"model": "talk", "input": "x", "stream": number % 2 == 0}
                received = await call(gateway, "red", "POST", "/responses", body)
                made[_made(received)] = received.headers["x-pointsman-provider"]
            assert gateway.process is not None
            before = set(gateway.children.values())
            gateway.process.send_signal(signal.SIGUSR2)
            await until(
                lambda: len(gateway.children) == 3 and not before & set(gateway.children.values()),
                "all processes are replaced",
            )
            await _serves(gateway)
            for name, first in made.items():
                body = {"model": "talk", "input": "x", "previous_response_id": name}
                received = await call(gateway, "red2", "POST", "/responses", body)
                assert (received.status, received.headers["x-pointsman-provider"]) == (200, first), received
                assert is_absent(await call(gateway, "blue", "POST", "/responses", body))

    run(main())
