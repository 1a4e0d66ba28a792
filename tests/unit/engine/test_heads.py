"""Heads are read once for each distinct head and snapshot."""

from hashlib import sha256

from msgspec.structs import asdict

from fakes.engine import engine_before
from fakes.exchange import request_head
from fakes.origin import run
from fakes.wire import refused
from pointsman.domain import failures
from pointsman.engine.handle import PublicApi
from pointsman.engine.heads import MAX_ENTRIES, AdmittedHead
from unit.engine.test_handle import CHAT, answer, bearer, handle, locked


def test_what_says_the_same_is_read_once_and_nothing_else() -> None:
    async def main() -> None:
        async with engine_before(answer) as rig:
            gateway = PublicApi(rig.engine)
            locked(rig, b"mine", b"theirs")

            def enter(target: str = "/v1/chat/completions", method: str = "POST", **headers: bytes) -> AdmittedHead:
                named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
                head = request_head(method, target, {**bearer(b"mine"), **named})
                gateway.accept(head)
                assert isinstance(head.derived, AdmittedHead)
                return head.derived

            entry = enter()
            assert enter(x_request_id=b"1", cookie=b"c") is entry
            others = [
                enter("/v1/chat/completions?a=b"),
                enter("/v1/files"),
                enter("/v1/files", "DELETE"),
                enter(authorization=b"Bearer theirs"),
                enter(x_api_key=b"mine"),
                enter(accept=b"a/b"),
                enter(content_type=b"application/json"),
                enter(x_pointsman_provider=b"alpha"),
                enter(x_pointsman_session=b"s"),
                enter(x_pointsman_timeout_ms=b"5"),
                enter(x_pointsman_tag_a=b"1"),
                enter(x_pointsman_tag_a=b"2"),
            ]
            assert len({id(one) for one in (entry, *others)}) == 1 + len(others)
            assert [one.asked.head.tags for one in others[-2:]] == [{"a": "1"}, {"a": "2"}]
            theirs = others[3].grant.virtual_key
            assert theirs is not None
            assert (theirs.name, theirs.digest) == ("theirs", sha256(b"theirs").digest())
            for number in range(MAX_ENTRIES + 10):
                enter(x_pointsman_session=b"%d" % number)
            again = enter().asked
            assert (again.credential, asdict(again.head)) == (entry.asked.credential, asdict(entry.asked.head))
            locked(rig, b"theirs")
            assert refused(enter).kind is failures.UNKNOWN_KEY

    run(main())


def test_a_head_that_is_known_is_judged_again_after_a_reload() -> None:
    async def main() -> None:
        async with engine_before(answer) as rig:
            gateway, head = PublicApi(rig.engine), request_head(headers=bearer(b"first"))
            locked(rig, b"first")
            assert handle(gateway, head, CHAT).ended is None, "being served"
            assert (await rig.log.next()).status == 200
            locked(rig, b"second")
            assert handle(gateway, head, CHAT).status == 401
            assert (await rig.log.next()).status == 401
            locked(rig, b"first", b"second")
            handle(gateway, head, CHAT)
            assert (await rig.log.next()).status == 200

    run(main())
