"""Recorded answers of Bedrock's Converse: each is read with its text, its calls, its end and its usage."""

import json
from base64 import b64decode
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from fakes import wire
from fakes.amazon_model import problems_of_request
from fakes.corpora import SHARED, recorded
from pointsman.domain.pieces import Finish, TextPiece, ToolBegin, UsagePiece
from pointsman.providers import codec_of
from pointsman.providers.api import WholeAnswer
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


def test_recorded_counts_of_claudes_tokens_are_requested_and_read() -> None:
    codec, count = codec_of("bedrock-claude", "chat", "anthropic"), 0
    for one in recorded("/count-tokens"):
        inner = json.loads(one.request)["input"].get("invokeModel")
        if inner is None:
            continue
        count += 1
        given = json.loads(b64decode(inner["body"]))
        version = given.pop("anthropic_version")
        call = wire.parse({"model": "m", **given}, "/messages/count_tokens", dialect="anthropic")
        path = unquote(urlsplit(one.uri).path)
        target = wire.target("bedrock", path.split("/")[2], "")
        request = codec.encode(call, target, target.endpoint.keys[0])
        sent = json.loads(b64decode(json.loads(request.body)["input"]["invokeModel"]["body"]))
        assert sent == {**given, "anthropic_version": version}
        assert unquote(request.target.decode()) == path
        if one.status == 200:
            answer = codec.decode(call, one.body)
            assert isinstance(answer, WholeAnswer)
            assert json.loads(answer.body) == {"input_tokens": json.loads(one.body)["inputTokens"]}
        else:
            assert json.loads(one.body)["message"] in codec.failure(one.status, {}, one.body, 0.0).for_client
    assert count
