"""The parts of a request that the codecs of all dialects share."""

import pytest

from fakes.wire import rejected
from pointsman.domain import failures
from pointsman.domain.origin import Secret
from pointsman.providers.api import bearer, safe_segment


def test_key_is_sent_as_bearer_unless_empty() -> None:
    assert bearer(Secret("k")) == b"authorization: Bearer k\r\n"
    assert bearer(Secret("")) == b""


@pytest.mark.parametrize("model", ["gemini-2.5-pro", "a.b_c~d:e@f", "...", "m"])
def test_plain_name_is_a_path_segment(model: str) -> None:
    assert safe_segment(model) == model


@pytest.mark.parametrize(
    "model", ["", ".", "..", "a/b", "../a", "a?b", "a#b", "a%2fb", "a b", "a\r\nb", "a\n", "\u00e9", "a;b"]
)
def test_name_that_could_leave_its_segment_is_rejected(model: str) -> None:
    failure = rejected(lambda: safe_segment(model))
    assert (failure.kind, failure.param) == (failures.INVALID_REQUEST, "model")
