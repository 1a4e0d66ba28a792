"""Control answers a worker whose client requests a child key."""

from pathlib import Path

import msgspec
import pytest

from fakes.control import CONFIG, control_plane
from integration.gateway import run, until
from pointsman.control.child_keys import ChildAnswers
from pointsman.control.store.database import StoreError
from pointsman.link.frames import KeyMade, MakeKey


def test_answer_has_the_value_or_the_code_of_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        config = CONFIG.replace("me: {", "me: {child_keys: {at_most: 1}, ")
        async with control_plane(tmp_path, config=config) as plane:
            keys = plane.inquiry_handler.parts.keys
            await until(lambda: not keys._is_behind, "the keys are read from the store")
            answers = ChildAnswers(keys)
            made = await answers.answer(MakeKey(4, "me", b"{}"))
            body = msgspec.json.decode(made.body)
            assert (made.number, body["object"], body["parent"]) == (4, "virtual_key", "me")
            assert body["key"].startswith("pm-")
            faulty = await answers.answer(MakeKey(5, "me", b'{"expires_in_s": -1}'))
            assert (faulty.code, faulty.param) == ("invalid_request", "expires_in_s")
            assert (await answers.answer(MakeKey(6, "me", b"{}"))).code == "rate_limited"
            assert (await answers.answer(MakeKey(7, "me", b"no JSON"))).code == "invalid_request"

            async def fail(*_: object) -> KeyMade:
                raise StoreError("postgresql://secret is away")

            monkeypatch.setattr(keys, "make_child", fail)
            away = await answers.answer(MakeKey(8, "me", b"{}"))
            assert (away.code, "secret" in away.message) == ("control_unavailable", False)

    run(main())
