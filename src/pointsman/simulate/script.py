"""Scripts: the timed bytes that an answer with its faults puts on the wire."""

import random
import zlib
from collections.abc import Iterator
from email.utils import formatdate
from http.client import responses
from time import time

from msgspec import Struct

from pointsman.simulate.answers import Answer, Dialect, Event
from pointsman.simulate.content_faults import Delivery, Ending, apply_content_faults
from pointsman.simulate.faults import Faults
from pointsman.simulate.settings import Settings, sample

GARBAGE = b"\x00garbage after the end\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
_OF_OPENAI = (
    b"openai-version: 2020-10-01",
    b"openai-organization: simulated",
    b"openai-processing-ms: 1",
)
_OF_ANTHROPIC = (b"anthropic-organization-id: simulated",)
_OWN: dict[Dialect, tuple[bytes, ...]] = {"anthropic": _OF_ANTHROPIC, "gemini": (b"server-timing: gfet4t7; dur=1",)}
# https://platform.claude.com/docs/en/api/rate-limits#response-headers. Google reports none.
_UNLIMITED: dict[Dialect, tuple[bytes, ...]] = {
    "gemini": (),
    "openai": (b"x-ratelimit-limit-tokens: 150000000", b"x-ratelimit-remaining-tokens: 149999967"),
    "anthropic": (
        b"anthropic-ratelimit-input-tokens-limit: 2000000",
        b"anthropic-ratelimit-input-tokens-remaining: 1999000",
    ),
}


class Step(Struct):
    """Bytes to write `delay_s` after the previous step, and the tokens they carry."""

    data: bytes
    delay_s: float = 0.0
    tokens: int = 0


class Script(Struct):
    """The bytes to write, and the end of the connection. `is_good` is copied from `Delivery`."""

    steps: list[Step]
    ending: Ending = Ending.KEEP
    is_good: bool = True


class Pace(Struct, kw_only=True):
    """Delays of tokens. The answer begins `first_s` after the request. In a stream, the first token follows the head
    after `start_s`, and each further token follows after a gap."""

    first_s: float
    settings: Settings
    rng: random.Random
    slow_s: float | None = None
    is_at_once: bool = False
    start_s: float = 0.0

    def gap_s(self) -> float:
        """Return the delay before the next token."""
        if self.is_at_once:
            return 0.0
        return self.slow_s if self.slow_s is not None else sample(self.settings.token_gap_ms, self.rng) / 1000

    def gaps_s(self, count: int) -> float:
        """Return the sum of `count` delays."""
        if count <= 0 or (self.settings.token_gap_ms == 0 and not self.slow_s):
            return 0.0
        return sum(self.gap_s() for _ in range(count))


def compose(answer: Answer, faults: Faults, settings: Settings, rng: random.Random, *, closes: bool) -> Script:
    """Build the script of an answer with faults. With `closes`, the connection ends after this answer."""
    if "reset" in faults:
        return Script([], Ending.RESET, is_good=False)
    if "hang" in faults:
        return Script([], Ending.SILENCE, is_good=False)
    delivery = apply_content_faults(answer, faults)
    pace = _pace(faults, settings, rng)
    framing = _Framing(delivery, faults, settings, closes=closes)
    if "hang_after_head" in faults:
        return Script([Step(framing.head, pace.first_s)], Ending.SILENCE, is_good=False)
    steps = _whole(delivery, framing, pace) if answer.events is None else _streamed(delivery, framing, pace)
    if "linger" in faults and not delivery.is_good:
        steps.append(Step(b"", faults["linger"]))
    if "trailing_garbage" in faults:
        steps[-1].data += GARBAGE
    ending = delivery.ending
    if ending is Ending.KEEP and closes:
        ending = Ending.CLOSE
    elif ending is Ending.KEEP and "early_close_keepalive" in faults:
        ending = Ending.CLOSE_ON_NEXT
    script = Script(steps, ending, delivery.is_good)
    if faults.get("bad_content_length", 0) > 0:
        script.ending, script.is_good = Ending.CLOSE, False
    _cut(script, faults)
    return script


def _pace(faults: Faults, settings: Settings, rng: random.Random) -> Pace:
    if "slow_answer" in faults:
        return Pace(first_s=faults["slow_answer"], settings=settings, rng=rng, is_at_once=True)
    first_s = sample(settings.first_token_ms, rng) / 1000
    slow_s = faults["slow_tokens"] / 1000 if "slow_tokens" in faults else None
    return Pace(first_s=first_s, settings=settings, rng=rng, slow_s=slow_s, start_s=faults.get("slow_start", 0.0))


class _Framing:
    """Head and framing of an answer: Content-Length for complete bodies, chunks for streams and the fault `chunked`."""

    def __init__(self, delivery: Delivery, faults: Faults, settings: Settings, *, closes: bool) -> None:
        answer = delivery.answer
        self._compress = zlib.compressobj(wbits=31) if "gzip" in faults else None
        self._size_error = faults.count("bad_content_length") if "bad_content_length" in faults else 0
        self.chunk_size = faults.count("chunked") if "chunked" in faults else 0
        self.body = self._encoded(answer.body, ends=True)
        lines = [
            b"HTTP/1.1 %d %b" % (answer.status, responses.get(answer.status, "Status").encode()),
            b"date: " + formatdate(time() + settings.clock_skew_s, usegmt=True).encode(),
            b"content-type: " + answer.content_type.encode(),
            *_OWN.get(answer.dialect, _OF_OPENAI),
            *(() if answer.is_limited else _UNLIMITED.get(answer.dialect, _UNLIMITED["openai"])),
            b"set-cookie: __cf_bm=simulated; path=/; HttpOnly; Secure",
            b"server: simulated-" + settings.name.encode(),
        ]
        lines += [f"{name}: {value}".encode() for name, value in answer.headers]
        if self._compress is not None:
            lines.append(b"content-encoding: gzip")
        if answer.events is not None or self.chunk_size:
            lines.append(b"transfer-encoding: chunked")
        else:
            lines.append(b"content-length: %d" % (len(self.body) + self._size_error))
        if closes:
            lines.append(b"connection: close")
        self.head = b"\r\n".join(lines) + b"\r\n\r\n"

    def _encoded(self, data: bytes, *, ends: bool) -> bytes:
        if self._compress is None or not data:
            return data
        return self._compress.compress(data) + self._compress.flush(zlib.Z_FINISH if ends else zlib.Z_SYNC_FLUSH)

    def chunk(self, data: bytes, *, is_last: bool) -> bytes:
        """Frame one chunk; the last chunk has the wrong size if a fault requests it."""
        data = self._encoded(data, ends=is_last)
        return self.sized(data, is_last=is_last)

    def sized(self, data: bytes, *, is_last: bool) -> bytes:
        """Frame a chunk of encoded bytes."""
        size = len(data) + (self._size_error if is_last else 0)
        return b"%x\r\n%b\r\n" % (max(1, size), data)


def _streamed(delivery: Delivery, framing: _Framing, pace: Pace) -> list[Step]:
    events: list[Event] = delivery.answer.events or []
    steps = [Step(framing.head, pace.first_s)]
    has_begun = False
    for position, event in enumerate(events):
        is_last = position == len(events) - 1
        delay_s = 0.0
        if event.is_content:
            delay_s = pace.gap_s() if has_begun else pace.start_s
        has_begun = has_begun or event.is_content
        step = Step(framing.chunk(event.data, is_last=is_last), delay_s, event.tokens)
        if position == 0:
            steps[0].data += step.data
            steps[0].tokens = step.tokens
        else:
            steps.append(step)
    if delivery.is_whole:
        steps[-1].data += _LAST_CHUNK
    return steps


def _whole(delivery: Delivery, framing: _Framing, pace: Pace) -> list[Step]:
    body = framing.body
    if framing.chunk_size:
        body = b"".join(_chunks(framing)) + _LAST_CHUNK
    if not delivery.is_whole:
        body = body[: len(body) // 2]
    tokens = delivery.answer.tokens_out
    return [Step(framing.head + body, pace.first_s + pace.gaps_s(tokens - 1), tokens)]


def _chunks(framing: _Framing) -> Iterator[bytes]:
    for start in range(0, len(framing.body), framing.chunk_size):
        end = start + framing.chunk_size
        yield framing.sized(framing.body[start:end], is_last=end >= len(framing.body))


def _cut(script: Script, faults: Faults) -> None:
    """End the script after the number of bytes that a fault gives, if there is such a fault."""
    for name, ending in (("close_at", Ending.CLOSE), ("reset_at", Ending.RESET)):
        if name not in faults:
            continue
        left = faults.count(name)
        kept = []
        for step in script.steps:
            if len(step.data) > left:
                script.is_good = False
                if left:
                    kept.append(Step(step.data[:left], step.delay_s))
                break
            left -= len(step.data)
            kept.append(step)
        script.steps, script.ending = kept, ending
