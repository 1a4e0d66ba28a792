"""The framing of requests without a socket: any bytes in reads of any size, and every transition of the table."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fakes.corpora import shared
from pointsman.domain.failures import Failure
from pointsman.transport import framer as module
from pointsman.transport._server_parts import Limits
from pointsman.transport.framer import (
    ACCEPTING,
    CLOSED,
    COLLECTING,
    END,
    ENDING,
    HEAD,
    IDLE,
    LATER,
    NOTHING,
    OVERFLOW,
    PIECE,
    REJECTED,
    REQUEST,
    SERVING,
    STREAMING,
    TRANSITIONS,
    WAITING,
    Framer,
)
from pointsman.transport.http_head import BodyMode, HeadMemo

PAGE = Path(__file__).parents[3] / "docs/decisions/0038-framing-without-sockets.md"
LIMITS = Limits(head_bytes=300, header_count=8, body_bytes=60, streamed_body_bytes=90, pipeline_bytes=400)
MOST = 400 + 300 + 60  # the most bytes that the limits allow a framer to keep
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
FRAGMENTS = (
    *(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HEAD /x?y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    *(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", b"hello"),
    *(b"POST /b HTTP/1.0\r\nContent-Length: 3\r\n\r\n", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 61\r\n\r\n"),
    *(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n", CHUNKED, b"5\r\nhello\r\n"),
    *(b"1e;x=y\r\n" + b"z" * 30 + b"\r\n", b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"100;" + b"e" * 255 + b"\r\n"),
    *(b"GET / HTTP/1.1\r\n", b"Host: a\r\n", b"X: " + b"x" * 200 + b"\r\n"),
    *(b"\r\n", b"\r", b"\n", b"\x00", b" ", b":", b"0", b"Upgrade: h2c\r\n", b"Content-Length: 3\r\n"),
)  # fmt: skip
INPUT = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=6)), max_size=8).map(b"".join)


class Traced(Framer):
    """A framer that records every change of its state."""

    def __init__(self, limits: Limits = LIMITS, memo: HeadMemo | None = None) -> None:
        self.moves: set[tuple[str, str]] = set()
        self._state = ""
        super().__init__(limits, memo or HeadMemo(limits.header_count))

    @property
    def state(self) -> str:
        return self._state

    @state.setter
    def state(self, state: str) -> None:
        if self._state:
            self.moves.add((self._state, state))
        self._state = state

    @property
    def kept(self) -> int:
        return len(self._buffer) + len(self._collected)


def play(framer: Framer, event: str, mode: BodyMode, seen: list[object], body: bytearray) -> None:
    """Act as the owner: accept every head in this mode, and answer each request as soon as it is complete."""
    while event not in (NOTHING, OVERFLOW):
        if event == HEAD:
            event = framer.accept(mode)
        elif event == REJECTED:
            seen.append("rejected")
            return
        elif framer.state == STREAMING:
            event = framer.read()
            if event == PIECE:
                body += framer.body
            elif event == NOTHING:
                return
        elif framer.state == COLLECTING:
            assert event == LATER
            event = framer.next()
        else:
            assert event in (REQUEST, END)
            head = framer.head
            seen.append((head.method, head.target, sorted(head.headers.items()), bytes(body or framer.body)))
            body.clear()
            framer.finish()
            event = framer.next()


def seen_in(reads: list[bytes], mode: BodyMode, memo: HeadMemo | None = None) -> list[object]:
    """Return the requests in these reads, and `"rejected"` if one of them was rejected."""
    framer = Traced(memo=memo)
    seen: list[object] = []
    body = bytearray()
    for read in reads:
        play(framer, framer.feed(read), mode, seen, body)
        assert framer.kept <= MOST + len(read)
    assert framer.moves <= {(state, new) for state, moves in TRANSITIONS.items() for new in moves.values()}
    return seen


@given(INPUT, st.lists(st.integers(0, 2000)), st.sampled_from(list(BodyMode)))
@settings(max_examples=600, deadline=None)
def test_requests_do_not_depend_on_the_boundaries_of_reads(data: bytes, cuts: list[int], mode: BodyMode) -> None:
    places = sorted({0, len(data), *(at for at in cuts if at < len(data))})
    memo = HeadMemo(LIMITS.header_count)
    whole = seen_in([data], mode, memo)
    assert seen_in([data[a:b] for a, b in pairwise(places)], mode) == whole
    for _ in range(2):
        assert seen_in([data], mode, memo) == whole, "cached heads are read as before"
    assert seen_in([data[at : at + 1] for at in range(len(data))], mode, memo) == whole


@given(st.lists(st.binary(max_size=20), max_size=5), st.booleans())
@settings(deadline=None)
def test_requests_in_one_read_are_separated(bodies: list[bytes], is_chunked: bool) -> None:
    heads = [
        CHUNKED if is_chunked else b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
        for body in bodies
    ]
    parts = [b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n" for body in bodies]
    data = b"".join(
        head + (part if is_chunked else body) for head, part, body in zip(heads, parts, bodies, strict=True)
    )
    for mode in BodyMode:
        assert [item[3] for item in seen_in([data], mode) if isinstance(item, tuple)] == bodies


@pytest.mark.parametrize("mode", list(BodyMode))
def test_hostile_requests_do_not_depend_on_the_boundaries_of_reads(mode: BodyMode) -> None:
    for page in sorted(shared("corpora", "llhttp", "test", "request").glob("*.md")):
        for block in re.findall(r"```http\n(.*?)\n?```", page.read_text(), re.DOTALL):
            data = block.replace("\\\n", "").replace("\n", "\r\n").replace("\\r", "\r").replace("\\n", "\n")
            raw = data.encode("latin-1", "replace") + b"\r\n"
            whole = seen_in([raw], mode)
            assert seen_in([raw[at : at + 1] for at in range(len(raw))], mode) == whole, page.stem


@pytest.mark.parametrize("spare", [0, 1])
def test_limit_of_a_size_line_does_not_depend_on_the_boundaries_of_reads(spare: int) -> None:
    line = b"200;" + b"e" * (250 + spare) + b"\r\n"
    limits = Limits()
    for cut in range(1, len(line)):
        framer = Framer(limits, HeadMemo(8))
        framer.feed(CHUNKED)
        framer.accept(BodyMode.STREAM)
        framer.feed(line[:cut])
        events = [framer.read()]
        if framer.state == STREAMING:
            framer.feed(line[cut:])
            events.append(framer.read())
        assert (REJECTED in events) == bool(spare), cut


GET, POST = FRAGMENTS[0], FRAGMENTS[2]


def test_exactly_the_transitions_of_the_table_happen() -> None:
    moves: set[tuple[str, str]] = set()

    def case(*steps: str | bytes | BodyMode) -> Traced:
        framer = Traced()
        for step in steps:
            if isinstance(step, bytes):
                framer.feed(step)
            elif isinstance(step, BodyMode):
                framer.accept(step)
            elif step in (module.CLOSE, module.LOST):
                framer.end(step)
            elif step in ("pause", "resume"):
                framer.set_paused(is_paused=step == "pause")
            else:
                getattr(framer, step)()
        moves.update(framer.moves)
        return framer

    collect, stream = BodyMode.BUFFER, BodyMode.STREAM
    ways: dict[str, tuple[str | bytes | BodyMode, ...]] = {
        IDLE: (),
        WAITING: (GET[:-1],),
        ACCEPTING: (GET,),
        COLLECTING: (POST, collect),
        STREAMING: (POST, stream),
        SERVING: (GET, collect),
        ENDING: ("close",),
        CLOSED: ("lost",),
    }
    for state, way in ways.items():
        assert case(*way).state == state
        assert case(*way, "close").state == (CLOSED if state == CLOSED else ENDING)
        assert case(*way, "lost").state == CLOSED
    ends: list[tuple[str, tuple[str | bytes | BodyMode, ...]]] = [
        (
            SERVING,
            (GET, collect, "finish", GET, collect, "finish", GET),
        ),  # the last head is cached, and its request arrives in one read
        (WAITING, ("pause",)),
        (IDLE, ("pause", "resume", "next")),
        (CLOSED, ("pause", b"x" * 401)),
        (ENDING, (b"\x00",)),
        (ENDING, (FRAGMENTS[5], collect)),
        (IDLE, (GET, "skip")),
        (WAITING, (GET + b"x", "skip")),
        (ENDING, (CHUNKED, collect, b"x\n")),
        (ENDING, (CHUNKED + b"x\n", stream, "read")),
        (SERVING, (POST + b"hello", stream, "read", "read")),
        (CLOSED, (GET, collect, b"x" * 401)),
        (CLOSED, ("close", b"x" * (module.LINGER_BYTES + 1))),
        (CLOSED, ("lost", b"x", "next")),
    ]
    for state, way in ends:
        assert case(*way).state == state, way
    assert moves == {(state, new) for state, table in TRANSITIONS.items() for new in table.values()}


@pytest.mark.parametrize(("state", "misuse"), [(IDLE, "finish"), (CLOSED, "finish"), (ENDING, "finish")])
def test_event_that_the_table_does_not_list_raises_an_error(state: str, misuse: str) -> None:
    framer = Framer(LIMITS, HeadMemo(8))
    if state != IDLE:
        framer.end(module.LOST if state == CLOSED else module.CLOSE)
    with pytest.raises(KeyError):
        getattr(framer, misuse)()


def test_decision_page_shows_the_table_of_transitions() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    shown = {state: dict(re.findall(r"(\w+) → `(\w+)`", moves)) for state, moves in rows}
    assert shown == TRANSITIONS


class Conversation(RuleBasedStateMachine):
    """Any bytes, and any calls that the state allows: no call raises, and the framer keeps few bytes."""

    @initialize()
    def begin(self) -> None:
        self.framer = Traced()
        self.latest = 0

    def check(self, event: str) -> None:
        if event == REJECTED:
            assert isinstance(self.framer.failure, Failure)
            assert self.framer.state == ENDING

    @rule(data=INPUT)
    def arrive(self, data: bytes) -> None:
        self.latest = len(data)
        self.check(self.framer.feed(data))

    @rule()
    def next(self) -> None:
        self.check(self.framer.next())

    @precondition(lambda self: self.framer.state == ACCEPTING)
    @rule(mode=st.sampled_from(list(BodyMode)))
    def accept(self, mode: BodyMode) -> None:
        self.check(self.framer.accept(mode))

    @precondition(lambda self: self.framer.state == ACCEPTING and self.framer.can_skip)
    @rule()
    def skip(self) -> None:
        self.framer.skip()

    @precondition(lambda self: self.framer.state == STREAMING)
    @rule()
    def read(self) -> None:
        self.check(self.framer.read())

    @precondition(lambda self: self.framer.state == SERVING)
    @rule()
    def finish(self) -> None:
        self.framer.finish()

    @rule(is_paused=st.booleans())
    def set_paused(self, is_paused: bool) -> None:
        self.framer.set_paused(is_paused=is_paused)

    @precondition(lambda self: self.framer.state not in (IDLE, WAITING))
    @rule()
    def close(self) -> None:
        self.framer.end(module.CLOSE)

    @precondition(lambda self: self.framer.state == ENDING)
    @rule()
    def lose(self) -> None:
        self.framer.end(module.LOST)

    @invariant()
    def is_in_bounds(self) -> None:
        if hasattr(self, "framer"):
            allowed = {(state, new) for state, moves in TRANSITIONS.items() for new in moves.values()}
            assert self.framer.moves <= allowed
            if self.framer.state in (ENDING, CLOSED):
                assert not self.framer.kept


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
