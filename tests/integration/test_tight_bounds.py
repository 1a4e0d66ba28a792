"""The counted bound of every recorded prompt, beside the tokens that its provider reported.

With `POINTSMAN_MEASURE` set, the ratios are written to docs/measurements. Recordings of APIs that the gateway does not
speak, such as Gemini's own, are compared too, since their tokenizers differ most.
"""

import datetime as dt
import json
import os
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from fakes.corpora import Recorded, recorded
from fakes.money import make_call
from integration.exchanges import PATHS, call_of, exchange_of
from pointsman.domain.calls import Call
from pointsman.engine.counting import counted
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.tokens import most_in

MEASURED = Path(__file__).parents[2] / "docs" / "measurements" / "tight_bounds.json"
# In the requests of other APIs: media, and tools that the provider runs itself.
_UNBOUNDED = ("inlineData", "fileData", '"document"', '"image"', '"video"', "googleSearch", "google_search")
_ALSO = ("fileSearch", "urlContext", "codeExecution", "cachePoint", "image_url", '"documents"')
_ADDED = ("cache_creation_input_tokens", "cache_read_input_tokens", "cacheReadInputTokens", "cacheWriteInputTokens")
_COUNTS = ("prompt_tokens", "promptTokenCount", "inputTokens", "input_tokens")
# The provider searches the web although the request names no tool: nothing in the request shows its input.
_SYSTEMS = ("compound",)


class Prompt(Struct, frozen=True):
    """A recorded prompt with its tokens as reported, and with the gateway's bounds on them."""

    file: str
    host: str
    reported: int
    counted: int
    by_bytes: int
    text_bytes: int  # 0 with media

    @property
    def ratio(self) -> float:
        return self.counted / self.reported


def usages(value: Any) -> Iterator[int]:
    """Yield the tokens of a prompt in each report of usage within a JSON value."""
    if isinstance(value, list):
        for one in value:
            yield from usages(one)
    elif isinstance(value, dict):
        tokens = next((value[name] for name in _COUNTS if isinstance(value.get(name), int)), None)
        if "billed_units" in value:  # Cohere charges for these, and not for its own part of the prompt
            yield from usages(value["billed_units"])
            return
        if tokens is not None:
            yield tokens + sum(value.get(name) or 0 for name in _ADDED)
        for name, one in value.items():
            if name not in ("content", "output", "choices"):
                yield from usages(one)


def reported(one: Recorded) -> int:
    """Return the tokens of a prompt as reported in an answer, 0 if it has none."""
    lines = one.body.decode(errors="replace").splitlines() if one.is_stream else [one.body.decode(errors="replace")]
    found = 0
    for line in lines:
        try:
            found = max(found, *usages(json.loads(line.removeprefix("data:"))), 0)
        except ValueError:
            continue
    return found


def read(one: Recorded) -> Call | None:
    """Return a recorded request as the gateway reads it, if its bytes bound its prompt."""
    exchange = exchange_of(one)
    if exchange is not None and exchange.dialect in PATHS:
        call = call_of(exchange)
        is_bounded = DIALECTS[call.head.dialect].unbounded(call) is None
        return call if is_bounded and not any(name in call.model for name in _SYSTEMS) else None
    text = one.request.decode()
    if any(mark in text for mark in _UNBOUNDED + _ALSO):
        return None
    fields = json.loads(text)
    if "toolConfig" in fields:
        fields["tools"] = fields["toolConfig"]
    return make_call(size=len(one.request), fields=fields)


def prompts() -> list[Prompt]:
    """Return all recorded prompts, or skip the test if there are none."""
    found = []
    for one in recorded("//"):
        tokens = reported(one) if one.status == 200 else 0
        try:
            call = read(one) if tokens and one.request.startswith(b"{") else None
        except ValueError:  # a recorded request that is no JSON
            continue
        if call is not None:
            host = urlsplit(one.uri).netloc
            size = 0 if call.media.count else call.size
            found.append(Prompt(one.file, host, tokens, most_in(counted(call)), most_in(call), size))
    return found


def test_counted_bound_is_never_below_recorded_usage() -> None:
    found = prompts()
    assert len(found) > 100
    below = [one for one in found if one.counted < one.reported]
    # Nova's preamble for tools is larger than the template that both bounds assume.
    assert [one for one in below if one.by_bytes >= one.reported or "bedrock_nova" not in one.file] == []
    assert len(below) <= 2
    assert all(one.counted <= one.by_bytes for one in found)
    if "POINTSMAN_MEASURE" in os.environ:
        MEASURED.write_text(json.dumps(table(found), indent=1) + "\n")


def table(found: list[Prompt]) -> dict[str, Any]:
    """Return the ratios of the bounds to the reported tokens, by provider; `long` are texts of 2,000 bytes and more."""
    rows: dict[str, Any] = {"date": dt.datetime.now(dt.UTC).date().isoformat(), "all": summary(found)}
    rows["long"] = summary([one for one in found if one.text_bytes >= 2_000])
    for host in sorted({one.host for one in found}):
        rows[host] = summary([one for one in found if one.host == host])
    return rows


def summary(found: list[Prompt]) -> dict[str, float]:
    ratios = sorted(one.ratio for one in found)
    return {
        "count": len(ratios),
        "min": round(ratios[0], 2),
        "median": round(statistics.median(ratios), 2),
        "p95": round(ratios[int(0.95 * (len(ratios) - 1))], 2),
        "median_by_bytes": round(statistics.median(one.by_bytes / one.reported for one in found), 2),
    }
