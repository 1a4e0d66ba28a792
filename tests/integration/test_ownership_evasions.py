"""Attempts of a hostile tenant to reach the objects of another: other spellings, other methods, other encodings."""

import gzip

from integration.gateway import run, serving
from integration.governance import bearer
from integration.test_ownership import MODELS, RULES, TWO, call, create, sent
from integration.wire import ask
from pointsman.simulate import Settings


def test_evasions_are_rejected() -> None:
    async def main() -> None:
        async with serving(providers=TWO, models=MODELS, governance=RULES) as gateway:
            theirs, mine = await create(gateway, "red", "files"), await create(gateway, "blue", "files")
            before = sent(gateway)
            for path in (
                f"/files//{theirs}", f"//files/{theirs}", f"/files/%66{theirs[1:]}", f"/files%2F{theirs}",
                f"/files/{mine}/../{theirs}", f"/files/{theirs}/", f"/files/{theirs}?x={mine}",
                f"/Files/{theirs}", f"/files/{'x' * 2000}", f"/files?%61fter={theirs}",
                f"/files/{theirs}/content/", f"/files?after={theirs}&after={mine}",
            ):  # fmt: skip
                is_list = path.startswith("/files?")
                for method in (
                    ("GET", "HEAD") if is_list else ("GET", "HEAD", "DELETE", "PUT", "PATCH", "OPTIONS", "POST")
                ):
                    received = await call(gateway, "blue", method, path, {} if method == "POST" else None)
                    assert received.status in (400, 404, 405), (method, path, received)
            twice = f'"file_id":"{theirs}","file_id":"{mine}"'
            template = '{"model":"talk","messages":[{"role":"user","content":[%s]}]}'
            for path, text in (
                ("/responses", f'{{"model":"talk","input":[{{"type":"input_file",{twice}}}]}}'),
                ("/chat/completions", template % '{"type":"file","file":{%s}}' % twice),
                ("/chat/completions", template % '{"file":{"file\\u005fid":"%s"}}' % theirs),
                ("/chat/completions", (template % "").replace('"model"', f'"file_ids":["{theirs}"],"model"')),
                ("/embeddings", template % '{"type":"file","file":{"file_id":"%s"}}' % theirs),
                ("/responses", '{"model":"talk","input":"x","file_ids":["%s"]}' % ("x" * 100_000)),
            ):
                for headers in ({}, {"content-encoding": "gzip"}, {"content-type": "text/plain"}):
                    data = gzip.compress(text.encode()) if "content-encoding" in headers else text.encode()
                    received = await ask(gateway.base_url, "POST", "/v1" + path, data, {**bearer("blue"), **headers})
                    assert received.status in (400, 404), (text[:200], received)
                    assert len(received.body) < 2000
            assert sent(gateway) == before

    run(main())


def test_shared_objects_do_not_belong_to_their_first_user() -> None:
    async def main() -> None:
        routing = {"unowned_state": "allow"}
        async with serving(providers={"a": Settings()}, governance=RULES, routing=routing) as gateway:
            headers = {"authorization": "Bearer "}
            made = await ask(gateway.providers["a"].base_url, "POST", "/v1/vector_stores", b"{}", headers)
            shared = {"vector_store_ids": [made.json()["id"]]}
            for who in ("red", "blue", "red"):
                for path, body in (
                    ("/responses", {"model": "a/gpt-4o", "input": "x", "tools": [{"type": "file_search", **shared}]}),
                    ("/assistants", {"tool_resources": {"file_search": shared}}),
                ):
                    received = await call(gateway, who, "POST", path, body)
                    assert received.status == 200, (who, path, received)

    run(main())
