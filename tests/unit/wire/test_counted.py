"""The bound on a prompt from a count of its text: never more than its bytes, and never less than other vocabularies
need."""

import json
import random
import string
from pathlib import Path
from time import thread_time

import pytest
import toktok
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fakes.wire import parse
from pointsman.domain.calls import Call
from pointsman.engine.counting import counted
from pointsman.wire.counted import MAX_COUNTED_BYTES, is_countable, least_tokens
from pointsman.wire.tokens import MEDIA_TOKENS, PLAIN_TEMPLATE_TOKENS, most_in

PROSE = (Path(__file__).parents[3] / "LICENSE").read_text()
CODE = Path(__file__).read_text()
DICE = random.Random(7)


def asking(text: str, **fields: object) -> Call:
    return parse({"model": "m", "messages": [{"role": "user", "content": text}], **fields})


def bound(call: Call) -> int:
    tokens = counted(call).text_tokens
    assert tokens is not None
    return tokens


def of(letters: str, count: int = 5000) -> str:
    return "".join(DICE.choice(letters) for _ in range(count))


def test_prose_is_bound_by_a_third_of_its_bytes() -> None:
    call = asking(PROSE)
    o200k, *_ = toktok.batch_count([PROSE], "o200k_base", 1)
    assert 1.35 * o200k < bound(call) < call.size / 2.8
    assert most_in(counted(call)) == bound(call) + PLAIN_TEMPLATE_TOKENS


@pytest.mark.parametrize("encoding", ["o200k_base", "cl100k_base", "qwen3.5"])
@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        PROSE.upper(),
        CODE,
        json.dumps([{"a": number, "b": None, "c": [True]} for number in range(300)], separators=(",", ":")),
        of(string.digits),
        of("0123456789abcdef"),
        of(string.ascii_letters + string.digits + "+/"),
        of(string.ascii_lowercase),
        of(string.ascii_uppercase + "  "),
        of(string.punctuation),
        of(" \t\n\r"),
        of("äöüßéèñ abc"),
        of("的一是不了人我在有他这", 2000),
        of("🧠👩🚀🫠", 1000),
        of("გამოაცხადა"),
    ],
)
def test_bound_is_at_least_the_tokens_of_each_vocabulary(text: str, encoding: str) -> None:
    tokens, *_ = toktok.batch_count([text], encoding, 1)
    assert bound(asking(text)) >= tokens


@pytest.mark.parametrize("unit", ["a", "=", "J", " ", "\n", "\t", "_", "=-", "ha", "+ ", "的", "\x00", "0"])
def test_repeated_text_keeps_its_bytes(unit: str) -> None:
    text = unit * 4000
    assert bound(asking(text)) >= len(text.encode())


def test_text_of_few_ascii_letters_keeps_its_bytes() -> None:
    call = parse(b'{"model": "m", "messages": [{"role": "user", "content": "%b"}]}' % (of("政府宣布", 900).encode()))
    assert bound(call) == call.size


def test_some_other_letters_cost_their_bytes_only() -> None:
    body = b'{"model": "m", "messages": [{"role": "user", "content": "%b"}]}'
    plain = parse(body % PROSE.replace("\n", " ").replace('"', "").encode())
    mixed = parse(body % (PROSE.replace("\n", " ").replace('"', "") + " 政府宣布" * 40).encode())
    assert bound(plain) < bound(mixed) <= bound(plain) + 13 * 40 + 20


@given(
    st.lists(st.text(max_size=400) | st.sampled_from(["a" * 500, PROSE[:700], "Ω" * 90, '\\"' * 60]), min_size=1),
    st.sampled_from(["chat", "embedding"]),
)
def test_bound_is_never_more_than_the_bytes(texts: list[str], operation: str) -> None:
    call = asking("\n".join(texts)) if operation == "chat" else parse({"model": "m", "input": texts}, "/embeddings")
    found = counted(call)
    assert least_tokens(call) <= call.size
    assert 0 < bound(call) <= call.size
    assert most_in(found) <= most_in(call)


@given(st.text(st.characters(max_codepoint=0x17F), max_size=300), st.integers(0, 3000))
def test_more_text_hardly_lowers_the_bound(text: str, at: int) -> None:
    longer = PROSE[:3000] + text + PROSE[3000:6000]
    # Joined words may be fewer tokens, and chunks begin elsewhere.
    assert bound(asking(longer)) >= bound(asking(PROSE[:6000])) - 0


def test_bytes_of_media_count_as_media_only() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + of(string.ascii_letters, 30_000)}}
    text = {"type": "text", "text": PROSE}
    alone = asking(PROSE)
    call = parse({"model": "m", "messages": [{"role": "user", "content": [text, image]}]})
    assert abs(bound(call) - bound(alone)) < 100
    assert most_in(counted(call)) == bound(call) + PLAIN_TEMPLATE_TOKENS + MEDIA_TOKENS


def test_long_texts_beside_media_keep_their_bytes() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + of(string.ascii_letters, 30_000)}}
    text = {"type": "text", "text": "x" * 9000}
    call = parse({"model": "m", "messages": [{"role": "user", "content": [text, image]}]})
    assert bound(call) >= 9000


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (asking(PROSE), True),
        (counted(asking(PROSE)), False),
        (asking("x"), True),
        (asking("x" * MAX_COUNTED_BYTES), False),
        (parse({"model": "m", "input": PROSE}, "/embeddings"), True),
        (parse({"model": "m", "input": PROSE}, "/responses"), True),
        (parse({"model": "m", "input": PROSE, "voice": "alloy"}, "/audio/speech"), False),
        (parse({"model": "m", "prompt": PROSE}, "/images/generations"), False),
        (replace(asking(PROSE), fields={}), False),
    ],
)
def test_only_texts_of_models_that_read_them_are_counted(call: Call, expected: bool) -> None:
    assert is_countable(call) is expected


@pytest.mark.parametrize("unit", ["a", "#", " ", of(string.ascii_lowercase, 10_000), PROSE])
def test_time_of_a_count_grows_only_with_the_text(unit: str) -> None:
    """Compare the CPU time for a text and for one eight times as long."""
    small, large = asking((unit * 10_000)[:10_000]), asking((unit * 80_000)[:80_000])
    spent = []
    for call in (small, large):
        taken = []
        for _ in range(5):
            began_at = thread_time()
            counted(call)
            taken.append(thread_time() - began_at)
        spent.append(min(taken))
    assert spent[1] < 4 * 8 * spent[0] + 0.01
