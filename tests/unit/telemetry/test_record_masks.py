"""A record has no key in any field that a client or a provider chooses."""

from typing import Any

import msgspec
import pytest

from pointsman.domain.records import AttemptRecord, Feedback, RequestRecord
from pointsman.telemetry import record_masks
from pointsman.telemetry.record_masks import RecordMasks

KEY = "sk-canary-0123456789abcdef"
TEXTS = (
    "path",
    "model",
    "session",
    "client_request_id",
    "agent",
    "parent_agent",
    "client_retries",
    "pinned",
    "message",
)
FIELDS: dict[str, Any] = {
    **dict.fromkeys(TEXTS, KEY),
    "tags": {"feature": KEY},
    "labels": {KEY: "a"},
    "verdicts": (f"echo/{KEY}: over the budget",),
    "order": ("a/b", f"echo/{KEY}"),
    "rule_facts": {"headers.x-tier": f"Bearer {KEY}"},
    "rule_problems": (f"rule: error: {KEY}",),
    "require": {f"region={KEY}": "header"},
    "feedback": Feedback(request_id="a", score=1.0, comment=f"see {KEY}"),
    "attempts": (
        AttemptRecord(provider="a", model=KEY, key="k", outcome="ok", start_us=0, duration_us=1),
        AttemptRecord(provider="a", model="m", key="k", outcome="x", start_us=0, duration_us=1, message=f"no {KEY}"),
    ),
}


def record(**fields: Any) -> RequestRecord:
    base: dict[str, Any] = {"time": 1.0, "request_id": "id", "method": "POST", "path": "/v1/chat/completions"}
    return RequestRecord(**{**base, "status": 200, **fields})


@pytest.mark.parametrize("name", FIELDS)
def test_no_field_has_a_key(name: str) -> None:
    more = {"code": "x"} if name == "message" else {}  # only failures have a message
    masks = RecordMasks()
    for _ in range(2):  # a text is remembered only if it has no key
        found = masks.of(record(**{**more, name: FIELDS[name]}))
        text = msgspec.json.encode(found)
        assert (b"canary" in text) is False
        assert b"[secret]" in text


def test_trace_state_has_no_key() -> None:
    found = RecordMasks().of(record(traceparent=f"00-{'a' * 32}-{'b' * 16}-01", tracestate=f"vendor={KEY}"))
    assert found.tracestate == "vendor=[secret]"


def test_every_text_of_a_record_is_covered() -> None:
    """A new field needs a canary above, unless the gateway or its configuration chooses its text."""
    own = {"request_id", "code", "method", "operation", "virtual_key", "provider", "upstream_model", "key", "variant"}
    own |= {"strategy", "source", "team", "customer", "client", "dialect", "flags", "rule", "tier", "kept_by"}
    own |= {"verdict_codes", "rules", "paced", "notes", "verdict_policies", "last_resorts", "mirror_of", "compared"}
    own |= {"traceparent", "tracestate"}
    texts = {
        field.name
        for field in msgspec.structs.fields(RequestRecord)
        if "str" in str(field.type) or "Record" in str(field.type) or "Feedback" in str(field.type)
    }
    assert texts - own - {"compared"} == set(FIELDS)


def test_record_without_a_key_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_masks, "MOST_KEPT", 3)
    masks = RecordMasks()
    for number in range(10):
        one = record(model=f"model-number-{number}", session="0197c5e0-aaaa-7bbb-8ccc-1234567890ab", tags={"a": "b"})
        assert masks.of(one) is one


def test_text_alone_is_masked() -> None:
    assert RecordMasks().text(f"a/{KEY}") == "a/[secret]"
    assert RecordMasks().text("gpt-4o-mini-2024-07-18") == "gpt-4o-mini-2024-07-18"
