"""The top level of a JSON body: ambiguous bodies are rejected."""

import time

import msgspec
import pytest
from msgspec import Struct

from fakes.clock import pace
from fakes.corpora import shared
from fakes.wire import parse, rejected
from pointsman.domain.calls import Call
from pointsman.domain.failures import Rejection
from pointsman.wire.json_object import read_object, read_typed, reject_variants


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a":1,"b":[1,{"a":3}],"c":"x","a":2}',
        b'{"model":"x","mod\\u0065l":"y"}',
        b'{"mod\\u0065l":"y","model":"x"}',
        b' {\n"a"\t:\r1 , "b":2, "a" : 1 } ',
        b'{"a" :"long enough to make up for it","a":1}',
        b'{"":0,"":0}',
        b'{"a\\"b":1,"a\\"b":1}',
        b'{"a":"x","b":1,"a":"xy"}',
        b'{"a":"xy","b":1,"a":"x"}',
        b'{"a":{"b":1},"a":{"b":1} }',
        '{"\u00e9":1,"\\u00e9":1}'.encode(),
        b'{"a\\/b":1,"a/b":1}',
    ],
)
def test_duplicate_key_is_rejected(body: bytes) -> None:
    failure = rejected(lambda: read_object(body))
    assert failure.kind.status == 400
    assert "more than once" in failure.message


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        (b"{}", []),
        (b" \r\n\t{ } ", []),
        (b'{ "a" : 1 , "b" : {"a": 1, "b": [2, 3]} }', ["a", "b"]),
        (b'{"a\\u0000":1, "a":1}', ["a\x00", "a"]),
        (b'{"a":"}\\",\\"a\\":1","b":1 }', ["a", "b"]),
        (b'{"A":1,"a":1 }', ["A", "a"]),
        ('{"\U0001f600":1,"\\u00e9":2}'.encode(), ["\U0001f600", "\u00e9"]),
    ],
)
def test_distinct_keys_pass_with_any_white_space(body: bytes, keys: list[str]) -> None:
    assert list(read_object(body)) == keys


def test_values_are_the_bytes_of_the_client() -> None:
    body = b'{"a": 1.0e+2 ,"b":"\\u0041", "c":[ 1, 2 ],"d":123456789012345678901234567890}'
    assert {key: bytes(value) for key, value in read_object(body).items()} == {
        "a": b"1.0e+2",
        "b": b'"\\u0041"',
        "c": b"[ 1, 2 ]",
        "d": b"123456789012345678901234567890",
    }


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"{", b"}", b'{"a":1', b'{"a":1}x', b'{"a":1}{}', b"{'a':1}", b'{"a":1,}', b"\xef\xbb\xbf{}", b"\x00"],
)
def test_invalid_json_is_rejected(body: bytes) -> None:
    assert rejected(lambda: read_object(body)).kind.code == "invalid_json"


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"null", b"true", b"[" * 100_000])
def test_non_object_is_rejected(body: bytes) -> None:
    assert rejected(lambda: read_object(body)).kind.status == 400


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf5\x80\x80\x80", b"\x80"])
def test_invalid_utf8_is_rejected_anywhere(bad: bytes) -> None:
    for body in (
        b'{"' + bad + b'":1}',
        b'{"a":"' + bad + b'"}',
        b'{"a":{"b":["' + bad + b'"]}}',
        b'{"a":1}' + bad,
        bad + b'{"a":1}',
    ):
        failure = rejected(lambda body=body: read_object(body))  # type: ignore[misc]
        assert failure.kind.code == "invalid_json"
        assert "UTF-8" in failure.message


@pytest.mark.parametrize("opening", [b'{"a":', b"["])
def test_depth_bomb_is_rejected_quickly(opening: bytes) -> None:
    bomb = b'{"messages":' + opening * 100_000
    closed = b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    for body in (bomb, closed):
        began = time.thread_time()
        assert rejected(lambda body=body: parse(body)).kind.status == 400  # type: ignore[misc]
        assert time.thread_time() - began < 0.05 * pace()


def test_lone_surrogates_are_rejected() -> None:
    for body in (b'{"\\ud800":1, "a":2}', b'{"a":"\\ud800"}', b'{"a":"\\udc00x"}', b'{"\\udc00":1 }'):
        assert "half of a surrogate pair" in rejected(lambda body=body: read_object(body)).message  # type: ignore[misc]
    for body in (b'{"a":"\\ud83d\\ude00', b'{"a":"\\u00e9}'):
        assert "surrogate" not in rejected(lambda body=body: read_object(body)).message  # type: ignore[misc]


@pytest.mark.parametrize("name", ["Model", "MODEL", "Messages", "Max_Tokens", "\u017ftream", "to\u212a", "\u017ftop"])
def test_other_spellings_of_known_names_are_rejected(name: str) -> None:
    known = frozenset({"model", "messages", "max_tokens", "stream", "tok", "stop"})
    failure = rejected(lambda: reject_variants({name: msgspec.Raw(b"1")}, known))
    assert failure.param == name
    assert "did you mean" in failure.message


def test_unknown_names_of_any_case_pass() -> None:
    reject_variants({"Metadata": msgspec.Raw(b"1"), "models": msgspec.Raw(b"1")}, frozenset({"model"}))


class _Inner(Struct):
    role: str


class _Typed(Struct):
    count: int
    inner: list[_Inner] = []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{}", "count"),
        (b'{"count":"1"}', "count"),
        (b'{"count":1,"inner":1}', "inner"),
        (b'{"count":1,"inner":[{"role":1}]}', "inner[0].role"),
        (b'{"count":1,"inner":[{}]}', "inner[...].role"),
    ],
)
def test_wrong_type_names_its_field(body: bytes, param: str) -> None:
    failure = rejected(lambda: read_typed(msgspec.json.Decoder(_Typed), body, {}))
    assert failure.kind.status == 400
    assert failure.param is not None
    assert failure.param.replace("[0]", "[...]") == param.replace("[0]", "[...]")
    assert failure.param in failure.message


@pytest.mark.parametrize("text", [b"7.0", b"7e0", b"70E-1", b"0.7e+1"])
def test_whole_number_written_as_fraction_becomes_whole(text: bytes) -> None:
    body = b'{"count":%b,"other":"7.0","x":[7.0]}' % text
    fields = read_object(body)
    assert read_typed(msgspec.json.Decoder(_Typed), body, fields).count == 7
    assert {name: bytes(raw) for name, raw in fields.items()} == {"count": b"7", "other": b'"7.0"', "x": b"[7.0]"}


@pytest.mark.parametrize("text", [b"7.5", b"1e400", b"1e40", b"9007199254740993.0", b"0.%b1" % (b"0" * 40)])
def test_fraction_is_no_whole_number(text: bytes) -> None:
    body = b'{"count":%b}' % text
    assert rejected(lambda: read_typed(msgspec.json.Decoder(_Typed), body, read_object(body))).param == "count"


def test_json_corpus_gives_only_calls_or_rejections() -> None:
    files = sorted(shared("corpora", "json", "test_parsing").glob("*.json"))
    assert len(files) > 300
    for path in files:
        data = path.read_bytes()
        whole = _outcome(data)
        assert not (path.name.startswith("n_") and isinstance(whole, Call)), path.name
        inside = _outcome(b'{"model":"m","messages":' + data + b"}")
        after = _outcome(b'{"model":"m","messages":[{"role":"user","content":""}],"x":' + data + b"}")
        for outcome in (whole, inside, after):
            assert isinstance(outcome, Call) or 400 <= outcome.failure.kind.status < 500
        if path.name.startswith("y_"):
            assert isinstance(after, Call), path.name


def _outcome(body: bytes) -> Call | Rejection:
    try:
        return parse(body)
    except Rejection as rejection:
        return rejection


@pytest.mark.parametrize("space", [b"", b" "])
def test_nesting_of_any_depth_gives_a_call_or_rejection(space: bytes) -> None:
    outcomes: list[str] = []
    for depth in range(900, 1010):
        try:
            read_object(b'{"a":%b%b%b}' % (space, b"[" * depth, b"]" * depth))
            outcomes.append("read")
        except Rejection as rejection:
            outcomes.append(rejection.failure.kind.code)
    assert sorted(outcomes, reverse=True) == outcomes
    assert set(outcomes) == {"read", "invalid_json"}
