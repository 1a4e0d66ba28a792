"""Heads are read once for each distinct head and snapshot."""

from hashlib import sha256

from msgspec.structs import asdict, replace

from fakes.engine import running_engine
from fakes.exchange import request_head
from fakes.origin import Peer, run
from fakes.wire import rejected
from pointsman.domain import failures
from pointsman.engine.handle import PublicApi
from pointsman.engine.heads import MAX_ENTRIES, AdmittedHead
from unit.engine.test_handle import ANSWER, CHAT, answer, bearer, handle, locked


def test_equal_heads_are_read_once() -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
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
                enter(x_pointsman_require=b"region=eu"),
                enter(x_pointsman_require=b"region=us"),
                enter(x_pointsman_tag_a=b"1"),
                enter(x_pointsman_tag_a=b"2"),
            ]
            assert len({id(one) for one in (entry, *others)}) == 1 + len(others)
            assert [one.parsed.head.tags for one in others[-2:]] == [{"a": "1"}, {"a": "2"}]
            theirs = others[3].admission.virtual_key
            assert theirs is not None
            assert (theirs.name, theirs.digest) == ("theirs", sha256(b"theirs").digest())
            for number in range(MAX_ENTRIES + 10):
                enter(x_pointsman_session=b"%d" % number)
            again = enter().parsed
            assert (again.credential, asdict(again.head)) == (entry.parsed.credential, asdict(entry.parsed.head))
            locked(rig, b"theirs")
            assert rejected(enter).kind is failures.UNKNOWN_KEY

    run(main())


def test_known_head_is_admitted_again_after_a_reload() -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
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


def test_heads_with_different_headers_of_anthropic_are_not_shared() -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            gateway = PublicApi(rig.engine)
            locked(rig, b"mine")

            def enter(headers: dict[bytes, bytes]) -> AdmittedHead:
                head = request_head("POST", "/v1/messages", {**bearer(b"mine"), **headers})
                gateway.accept(head)
                assert isinstance(head.derived, AdmittedHead)
                return head.derived

            known = {b"anthropic-version": b"2023-06-01", b"anthropic-beta": b"a"}
            assert enter(known) is enter(known)
            others = [
                {**known, b"anthropic-beta": b"b"},
                {**known, b"anthropic-later": b"1"},
                {**known, b"anthropic-later": b"2"},
                {**known, b"anthropic-later": b"1", b"anthropic-more": b"1"},
            ]
            found = [dict(enter(headers).parsed.head.forwarded) for headers in (known, *others)]
            assert found == [
                {name.decode(): value.decode() for name, value in headers.items()} for headers in (known, *others)
            ]
            enter(others[1])
            assert "anthropic-later" not in dict(enter(known).parsed.head.forwarded)

    run(main())


def test_ids_of_an_agent_are_in_the_record_and_never_sent() -> None:
    requests: list[bytes] = []

    async def answer_message(peer: Peer) -> None:
        requests.append(await peer.answer(ANSWER))

    async def main() -> None:
        async with running_engine(answer_message) as rig:
            headers = {
                b"x-claude-code-session-id": b"the-session",
                b"x-claude-code-agent-id": b"the-agent",
                b"x-claude-code-parent-agent-id": b"the-parent",
            }
            handle(PublicApi(rig.engine), request_head(headers=headers), CHAT)
            record = await rig.log.next()
            assert (record.session, record.agent, record.parent_agent) == ("the-session", "the-agent", "the-parent")
            assert requests
            assert not any(value in requests[0] for value in headers.values())

    run(main())


def test_heads_that_differ_in_their_ids_share_one_admission() -> None:
    async def main() -> None:
        async with running_engine(answer) as rig:
            gateway = PublicApi(rig.engine)
            locked(rig, b"mine")
            like = request_head("POST", "/v1/chat/completions", bearer(b"mine"))

            def admitted(name: bytes, value: bytes) -> AdmittedHead:
                head = request_head("POST", "/v1/chat/completions", {**bearer(b"mine"), name: value})
                head.like = like
                gateway.accept(head)
                assert isinstance(head.derived, AdmittedHead)
                return head.derived

            entry = admitted(b"x-request-id", b"1")
            assert entry is admitted(b"x-request-id", b"2")
            assert entry is like.derived
            locked(rig, b"mine")  # another snapshot
            assert admitted(b"x-request-id", b"3") is not entry
            snapshot = rig.engine.live.snapshot
            rig.engine.live.swap(replace(snapshot, read_headers=("x-request-id",)))
            parsed = [admitted(b"x-request-id", value).parsed.head.headers for value in (b"1", b"2")]
            assert parsed == [{"x-request-id": "1"}, {"x-request-id": "2"}]

    run(main())
