"""Records leave only by the tags of their receiver, by its filter, and with their masks."""

import json
from typing import Any

import pytest

from fakes.control import request_id
from fakes.sinks import MASKS
from pointsman.admin.leaving import Gate
from pointsman.config.settings import Filter
from pointsman.control.inquiries.sinks import Conditions
from pointsman.domain.requirements import Requirement, Tag

EU = {"region": (Tag("eu"),), "certifications": (Tag("hipaa"), Tag("soc2"))}


def line(**fields: Any) -> bytes:
    return json.dumps({"event": "request", "request_id": request_id(1, 1.7e9), "status": 200, **fields}).encode()


def passes(conditions: Conditions, record: bytes) -> bool:
    found, withheld = Gate(conditions).passed([record])
    assert len(found) + withheld <= 1
    return bool(found)


@pytest.mark.parametrize(
    ("require", "tags", "passed"),
    [
        ({}, {}, True),
        ({"region=eu": "virtual key a"}, EU, True),
        ({"region=uk|eu": "virtual key a"}, EU, True),
        ({"certifications=hipaa+soc2": "team b"}, EU, True),
        ({"certifications=hipaa+iso": "team b"}, EU, False),
        ({"region=us": "virtual key a"}, EU, False),
        ({"region=eu": "virtual key a"}, {}, False),
        ({"region=eu": "a"}, {"region": (Tag("eu", expires_at=1.0),)}, False),
        ({"region=eu": "a", "zone=1": "b"}, EU, False),
        ({"not readable": "a"}, EU, False),
    ],
)
def test_tags_must_meet_every_requirement(require: dict[str, str], tags: dict[str, Any], passed: bool) -> None:
    assert passes(Conditions(tags=tags), line(require=require)) is passed


def test_requirements_of_all_requests_hold_for_records_without_any() -> None:
    require = (Requirement("region", ("eu",)),)
    assert not passes(Conditions(require=require), line())
    assert passes(Conditions(require=require, tags=EU), line())


def test_condition_chooses_records() -> None:
    chosen = Conditions(filter=Filter(when='cost_usd > 0.5 && tags["a"] == "b"'))
    assert passes(chosen, line(cost_nano=10**9, tags={"a": "b"}))
    assert not passes(chosen, line(cost_nano=10**9))
    assert not passes(chosen, line(tags={"a": "b"}))


def test_withheld_records_are_counted_and_unreadable_ones_do_not_pass() -> None:
    found, withheld = Gate(Conditions(tags=EU)).passed([line(), b"{", line(require={"region=us": "a"}), b'{"a": 1}'])
    assert (len(found), withheld) == (1, 3)


@pytest.mark.parametrize(
    ("chosen", "fields", "passed"),
    [
        (Filter(fields=(("team", ("a", "b")),)), {"team": "b"}, True),
        (Filter(fields=(("team", ("a", "b")),)), {}, False),
        (Filter(fields=(("team", ("a",)), ("model", ("m",)))), {"team": "a", "model": "n"}, False),
        (Filter(min_status=500), {"status": 502}, True),
        (Filter(min_status=500), {"status": 0}, True),
        (Filter(min_status=500), {"status": 429}, False),
        (Filter(share=0.0), {}, False),
    ],
)
def test_filter_chooses_records(chosen: Filter, fields: dict[str, Any], passed: bool) -> None:
    assert passes(Conditions(filter=chosen), line(**fields)) is passed


def test_share_is_that_of_the_requests() -> None:
    gate = Gate(Conditions(filter=Filter(share=0.25)))
    found, withheld = gate.passed([line(request_id=request_id(number, 1.7e9)) for number in range(2000)])
    assert withheld == 0
    assert 400 < len(found) < 600


def test_records_get_their_masks() -> None:
    (found,), _ = Gate(Conditions(redaction=MASKS)).passed(
        [line(model="sk-canary0123456789", tags={"to": "a@b.example"})]
    )
    assert json.loads(found)["model"] == "[secret]"
    assert json.loads(found)["tags"] == {"to": "[email]"}
