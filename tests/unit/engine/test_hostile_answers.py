"""Hostile answers raise no errors, leave no reservations, and have charges that fit in the database."""

import logging

import pytest

from fakes.engine import running_engine
from fakes.money import limit
from fakes.origin import run
from pointsman.domain.identity import VirtualKey
from pointsman.domain.snapshots import Routing
from pointsman.routing.admit import Admission
from unit.engine.test_room import priced
from unit.engine.test_serve import STREAM_HEAD, answering, begin, chat, chunk, whole

ME = Admission(VirtualKey(name="me", digest=b"", limits=(limit("usd", 10**15), limit("tokens", 10**12))))
ONCE = Routing(max_attempts=1)
USAGES = [
    b'{"prompt_tokens":-1,"completion_tokens":-9223372036854775809}',
    b'{"prompt_tokens":9223372036854775807,"completion_tokens":18446744073709551616}',
    b'{"prompt_tokens":1%b}' % (b"0" * 5000),
    b'{"prompt_tokens":1e999,"completion_tokens":0.5}',
    b'{"prompt_tokens":"7","completion_tokens":[[]]}',
    b'{"prompt_tokens":7,"prompt_tokens_details":{"cached_tokens":900}}',
    b'{"prompt_tokens":7,"completion_tokens_details":"\xff"}',
    b'{"\xff":1}',
    b'{"prompt_tokens":{"prompt_tokens":7}}',
    b"[" * 3000 + b"]" * 3000,
    b"null",
    b'"\\u0000"',
]
BODIES = [
    b'{"choices":[{"message":{"content":"hi"}}],"usage":%b}',
    b'{"usage":%b}',
    b'{"usage":{"prompt_tokens":7},"usage":%b}',
    b'{"choices":[],"service_tier":"\xff","usage":%b}',
    b'{"choices":[],"model":"\\u0000","usage":%b}',
    b'{"error":{"message":"\xff\\u0000"},"usage":%b}',
    b'{"error":{"code":1e999,"message":{}},"usage":%b}',
    b'\xef\xbb\xbf{"choices":[],"usage":%b}',
    b'{"choices":[],"usage":%b',
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("as_events", [False, True])
def test_hostile_answers_leave_nothing_behind(stream: bool, as_events: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    bodies = [body % usage for body in BODIES for usage in USAGES]

    async def main() -> None:
        for body in bodies:
            answer = STREAM_HEAD + chunk(b"data: " + body + b"\n\n") + b"0\r\n\r\n" if as_events else whole(body)
            async with running_engine(answering(answer), routing=ONCE) as rig:
                priced(rig, "refuse")
                _, client = begin(rig, chat(stream=stream, max_tokens=20), ME)
                record = await rig.log.next()
                assert client.status in (200, 502), body
                for attempt in record.attempts:
                    assert 0 <= attempt.cost_nano < 10**13, body
                    assert 0 <= attempt.tokens_in <= 10**9, body
                assert record.cost_nano == sum(attempt.cost_nano for attempt in record.attempts)

    run(main())
    assert not caplog.records, caplog.text
