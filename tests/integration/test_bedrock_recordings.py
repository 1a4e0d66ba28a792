"""Recorded answers of Bedrock's Converse: each is read with its text, its calls, its end and its usage."""

import json
from typing import Any

import pytest
import yaml

from fakes.amazon_model import problems_of_request
from fakes.corpora import SHARED
from pointsman.domain.pieces import Finish, TextPiece, ToolBegin, UsagePiece
from pointsman.wire.upstreams.bedrock.answer_reader import read_answer

FILES = sorted(SHARED.glob("recordings/*/*/*bedrock*.yaml"))


def test_recorded_answers_are_read_whole() -> None:
    count = 0
    for path in FILES:
        for one in yaml.safe_load(path.read_text())["interactions"]:
            body = one["response"].get("parsed_body")
            if "/converse" not in one["request"]["uri"] or not isinstance(body, dict) or "output" not in body:
                continue
            count += 1
            check(body)
            given = one["request"].get("body")
            if isinstance(given, str):
                assert problems_of_request(json.loads(given)) == "", path.name
    if not count:
        pytest.skip(f"there are no recordings of Bedrock at {SHARED}")


def check(body: dict[str, Any]) -> None:
    pieces = read_answer(json.dumps(body).encode())
    content, usage = body["output"]["message"]["content"], body["usage"]
    assert [one.text for one in pieces if isinstance(one, TextPiece)] == [
        one["text"] for one in content if "text" in one
    ]
    made = [(one["toolUse"]["toolUseId"], one["toolUse"]["name"]) for one in content if "toolUse" in one]
    assert [(one.id, one.name) for one in pieces if isinstance(one, ToolBegin)] == made
    assert any(isinstance(one, Finish) for one in pieces)
    (spent,) = [one.usage for one in pieces if isinstance(one, UsagePiece)]
    assert spent.tokens_in + spent.tokens_out == usage["totalTokens"]
