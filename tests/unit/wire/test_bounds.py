"""Bodies that exceed the bounds are rejected before they are parsed, with a clear message."""

import gc
import json
import time
import tracemalloc

import pytest
from bench.hostile import BODIES, JSON_TYPE
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from fakes.clock import pace
from fakes.wire import parse, parsed_head, rejected
from pointsman.domain.failures import Rejection
from pointsman.wire import bounds
from pointsman.wire.bounds import (
    MAX_CONTAINERS,
    MAX_FIELD_BYTES,
    MAX_FIELDS,
    MAX_NAMES,
    MAX_VALUES,
    check_body,
    count_prompts,
)
from pointsman.wire.json_object import read_object
from pointsman.wire.tokens import about_tokens

MIB = 1 << 20
MESSAGE = b'{"model":"m","messages":[{"role":"user","content":"a"}],'


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"a":[' + b"1," * MAX_VALUES + b"1]}", f"more than {MAX_VALUES} values"),
        (b'{"a":[' + b'{"a":1},' * MAX_NAMES + b"1]}", "more than"),
        (b'{"a":[{' + b'"a":1,' * MAX_NAMES + b'"b":1}]}', f"more than {MAX_NAMES} fields"),
        (b'{"a":[' + b"[]," * MAX_CONTAINERS + b"1]}", f"more than {MAX_CONTAINERS} objects and lists"),
        (
            b'{"a":1,"' + b"b" * MIB + b'":1}',
            f"field name in the body is too long; use at most {MAX_FIELD_BYTES} bytes",
        ),
        (
            b'{"a":1,"' + b"\\u0061" * MIB + b'" :1}',
            f"field name in the body is too long; use at most {MAX_FIELD_BYTES} bytes",
        ),
        (b'{"a":' + b" " * MIB + b"1}", "bytes of consecutive white space"),
    ],
)
def test_oversized_body_is_rejected_with_its_limit(body: bytes, words: str) -> None:
    failure = rejected(lambda: read_object(body))
    assert failure.kind.status == 400
    assert words in failure.message


def test_too_many_fields_are_rejected_with_the_limit() -> None:
    fields = b",".join(b'"field %d":"%b"' % (number, b"a" * 80) for number in range(MAX_FIELDS + 1))
    assert f"at most {MAX_FIELDS}" in rejected(lambda: read_object(b"{%b}" % fields)).message


@pytest.mark.parametrize("name", ["user", "stop", "model", "logit_bias", "modalities", "fallbacks"])
def test_long_value_of_short_field_is_rejected_by_name(name: str) -> None:
    body = b'{"%b":"%b"}' % (name.encode(), b"a" * MAX_FIELD_BYTES)
    failure = rejected(lambda: read_object(body))
    assert failure.param == name
    assert f"at most {MAX_FIELD_BYTES} bytes" in failure.message


_VALUES = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('a"\\,:{}[]é \n'), max_size=12),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text('ab"\\:,', max_size=5), inner, max_size=5),
    max_leaves=20,
)


def _counted(value: object) -> tuple[int, int, int]:
    """Return the numbers of commas, names and containers in a value, by walking it."""
    commas = names = containers = 0
    if isinstance(value, (list, dict)):
        members = list(value.values()) if isinstance(value, dict) else value
        commas, containers = max(len(members) - 1, 0), 1
        names = len(value) if isinstance(value, dict) else 0
        for member in members:
            more = _counted(member)
            commas, names, containers = commas + more[0], names + more[1], containers + more[2]
    return commas, names, containers


@settings(max_examples=300)
@given(_VALUES, st.integers(1, 9), st.sampled_from([None, 1]))
def test_content_of_strings_does_not_count(value: object, piece: int, indent: int | None) -> None:
    """The result does not depend on the pieces of the body."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "_PIECE_BYTES", piece)
        patch.setattr(bounds, "MAX_FIELD_BYTES", 0)
        try:
            outside = b"".join(bounds._outline(json.dumps(value, indent=indent).encode()))
        except Rejection:
            return  # a name that is longer than a piece, or white space
    assert (outside.count(b","), outside.count(b":"), outside.count(b"{") + outside.count(b"[")) == _counted(value)


@pytest.mark.parametrize(
    ("prompt", "count"),
    [
        ("text, and more", 1),
        ([], 1),
        ([1, 2, 3], 1),
        (["a"], 1),
        (["a,b", 'c"],["d', "e"], 3),
        ([[1, 2], [3], [4]], 3),
        ([[1, 2], [3]], 2),
    ],
)
def test_prompts_are_counted_without_decoding(prompt: object, count: int) -> None:
    for indent in (None, 1):
        assert count_prompts(Raw(json.dumps(prompt, indent=indent).encode())) == count
    assert count_prompts(Raw(b"[" + b" " * 100 + json.dumps(prompt).encode()[1:])) == count


@pytest.mark.parametrize("size", [MIB // 8, pytest.param(8 * MIB, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [name for name, body in BODIES.items() if body.content_type == JSON_TYPE])
def test_body_takes_bounded_memory_and_time(name: str, size: int) -> None:
    """This covers parsing, and estimating tokens for a provider that reports no usage."""
    kind = BODIES[name]
    body, factor = kind.make(size), pace()
    tracemalloc.start()
    try:
        _read(kind.path, body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(body) + 8 * MIB
    gc.freeze()  # as a worker does: otherwise the collector walks all objects of other tests
    try:
        began = time.thread_time()
        _read(kind.path, body)
        took_s = time.thread_time() - began
    finally:
        gc.unfreeze()
    assert took_s < (0.25 + len(body) / MIB * 0.1) * factor


def _read(path: str, body: bytes) -> None:
    try:
        call = parse(body, path)
    except Rejection:
        return
    about_tokens(call)


@pytest.mark.parametrize("name", [name for name, body in BODIES.items() if body.honest])
def test_real_bodies_are_within_the_bounds(name: str) -> None:
    kind = BODIES[name]
    for size in (0, MIB):
        assert kind.path == parsed_head(kind.path).head.path
        check_body(kind.make(size))
        assert parse(kind.make(size), kind.path).model == "m"
