"""The common parts of chat and text completions."""

from fakes.wire import CHAT, parse, rejected
from pointsman.wire.generation import ACTED_ON, Generation


def test_every_typed_field_is_guarded_against_other_spellings() -> None:
    acted_on = {"model", "stream", "stream_options", "fallbacks", "max_tokens", "n"}
    assert acted_on <= ACTED_ON
    assert acted_on <= set(Generation.__struct_fields__)
    assert all(name == name.casefold() for name in ACTED_ON)


def test_facts_of_head_reach_the_call() -> None:
    call = parse(CHAT, provider="p", timeout_s=2.5, session="s", tags={"a": "b"}, forwarded=(("accept", "x"),))
    assert (call.head.provider, call.head.timeout_s, call.head.session, call.head.tags) == ("p", 2.5, "s", {"a": "b"})
    assert call.head.forwarded == (("accept", "x"),)


def test_empty_fallbacks_are_removed() -> None:
    call = parse({**CHAT, "fallbacks": []})
    assert call.fallbacks == ()
    assert "fallbacks" not in call.fields


def test_stream_options_with_null_stream_are_rejected() -> None:
    assert rejected(lambda: parse({**CHAT, "stream": None, "stream_options": {}})).param == "stream_options"


def test_ambiguous_stream_options_are_rejected() -> None:
    def body_of(options: bytes) -> bytes:
        return b'{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true,"stream_options":%b}' % options

    failure = rejected(lambda: parse(body_of(b'{"include_usage": false, "include_usage": true}')))
    assert failure.param == "stream_options.include_usage"
    assert "more than once" in failure.message
    assert rejected(lambda: parse(body_of(b'{"Include_Usage":true}'))).param == "Include_Usage"
    assert parse(body_of(b'{"include_usage": true, "include_obfuscation": false}')).wants_usage
