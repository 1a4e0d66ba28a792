"""The routing section of the file: its short forms and its lists."""

from typing import get_args

from pointsman.config.routing_schema import FailoverSettings, FallbackCause, expand_model
from pointsman.domain.snapshots import FALLBACK_CAUSES, Failover


def test_short_forms_of_a_public_name_use_priority() -> None:
    assert expand_model("a/b") == {"strategy": "priority", "targets": ["a/b"]}
    assert expand_model(["a/b", "c/d"]) == {"strategy": "priority", "targets": ["a/b", "c/d"]}
    assert expand_model({"targets": ["a/b"]}) == {"targets": ["a/b"]}


def test_fallback_causes_equal_those_of_the_domain() -> None:
    assert get_args(FallbackCause) == FALLBACK_CAUSES
    assert frozenset(FailoverSettings().fallback_on) == Failover().fallback_on
