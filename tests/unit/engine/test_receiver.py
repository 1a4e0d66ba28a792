"""The commit rule decides which part of a provider's answer reaches the client, and when."""

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
    """Passes bytes on. In them `C` is content, `R` marks it as a refusal, `U` is usage, `E` an error of the provider,
    `F` the finish of the answer and `D` its end."""

    events = events_left_out = 0

    def __init__(self) -> None:
        self.has_content = False
        self.is_done = self.is_finished = self.is_ending = False
        self.usage: Usage | None = None
        self.is_usage_partial = False
        self.content_bytes = 0
        self.failure: Failure | None = None
        self.refused: Kind | None = None

    def feed(self, data: bytes) -> bytes:
        assert self.failure is None, "fed after a failure"
        if b"U" in data:
            self.usage = Usage(3, 2)
        if b"E" in data:
            self.failure = BROKEN
        if b"R" in data:
            self.refused = failures.REFUSED
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
    """Accepts every body unchanged. A body that contains `bad` cannot be decoded."""

    dialect = "openai"
    is_translating = False

    def __init__(self, *, is_passthrough: bool = False) -> None:
        self.is_passthrough = is_passthrough

    def encode(
        self, call: Call, candidate: Candidate, key: ProviderKey, attempt_id: str = "", now_unix_s: float = 0.0
    ) -> UpstreamRequest:
        raise NotImplementedError  # a receiver never encodes

    def decode(
        self, call: Call, body: bytes, *, as_stream: bool = False, now_unix_s: float = 0.0
    ) -> WholeAnswer | Failure:
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

    def decoder(self, call: Call, max_event_bytes: int, now_unix_s: float = 0.0) -> StreamDecoder:
        return Decoder()

    def failure(self, status: int, headers: Headers, body: bytes, now_unix_s: float) -> Failure:
        return Failure(failures.UPSTREAM_ERROR, f"{len(body)} bytes", status)


@pytest.fixture(autouse=True)
def time_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (passage, receiver):
        monkeypatch.setattr(module, "monotonic", lambda: NOW)


class Scene:
    """One attempt whose answer the test supplies. `lengths` has the length of each answer that began: at most one."""

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
        self.receiver = AnswerReceiver(request, codec, claim, Bell(), routing)
        exchange.on_drain = self.receiver.on_drain
        self.carrier = FakeCarrier()
        self.leg = Leg(UpstreamRequest(b"POST", b"/", b"", b""), self.receiver, NOW + 600)
        self.leg.carrier = self.carrier
        self.receiver.leg = self.leg

    def give(self, status: int, headers: Headers, *pieces: bytes) -> AnswerReceiver:
        """Receive the head and the next pieces of the answer."""
        self.receiver.on_head(status, headers)
        for piece in pieces:
            self.receiver.on_data(piece)
        return self.receiver

    def outcome(self) -> tuple[bytes | None, str | None, str | None]:
        """Return the body that the client has (`None` if no answer began), how its answer ended, and the failure."""
        failure = self.receiver.failure
        body = self.client.body if self.exchange.is_started else None
        return body, self.client.ended, None if failure is None else failure.kind.code


def test_early_deadline_of_the_head_does_not_apply_to_the_body() -> None:
    for headers, due in ((SSE, NOW + 9), (JSON, NOW + 99)):
        scene = Scene()
        scene.receiver.commit_by, scene.receiver.content_by = NOW + 99, NOW + 9
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
def test_stream_commits_at_its_first_content(
    pieces: list[bytes], expected: tuple[bytes | None, str | None, str | None]
) -> None:
    scene = Scene()
    scene.give(200, SSE, *pieces)
    assert scene.outcome() == expected
    assert (scene.receiver.committed_at is not None) == (expected[0] is not None)
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
def test_stream_without_content_is_truncated(
    pieces: list[bytes], expected: tuple[bytes | None, str | None, str | None]
) -> None:
    scene = Scene()
    scene.give(200, SSE, *pieces).on_end()
    assert scene.outcome() == expected


def test_connection_failure_after_the_end_of_a_stream_is_ignored() -> None:
    scene = Scene()
    scene.give(200, SSE, b"C1 D").on_failure(TransportFailure(failures.CONNECTION_LOST, "reset", was_sent=True))
    assert scene.outcome() == (b"C1 D", "finished", None)


def test_provider_has_a_moment_to_end_its_answer_after_done() -> None:
    scene = Scene()
    scene.give(200, SSE, b"C1 D")
    assert scene.leg.deadline == NOW + AFTER_DONE_S
    assert scene.carrier.calls[-1] == "watch", "an earlier deadline must be watched"


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [([b"role "], None), ([b"U ", b"role "], Usage(3, 2)), ([b"C ", b"U "], Usage(3, 2))],
)
def test_usage_of_a_broken_stream_is_kept(pieces: list[bytes], expected: Usage | None) -> None:
    scene = Scene()
    scene.give(200, SSE, *pieces).on_failure(TransportFailure(failures.STALLED, "silence", was_sent=True))
    assert scene.receiver.usage == expected
    assert scene.outcome()[2] == "stream_stalled"


def test_whole_answer_to_a_stream_request_becomes_a_stream() -> None:
    scene = Scene()
    receiver = scene.give(200, {**JSON, b"x": b"y"}, b"{hel", b"lo}")
    receiver.on_end()
    assert scene.outcome() == (None, None, None), "the engine sends it"
    assert (receiver.body, receiver.usage) == (b"data: {hello}", Usage(1, 1))
    assert receiver.headers == {b"content-type": b"text/event-stream", b"x": b"y"}
    assert receiver.committed_at is not None


@pytest.mark.parametrize(("body", "usage"), [(b"{odd}", Usage(1, 1)), (b"{bad}", None)])
def test_unusable_answer_to_a_stream_request_fails_before_the_commit(body: bytes, usage: Usage | None) -> None:
    scene = Scene()
    scene.give(200, JSON, body).on_end()
    assert scene.outcome() == (None, None, "malformed_answer")
    assert (scene.receiver.body, scene.receiver.usage) == (None, usage)


def test_whole_answer_to_a_stream_request_must_fit_in_the_buffer() -> None:
    scene = Scene(commit_buffer=10)
    scene.give(200, JSON, b"{" * 11)
    assert scene.outcome() == (None, None, "malformed_answer")
    assert scene.carrier.calls[-1] == "cancel"


# A whole answer.


@pytest.mark.parametrize(
    ("pieces", "body"),
    [([b"{}"], b"{}"), ([b'{"a"', b":1}"], b'{"a":1}'), ([], b""), ([b"x" * 50, b"y" * 50], b"x" * 50 + b"y" * 50)],
)
def test_whole_answer_commits_when_it_is_complete(pieces: list[bytes], body: bytes) -> None:
    scene = Scene(stream=False)
    receiver = scene.give(200, JSON, *pieces)
    assert (receiver.committed_at, receiver.body) == (None, None)
    receiver.on_end()
    assert scene.outcome() == (None, None, None), "the engine sends it"
    assert (receiver.body, receiver.usage, receiver.bytes_in) == (body, Usage(1, 1), len(body))
    assert receiver.committed_at is not None


def test_unreadable_whole_answer_does_not_commit() -> None:
    scene = Scene(stream=False)
    receiver = scene.give(200, JSON, b"bad")
    receiver.on_end()
    assert scene.outcome() == (None, None, "malformed_answer")
    assert (receiver.body, receiver.committed_at) == (None, None)


def test_truncated_whole_answer_does_not_commit() -> None:
    scene = Scene(stream=False)
    scene.give(200, JSON, b"half").on_failure(TransportFailure(failures.TRUNCATED, "cut", was_sent=True))
    assert scene.outcome() == (None, None, "truncated")
    assert scene.receiver.committed_at is None


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        (JSON, None),
        ({**JSON, b"content-length": b"150"}, 150),
        ({**JSON, b"content-length": b"90", b"content-encoding": b"br"}, None),
    ],
)
def test_answer_commits_when_it_outgrows_the_buffer(headers: Headers, length: int | None) -> None:
    scene = Scene(stream=False, commit_buffer=100)
    receiver = scene.give(200, headers, b'["' + b"x" * 58, b"y" * 40)
    assert scene.outcome() == (None, None, None)
    receiver.on_data(b"z" * 48 + b'"]')
    whole = b'["' + b"x" * 58 + b"y" * 40 + b"z" * 48 + b'"]'
    assert scene.outcome() == (whole, None, None)
    assert scene.lengths == [length]
    receiver.on_end()
    assert scene.outcome() == (whole, "finished", None)
    assert receiver.body is None


def test_large_answer_that_fails_after_its_commit_is_left_to_the_engine() -> None:
    scene = Scene(stream=False, commit_buffer=10)
    scene.give(200, JSON, b"[" * 11).on_failure(TransportFailure(failures.TRUNCATED, "cut", was_sent=True))
    assert scene.outcome() == (b"[" * 11, None, "truncated")
    assert scene.receiver.committed_at is not None


# Relayed answers.

EARLY_USAGE = b'{"usage":{"input_tokens":9},"instructions":"%b"}' % (b"x" * 40_000)


@pytest.mark.parametrize(
    ("headers", "pieces"),
    [
        (JSON, (EARLY_USAGE,)),
        (JSON, (EARLY_USAGE[:300_000], b" " * 300_000)),
    ],
)
@pytest.mark.parametrize("commit_buffer", [100, 1_000_000])
def test_usage_of_a_relayed_answer_is_found_anywhere(
    headers: Headers, pieces: tuple[bytes, ...], commit_buffer: int
) -> None:
    scene = Scene(stream=headers is SSE, is_passthrough=True, commit_buffer=commit_buffer)
    receiver = scene.give(200, headers, *pieces)
    receiver.on_end()
    expected = Usage(1, 1) if receiver.body is not None else Usage(9)  # the codec reads a whole answer
    assert receiver.used() == expected


@pytest.mark.parametrize("cut", [1, 2, 20, 30_000])
def test_truncated_json_larger_than_the_buffer_is_a_failure(cut: int) -> None:
    scene = Scene(stream=False, is_passthrough=True, commit_buffer=100)
    sent = EARLY_USAGE[:-cut]
    scene.give(200, JSON, sent[:500], sent[500:]).on_end()
    assert scene.outcome() == (sent, None, "truncated")


def test_other_content_larger_than_the_buffer_is_a_failure() -> None:
    scene = Scene(stream=False, commit_buffer=100)
    scene.give(200, {b"content-type": b"text/html"}, b"<html>" * 50)
    assert scene.outcome() == (None, None, "malformed_answer")


def test_usage_before_a_truncation_is_counted() -> None:
    scene = Scene(stream=False, is_passthrough=True, commit_buffer=100)
    receiver = scene.give(200, JSON, EARLY_USAGE[:-9])
    receiver.on_failure(TransportFailure(failures.TRUNCATED, "cut", was_sent=True))
    assert receiver.used() == Usage(9)


def test_binary_answer_commits_at_its_first_byte() -> None:
    scene = Scene(stream=False, is_passthrough=True)
    receiver = scene.give(200, {**MP3, b"content-length": b"4"})
    assert scene.outcome() == (None, None, None)
    receiver.on_data(b"\x00\xff")
    assert scene.outcome() == (b"\x00\xff", None, None)
    receiver.on_data(b"\r\n")
    receiver.on_end()
    assert scene.outcome() == (b"\x00\xff\r\n", "finished", None)
    assert scene.lengths == [4]


def test_empty_binary_answer_is_valid() -> None:
    scene = Scene(stream=False, is_passthrough=True)
    scene.give(204, {}).on_end()
    assert scene.outcome() == (b"", "finished", None)


def test_relayed_json_is_held_until_its_end() -> None:
    scene = Scene(stream=False, is_passthrough=True)
    receiver = scene.give(200, JSON, b"{}")
    assert scene.outcome() == (None, None, None)
    receiver.on_end()
    assert receiver.body == b"{}"


@pytest.mark.parametrize("headers", [SSE, JSON, MP3, {}])
def test_first_byte_distinguishes_a_stream_from_json(headers: Headers) -> None:
    for beginning in (b"", b"\xef\xbb\xbf", b"\n\n"):
        scene = Scene()
        scene.give(200, headers, *filter(None, [beginning]), b"data: C1 ").on_end()
        assert scene.outcome() == (beginning + b"data: C1 .", "finished", None)
        scene = Scene()
        scene.give(200, headers, *filter(None, [beginning]), b"{}").on_end()
        assert scene.receiver.body == b"data: " + beginning + b"{}"
        assert scene.receiver.is_stream


def test_empty_answer_to_a_stream_request_is_truncated() -> None:
    scene = Scene()
    scene.give(200, SSE).on_end()
    assert scene.outcome() == (None, None, "truncated")


# A stream that has finished and does not end.


def test_finished_stream_ends_soon_despite_heartbeats() -> None:
    scene = Scene()
    scene.give(200, SSE, b"C1 ", b"F ")
    assert scene.leg.deadline == NOW + AFTER_FINISH_S
    assert scene.carrier.calls[-1] == "watch", "an earlier deadline must be watched"
    scene.receiver.on_data(b"heartbeat ")
    assert scene.leg.deadline == NOW + AFTER_FINISH_S
    scene.receiver.on_failure(TransportFailure(failures.STALLED, "silence", was_sent=True))
    assert scene.outcome() == (b"C1 F heartbeat .", "finished", None)


@pytest.mark.parametrize("kind", [failures.CONNECTION_LOST, failures.STREAM_TOO_LONG, failures.MALFORMED_ANSWER])
def test_finished_stream_is_complete_despite_a_failure(kind: Kind) -> None:
    scene = Scene()
    scene.give(200, SSE, b"C1 F ").on_failure(TransportFailure(kind, "in words", was_sent=True))
    assert scene.outcome() == (b"C1 F .", "finished", None)


# Errors instead of an answer.


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", [301, 400, 429, 500])
def test_error_status_is_mapped_by_the_codec(status: int, stream: bool) -> None:
    scene = Scene(stream=stream)
    scene.give(status, JSON, b"ab", b"c").on_end()
    failure = scene.receiver.failure
    assert failure is not None
    assert (failure.status, failure.message) == (status, "3 bytes")
    assert scene.outcome()[:2] == (None, None)


def test_size_of_an_error_body_is_bounded() -> None:
    scene = Scene()
    receiver = scene.give(500, JSON, *[b"x" * 10_000] * 20)
    receiver.on_end()
    assert receiver.failure is not None
    assert receiver.failure.message == f"{MAX_ERROR_BYTES} bytes"


@pytest.mark.parametrize("kind", [failures.CONNECT_FAILED, failures.COMMIT_TIMEOUT])
def test_failure_before_a_head_hides_addresses_from_the_client(kind: Kind) -> None:
    scene = Scene()
    scene.receiver.on_failure(TransportFailure(kind, "in words", was_sent=False))
    failure = scene.receiver.failure
    assert failure is not None
    assert (failure.kind, failure.message) == (kind, "in words")
    assert "in words" not in failure.for_client, "the message may contain an address"
    assert scene.outcome()[:2] == (None, None)


# Deadlines and slow clients.


def test_head_is_the_first_byte_of_an_attempt() -> None:
    scene = Scene()
    assert scene.receiver.first_byte_at is None
    scene.give(200, SSE)
    first = scene.receiver.first_byte_at
    assert first == NOW
    scene.receiver.on_data(b"C1 ")
    assert (scene.receiver.first_byte_at, scene.receiver.status) == (first, 200)


# Regressions.


def test_duration_of_an_error_body_is_bounded() -> None:
    scene = Scene(stream=False)
    scene.give(500, JSON, b"so ", b"far")
    assert scene.leg.deadline == NOW + ERROR_BODY_S
    assert scene.carrier.calls[-1] == "watch"
    scene.receiver.on_failure(TransportFailure(failures.COMMIT_TIMEOUT, "too long", was_sent=True))
    assert scene.receiver.failure == Failure(failures.UPSTREAM_ERROR, "6 bytes", 500)


def test_status_not_modified_is_an_answer() -> None:
    scene = Scene(stream=False, is_passthrough=True)
    scene.give(304, {b"etag": b'"x"'}).on_end()
    assert scene.outcome() == (b"", "finished", None)


def test_size_of_a_stream_without_content_is_bounded() -> None:
    scene = Scene(commit_buffer=100)
    scene.give(200, SSE, *[b": nothing to say "] * 7)
    assert scene.outcome() == (None, None, "malformed_answer")


REFUSAL = frozenset({failures.REFUSED})


def test_refusal_is_held_to_its_end_if_another_candidate_is_for_it() -> None:
    scene = Scene()
    scene.receiver.held = REFUSAL
    scene.give(200, SSE, b"data: RC", b"U", b"D")
    assert scene.outcome() == (None, None, "refused")
    assert (scene.receiver.body, scene.receiver.usage) == (b"data: RCUD", Usage(3, 2))
    assert scene.receiver.committed_at is None
    scene = Scene()
    scene.give(200, SSE, b"data: RC", b"U", b"D")
    assert scene.outcome() == (b"data: RCUD", "finished", None)
    assert scene.receiver.refused is failures.REFUSED


def test_refusal_that_breaks_off_is_a_failure_of_the_provider() -> None:
    scene = Scene()
    scene.receiver.held = REFUSAL
    scene.give(200, SSE, b"data: RC", b"E")
    assert scene.outcome()[0] is None
    assert scene.receiver.failure is BROKEN


def test_refusal_longer_than_the_buffer_is_passed_on() -> None:
    scene = Scene(commit_buffer=20)
    scene.receiver.held = REFUSAL
    scene.give(200, SSE, b"data: RC", b"C" * 30, b"D")
    assert scene.outcome() == (b"data: RC" + b"C" * 30 + b"D", "finished", None)


def test_held_refusal_has_begun_in_time() -> None:
    """The limit for the first content of a stream no longer applies to it."""
    scene = Scene()
    scene.receiver.held = REFUSAL
    scene.receiver.commit_by, scene.receiver.content_by = NOW + 99, NOW + 9
    scene.give(200, SSE)
    assert scene.leg.deadline == NOW + 9
    scene.give(200, SSE, b"data: RC")
    assert scene.leg.deadline == NOW + 99


# A stream after another attempt has answered: the probe of a race.


@pytest.mark.parametrize(
    ("pieces", "content_at", "kind"),
    [
        ([b"role "], None, None),
        ([b"role ", b"C1 ", b"C2 "], NOW, failures.SUPERSEDED),
        ([b"C1 D"], NOW, failures.SUPERSEDED),
        ([b"role ", b"E"], None, failures.UPSTREAM_ERROR),
    ],
)
def test_beaten_stream_ends_at_its_first_content(
    pieces: list[bytes], content_at: float | None, kind: Kind | None
) -> None:
    scene = Scene()
    scene.receiver.run_on(NOW + 2)
    assert scene.leg.deadline == NOW + 2
    scene.give(200, SSE, *pieces)
    assert scene.lengths == [], "the client has the other answer"
    assert scene.receiver.content_at == content_at
    assert scene.receiver.committed_at is None
    assert (scene.receiver.failure and scene.receiver.failure.kind) == kind
    assert ("cancel" in scene.carrier.calls) is (content_at is not None)


def test_beaten_stream_that_stays_silent_is_superseded_and_no_timeout() -> None:
    scene = Scene()
    scene.receiver.commit_by, scene.receiver.content_by = NOW + 600, NOW + 9
    scene.receiver.run_on(NOW + 2)
    assert scene.leg.timeout_kind is failures.SUPERSEDED
    scene.give(200, SSE)
    assert scene.leg.deadline == NOW + 2, "its head extends nothing"
    scene.receiver.on_failure(TransportFailure(scene.leg.timeout_kind, "late", was_sent=True))
    assert scene.outcome() == (None, None, "superseded")


@pytest.mark.parametrize("body", [b'{"a": 1}', b"<html>"])
def test_beaten_answer_that_is_no_stream_never_commits(body: bytes) -> None:
    scene = Scene()
    scene.receiver.run_on(NOW + 2)
    scene.give(200, JSON, body, body)
    scene.receiver.on_end()
    assert scene.outcome() == (None, None, "superseded")
    assert scene.receiver.committed_at is None
