"""The commit rule: what of a provider's answer reaches the client, and when."""

import pytest
from msgspec.structs import replace

from fakes.engine import FakeCarrier
from fakes.exchange import claim_of, exchange_of
from fakes.routing import call
from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure, Kind
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.domain.outcomes import Usage
from pointsman.domain.snapshots import Routing, Timeouts
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.engine import passage, receiver
from pointsman.engine.passage import AFTER_DONE_S, AFTER_FINISH_S, AnswerPassage
from pointsman.engine.receiver import ERROR_BODY_S, MAX_ERROR_BYTES, AnswerReceiver
from pointsman.engine.sink import Sink
from pointsman.engine.tasks import Bell
from pointsman.providers._usage_scan import JsonScan, usage_in
from pointsman.providers.api import NO_STREAM, AnswerScan, Form, StreamDecoder, WholeAnswer
from pointsman.transport.errors import TransportFailure
from pointsman.transport.leg import Leg

JSON = {b"content-type": b"application/json"}
SSE = {b"content-type": b"text/event-stream; charset=utf-8"}
MP3 = {b"content-type": b"audio/mpeg"}
NOW = 1000.0
TIMEOUTS = Timeouts(commit_s=600.0, stall_s=60.0, stream_s=3600.0)
BROKEN = Failure(failures.UPSTREAM_ERROR, "said so inside")


class Decoder:
    """Passes bytes on. In them `C` is content, `U` usage, `E` an error of the provider's, `F` the answer's last word
    and `D` the end."""

    events = left_out = 0

    def __init__(self) -> None:
        self.has_content = False
        self.is_done = self.is_finished = self.is_ending = False
        self.usage: Usage | None = None
        self.failure: Failure | None = None

    def feed(self, data: bytes) -> bytes:
        assert self.failure is None, "fed after a failure"
        if b"U" in data:
            self.usage = Usage(3, 2)
        if b"E" in data:
            self.failure = BROKEN
        self.is_done = b"D" in data
        self.is_finished |= b"F" in data
        self.has_content |= b"C" in data or self.is_done or self.is_finished
        self.is_ending |= self.is_done or self.is_finished or self.failure is not None
        return data.partition(b"E")[0].replace(b"-", b"")

    def close(self) -> bytes:
        if not self.has_content:
            self.failure = Failure(failures.TRUNCATED, "ended early")
        return b"."

    def error_event(self, failure: Failure, request_id: str) -> bytes:
        return f"{failure.kind.code} {request_id}".encode()


class FakeCodec:
    """Takes every body as it is; one that holds `bad` cannot be read."""

    dialect = "openai"

    def __init__(self, *, is_passthrough: bool = False) -> None:
        self.is_passthrough = is_passthrough

    def encode(
        self, call: Call, candidate: Candidate, key: ProviderKey, attempt_id: str = "", now_unix_s: float = 0.0
    ) -> UpstreamRequest:
        raise NotImplementedError

    def decode(self, call: Call, body: bytes, *, as_stream: bool = False) -> WholeAnswer | Failure:
        if b"bad" in body:
            return Failure(failures.MALFORMED_ANSWER, "bad")
        if as_stream:
            return NO_STREAM if b"odd" in body else WholeAnswer(b"data: %b" % body, Usage(1, 1))
        return WholeAnswer(body, Usage(1, 1))

    def form(self, call: Call, status: int, content_type: bytes) -> Form:
        if self.is_passthrough and (status in (204, 304) or content_type == b"audio/mpeg"):
            return "opaque"
        return "events" if call.stream else "whole"

    def is_answer(self, status: int) -> bool:
        return 200 <= status < 300 or (status == 304 and self.is_passthrough)

    def counts(self, call: Call, *, is_committed: bool) -> bool:
        return call.stream and not self.is_passthrough

    def scan(self) -> AnswerScan:
        return JsonScan()

    def usage_in(self, body: bytes) -> Usage | None:
        return Usage(1, 1) if b"odd" in body else usage_in(body)

    def decoder(self, call: Call, max_event_bytes: int) -> StreamDecoder:
        return Decoder()

    def failure(self, status: int, headers: Headers, body: bytes, now_unix_s: float) -> Failure:
        return Failure(failures.UPSTREAM_ERROR, f"{len(body)} bytes", status)


@pytest.fixture(autouse=True)
def time_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (passage, receiver):
        monkeypatch.setattr(module, "monotonic", lambda: NOW)


class Scene:
    """One attempt whose answer the test gives. `lengths` has the length of each begun answer: at most one."""

    def __init__(
        self,
        *,
        stream: bool = True,
        is_passthrough: bool = False,
        commit_buffer: int = 100,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        exchange, self.client = exchange_of()
        self.exchange = exchange
        self.lengths: list[int | None] = []

        def claim(receiver: AnswerPassage, length: int | None) -> Sink:
            self.lengths.append(length)
            return claim_of(exchange)(receiver, length)

        request = replace(call(), stream=stream)
        routing = Routing(timeouts=timeouts, commit_buffer=commit_buffer)
        codec = FakeCodec(is_passthrough=is_passthrough)
        self.reception = AnswerReceiver(request, codec, claim, Bell(), routing)
        exchange.on_drain = self.reception.on_drain
        self.carrier = FakeCarrier()
        self.leg = Leg(UpstreamRequest(b"POST", b"/", b"", b""), self.reception, NOW + 600)
        self.leg.carrier = self.carrier
        self.reception.leg = self.leg

    def give(self, status: int, headers: Headers, *pieces: bytes) -> AnswerReceiver:
        """The head and the next pieces of the answer."""
        self.reception.on_head(status, headers)
        for piece in pieces:
            self.reception.on_data(piece)
        return self.reception

    def outcome(self) -> tuple[bytes | None, str | None, str | None]:
        """What the client has of the body (`None`: nothing was begun), how its answer ended, and the failure."""
        failure = self.reception.failure
        body = self.client.body if self.exchange.is_started else None
        return body, self.client.ended, None if failure is None else failure.kind.code


def test_a_head_that_is_due_early_leaves_the_rest_its_own_time() -> None:
    for headers, due in ((SSE, NOW + 9), (JSON, NOW + 99)):
        scene = Scene()
        scene.reception.commit_by, scene.reception.content_by = NOW + 99, NOW + 9
        scene.leg.deadline = NOW + 3
        scene.give(200, headers, *([b"{"] if headers is JSON else []))
        assert scene.leg.deadline == due


# A stream.


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], (None, None, None)),
        ([b"role "], (None, None, None)),
        ([b"role ", b": comment ", b"more "], (None, None, None)),
        ([b"role ", b"C1 "], (b"role C1 ", None, None)),
        ([b"role C1 ", b"C2 "], (b"role C1 C2 ", None, None)),
        ([b"-", b"C1 ", b"-", b"C2 "], (b"C1 C2 ", None, None)),
        ([b"role ", b"C1 ", b"D"], (b"role C1 D", "finished", None)),
        ([b"role ", b"D"], (b"role D", "finished", None)),
        ([b"role C1 D"], (b"role C1 D", "finished", None)),
        ([b"D", b"garbage behind the end"], (b"D", "finished", None)),
        ([b"role ", b"E"], (None, None, "upstream_error")),
        ([b"role C1 E"], (None, None, "upstream_error")),
        ([b"C1 ", b"C2 E"], (b"C1 C2 ", None, "upstream_error")),
        ([b"C1 ", b"E", b"C2"], (b"C1 ", None, "upstream_error")),
    ],
)
def test_a_stream_commits_at_its_first_content(
    pieces: list[bytes], expected: tuple[bytes | None, str | None, str | None]
) -> None:
    scene = Scene()
    scene.give(200, SSE, *pieces)
    assert scene.outcome() == expected
    assert (scene.reception.committed_at is not None) == (expected[0] is not None)
    assert scene.lengths in ([], [None])


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], (None, None, "truncated")),
        ([b"role "], (None, None, "truncated")),
        ([b"C1 "], (b"C1 .", "finished", None)),
        ([b"C1 ", b"D"], (b"C1 D", "finished", None)),
    ],
)
def test_the_end_of_a_stream(pieces: list[bytes], expected: tuple[bytes | None, str | None, str | None]) -> None:
    scene = Scene()
    scene.give(200, SSE, *pieces).on_end()
    assert scene.outcome() == expected


def test_a_connection_may_fail_behind_the_end_of_a_stream() -> None:
    scene = Scene()
    scene.give(200, SSE, b"C1 D").on_failure(TransportFailure(failures.CONNECTION_LOST, "reset", was_sent=True))
    assert scene.outcome() == (b"C1 D", "finished", None)


def test_a_provider_that_said_done_may_take_a_moment_to_end_its_answer() -> None:
    scene = Scene()
    scene.give(200, SSE, b"C1 D")
    assert scene.leg.deadline == NOW + AFTER_DONE_S
    assert scene.carrier.calls[-1] == "watch", "a deadline that was moved forward is to be observed"


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [([b"role "], None), ([b"U ", b"role "], Usage(3, 2)), ([b"C ", b"U "], Usage(3, 2))],
)
def test_what_a_broken_stream_said_it_used_is_kept(pieces: list[bytes], expected: Usage | None) -> None:
    scene = Scene()
    scene.give(200, SSE, *pieces).on_failure(TransportFailure(failures.STALLED, "silence", was_sent=True))
    assert scene.reception.usage == expected
    assert scene.outcome()[2] == "stream_stalled"


def test_a_whole_answer_to_a_request_for_a_stream_becomes_one() -> None:
    scene = Scene()
    reception = scene.give(200, {**JSON, b"x": b"y"}, b"{hel", b"lo}")
    reception.on_end()
    assert scene.outcome() == (None, None, None), "sending it is the engine's part"
    assert (reception.body, reception.usage) == (b"data: {hello}", Usage(1, 1))
    assert reception.headers == {b"content-type": b"text/event-stream", b"x": b"y"}
    assert reception.committed_at is not None


@pytest.mark.parametrize(("body", "usage"), [(b"{odd}", Usage(1, 1)), (b"{bad}", None)])
def test_what_is_no_answer_to_a_request_for_a_stream_is_an_error_before_the_commit(
    body: bytes, usage: Usage | None
) -> None:
    scene = Scene()
    scene.give(200, JSON, body).on_end()
    assert scene.outcome() == (None, None, "malformed_answer")
    assert (scene.reception.body, scene.reception.usage) == (None, usage)


def test_a_whole_answer_that_outgrows_the_buffer_is_no_stream() -> None:
    scene = Scene(commit_buffer=10)
    scene.give(200, JSON, b"{" * 11)
    assert scene.outcome() == (None, None, "malformed_answer")
    assert scene.carrier.calls[-1] == "cancel"


# A whole answer.


@pytest.mark.parametrize(
    ("pieces", "body"),
    [([b"{}"], b"{}"), ([b'{"a"', b":1}"], b'{"a":1}'), ([], b""), ([b"x" * 50, b"y" * 50], b"x" * 50 + b"y" * 50)],
)
def test_a_whole_answer_commits_when_it_is_whole(pieces: list[bytes], body: bytes) -> None:
    scene = Scene(stream=False)
    reception = scene.give(200, JSON, *pieces)
    assert (reception.committed_at, reception.body) == (None, None)
    reception.on_end()
    assert scene.outcome() == (None, None, None), "sending it is the engine's part"
    assert (reception.body, reception.usage, reception.bytes_in) == (body, Usage(1, 1), len(body))
    assert reception.committed_at is not None


def test_a_whole_answer_that_cannot_be_read_does_not_commit() -> None:
    scene = Scene(stream=False)
    reception = scene.give(200, JSON, b"bad")
    reception.on_end()
    assert scene.outcome() == (None, None, "malformed_answer")
    assert (reception.body, reception.committed_at) == (None, None)


def test_a_whole_answer_that_breaks_off_does_not_commit() -> None:
    scene = Scene(stream=False)
    scene.give(200, JSON, b"half").on_failure(TransportFailure(failures.TRUNCATED, "cut", was_sent=True))
    assert scene.outcome() == (None, None, "truncated")
    assert scene.reception.committed_at is None


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        (JSON, None),
        ({**JSON, b"content-length": b"150"}, 150),
        ({**JSON, b"content-length": b"90", b"content-encoding": b"br"}, None),
    ],
)
def test_an_answer_larger_than_the_buffer_commits_when_it_outgrows_it(headers: Headers, length: int | None) -> None:
    scene = Scene(stream=False, commit_buffer=100)
    reception = scene.give(200, headers, b'["' + b"x" * 58, b"y" * 40)
    assert scene.outcome() == (None, None, None)
    reception.on_data(b"z" * 48 + b'"]')
    whole = b'["' + b"x" * 58 + b"y" * 40 + b"z" * 48 + b'"]'
    assert scene.outcome() == (whole, None, None)
    assert scene.lengths == [length]
    reception.on_end()
    assert scene.outcome() == (whole, "finished", None)
    assert reception.body is None


def test_a_large_answer_that_breaks_off_after_its_commit_is_left_to_the_engine() -> None:
    scene = Scene(stream=False, commit_buffer=10)
    scene.give(200, JSON, b"[" * 11).on_failure(TransportFailure(failures.TRUNCATED, "cut", was_sent=True))
    assert scene.outcome() == (b"[" * 11, None, "truncated")
    assert scene.reception.committed_at is not None


# What is passed through.

EARLY_USAGE = b'{"usage":{"input_tokens":9},"instructions":"%b"}' % (b"x" * 40_000)


@pytest.mark.parametrize(
    ("headers", "pieces"),
    [
        (JSON, (EARLY_USAGE,)),
        (JSON, (EARLY_USAGE[:300_000], b" " * 300_000)),
    ],
)
@pytest.mark.parametrize("commit_buffer", [100, 1_000_000])
def test_the_usage_of_what_is_passed_through_is_read_wherever_it_stands(
    headers: Headers, pieces: tuple[bytes, ...], commit_buffer: int
) -> None:
    scene = Scene(stream=headers is SSE, is_passthrough=True, commit_buffer=commit_buffer)
    reception = scene.give(200, headers, *pieces)
    reception.on_end()
    expected = Usage(1, 1) if reception.body is not None else Usage(9)  # a whole answer is the codec's to read
    assert reception.used() == expected


@pytest.mark.parametrize("cut", [1, 2, 20, 30_000])
def test_json_that_outgrew_the_buffer_and_is_cut_is_no_answer(cut: int) -> None:
    scene = Scene(stream=False, is_passthrough=True, commit_buffer=100)
    sent = EARLY_USAGE[:-cut]
    scene.give(200, JSON, sent[:500], sent[500:]).on_end()
    assert scene.outcome() == (sent, None, "truncated")


def test_what_outgrows_the_buffer_and_is_no_json_is_replaced() -> None:
    scene = Scene(stream=False, commit_buffer=100)
    scene.give(200, {b"content-type": b"text/html"}, b"<html>" * 50)
    assert scene.outcome() == (None, None, "malformed_answer")


def test_usage_counts_that_stands_before_the_place_where_an_answer_broke_off() -> None:
    scene = Scene(stream=False, is_passthrough=True, commit_buffer=100)
    reception = scene.give(200, JSON, EARLY_USAGE[:-9])
    reception.on_failure(TransportFailure(failures.TRUNCATED, "cut", was_sent=True))
    assert reception.used() == Usage(9)


def test_a_binary_answer_commits_at_its_first_byte() -> None:
    scene = Scene(stream=False, is_passthrough=True)
    reception = scene.give(200, {**MP3, b"content-length": b"4"})
    assert scene.outcome() == (None, None, None)
    reception.on_data(b"\x00\xff")
    assert scene.outcome() == (b"\x00\xff", None, None)
    reception.on_data(b"\r\n")
    reception.on_end()
    assert scene.outcome() == (b"\x00\xff\r\n", "finished", None)
    assert scene.lengths == [4]


def test_a_binary_answer_without_a_byte_is_an_answer() -> None:
    scene = Scene(stream=False, is_passthrough=True)
    scene.give(204, {}).on_end()
    assert scene.outcome() == (b"", "finished", None)


def test_json_that_is_passed_through_is_held() -> None:
    scene = Scene(stream=False, is_passthrough=True)
    reception = scene.give(200, JSON, b"{}")
    assert scene.outcome() == (None, None, None)
    reception.on_end()
    assert reception.body == b"{}"


@pytest.mark.parametrize("headers", [SSE, JSON, MP3, {}])
def test_the_first_byte_tells_a_stream_from_what_comes_in_its_place(headers: Headers) -> None:
    for beginning in (b"", b"\xef\xbb\xbf", b"\n\n"):
        scene = Scene()
        scene.give(200, headers, *filter(None, [beginning]), b"data: C1 ").on_end()
        assert scene.outcome() == (beginning + b"data: C1 .", "finished", None)
        scene = Scene()
        scene.give(200, headers, *filter(None, [beginning]), b"{}").on_end()
        assert scene.reception.body == b"data: " + beginning + b"{}"
        assert scene.reception.is_stream


def test_an_empty_answer_in_the_place_of_a_stream_is_none() -> None:
    scene = Scene()
    scene.give(200, SSE).on_end()
    assert scene.outcome() == (None, None, "truncated")


# A stream that has finished and does not end.


def test_a_stream_that_has_finished_ends_soon_whatever_comes() -> None:
    scene = Scene()
    scene.give(200, SSE, b"C1 ", b"F ")
    assert scene.leg.deadline == NOW + AFTER_FINISH_S
    assert scene.carrier.calls[-1] == "watch", "a deadline that was moved forward is to be observed"
    scene.reception.on_data(b"heartbeat ")
    assert scene.leg.deadline == NOW + AFTER_FINISH_S
    scene.reception.on_failure(TransportFailure(failures.STALLED, "silence", was_sent=True))
    assert scene.outcome() == (b"C1 F heartbeat .", "finished", None)


@pytest.mark.parametrize("kind", [failures.CONNECTION_LOST, failures.STREAM_TOO_LONG, failures.MALFORMED_ANSWER])
def test_nothing_is_missing_of_a_stream_that_has_finished(kind: Kind) -> None:
    scene = Scene()
    scene.give(200, SSE, b"C1 F ").on_failure(TransportFailure(kind, "in words", was_sent=True))
    assert scene.outcome() == (b"C1 F .", "finished", None)


# Errors in place of an answer.


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", [301, 400, 429, 500])
def test_an_error_status_goes_to_the_providers_table(status: int, stream: bool) -> None:
    scene = Scene(stream=stream)
    scene.give(status, JSON, b"ab", b"c").on_end()
    failure = scene.reception.failure
    assert failure is not None
    assert (failure.status, failure.message) == (status, "3 bytes")
    assert scene.outcome()[:2] == (None, None)


def test_an_endless_error_is_read_to_its_limit_only() -> None:
    scene = Scene()
    reception = scene.give(500, JSON, *[b"x" * 10_000] * 20)
    reception.on_end()
    assert reception.failure is not None
    assert reception.failure.message == f"{MAX_ERROR_BYTES} bytes"


@pytest.mark.parametrize("kind", [failures.CONNECT_FAILED, failures.COMMIT_TIMEOUT])
def test_a_failure_in_place_of_a_head(kind: Kind) -> None:
    scene = Scene()
    scene.reception.on_failure(TransportFailure(kind, "in words", was_sent=False))
    failure = scene.reception.failure
    assert failure is not None
    assert (failure.kind, failure.message) == (kind, "in words")
    assert "in words" not in failure.for_client, "it may name an address"
    assert scene.outcome()[:2] == (None, None)


# Deadlines and slow clients.


def test_the_time_of_the_head_is_the_first_byte_of_an_attempt() -> None:
    scene = Scene()
    assert scene.reception.first_byte_at is None
    scene.give(200, SSE)
    first = scene.reception.first_byte_at
    assert first == NOW
    scene.reception.on_data(b"C1 ")
    assert (scene.reception.first_byte_at, scene.reception.status) == (first, 200)


# What was once got wrong.


def test_an_error_answer_that_does_not_end_holds_up_nobody() -> None:
    scene = Scene(stream=False)
    scene.give(500, JSON, b"so ", b"far")
    assert scene.leg.deadline == NOW + ERROR_BODY_S
    assert scene.carrier.calls[-1] == "watch"
    scene.reception.on_failure(TransportFailure(failures.COMMIT_TIMEOUT, "too long", was_sent=True))
    assert scene.reception.failure == Failure(failures.UPSTREAM_ERROR, "6 bytes", 500)


def test_not_modified_is_an_answer() -> None:
    scene = Scene(stream=False, is_passthrough=True)
    scene.give(304, {b"etag": b'"x"'}).on_end()
    assert scene.outcome() == (b"", "finished", None)


def test_a_stream_without_content_is_not_held_for_ever() -> None:
    scene = Scene(commit_buffer=100)
    scene.give(200, SSE, *[b": nothing to say "] * 7)
    assert scene.outcome() == (None, None, "malformed_answer")
