"""Proofs of other authors never reach Google."""

import json
from typing import Any

from msgspec import Raw

from pointsman.wire.dialects.gemini._signatures import Proof, shown
from pointsman.wire.dialects.gemini.own_fields import own_fields

PROOF = shown(Proof("sig", "anthropic"))


def kept(*contents: Any) -> Any:
    given = {"contents": Raw(json.dumps(contents).encode())}
    return json.loads(bytes(own_fields(given)["contents"]))


def test_foreign_thoughts_are_left_out_and_own_ones_stay() -> None:
    own = {"text": "mine", "thought": True, "thoughtSignature": "YQ=="}
    found = kept(
        {
            "role": "model",
            "parts": [
                own,
                {"text": "the", "thought": True},
                {"text": "irs", "thought": True, "thoughtSignature": PROOF},
                {"functionCall": {"name": "f"}, "thoughtSignature": PROOF},
            ],
        },
        {"role": "model", "parts": [{"text": "", "thought": True, "thoughtSignature": PROOF}]},
    )
    assert found == [{"role": "model", "parts": [own, {"functionCall": {"name": "f"}}]}]


def test_call_that_is_marked_as_a_thought_stays_without_its_foreign_proof() -> None:
    part = {"functionCall": {"name": "f"}, "thought": True, "thoughtSignature": PROOF}
    assert kept({"role": "model", "parts": [part]}) == [
        {"role": "model", "parts": [{"functionCall": {"name": "f"}, "thought": True}]}
    ]


def test_fields_without_a_foreign_proof_keep_their_bytes() -> None:
    fields = {"contents": Raw(b'[ {"parts": [{"text":"a", "thoughtSignature":"YQ=="}]}]')}
    assert own_fields(fields) is fields
    damaged = {"contents": Raw(b'["%b"]' % PROOF.encode())}
    assert own_fields(damaged) is damaged
