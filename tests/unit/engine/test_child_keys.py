"""POST /v1/keys at the gateway: a right of some keys, and relayed to control."""

import json
from collections.abc import Callable

from msgspec.structs import replace

from fakes.engine import Rig, running_engine
from fakes.exchange import request_head
from fakes.origin import run
from pointsman.domain.identity import ChildKeys
from pointsman.engine.handle import PublicApi
from pointsman.link.frames import KeyMade
from unit.engine.test_handle import answer, bearer, error_of, handle, locked

HEAD = request_head("POST", "/v1/keys", bearer(b"mine"))


class FakeControl:
    """Notes requests, and answers when told."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []
        self.answer: Callable[[KeyMade], None] = lambda _: None

    def make(self, parent: str, body: bytes, on_made: Callable[[KeyMade], None]) -> None:
        self.requests.append((parent, body))
        self.answer = on_made


def allowed(rig: Rig) -> None:
    locked(rig, b"mine")
    keys = {digest: replace(key, children=ChildKeys(1, 60.0)) for digest, key in rig.live.snapshot.virtual_keys.items()}
    rig.live.swap(replace(rig.live.snapshot, virtual_keys=keys))


def test_child_is_made_by_control_and_not_logged() -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            allowed(rig)
            gateway, control = PublicApi(rig.engine), FakeControl()
            gateway.key_client = control
            client = handle(gateway, HEAD, b'{"expires_in_s": 9}')
            assert control.requests == [("mine", b'{"expires_in_s": 9}')]
            assert not client.written
            control.answer(KeyMade(1, b'{"key": "pm-secret"}'))
            assert (client.status, json.loads(client.body)) == (200, {"key": "pm-secret"})
            record = await rig.log.next()
            assert (record.virtual_key, record.path, "pm-secret" in str(record)) == ("mine", "/v1/keys", False)
            client = handle(gateway, HEAD, b"{}")
            control.answer(KeyMade(2, code="rate_limited", message="one is enough"))
            assert (client.status, error_of(client)) == (429, "rate_limited")
            assert rig.request_counts == [0]

    run(main())


def test_child_needs_a_right_a_small_object_and_control() -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            gateway = PublicApi(rig.engine)
            locked(rig, b"mine")
            assert error_of(handle(gateway, HEAD, b"{}")) == "child_key_not_allowed"
            allowed(rig)
            for body, status in ((b"[]", 400), (b" " * 20_000, 413), (b"{}", 503)):
                assert handle(gateway, HEAD, body).status == status

    run(main())
