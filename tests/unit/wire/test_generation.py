"""What chat and completions share."""

from fakes.wire import CHAT, parse, refused
from pointsman.wire.generation import ACTED_ON, Generation


def test_every_field_the_gateway_acts_on_is_guarded_against_other_spellings() -> None:
    acted_on = {"model", "stream", "stream_options", "fallbacks", "max_tokens", "n"}
    assert acted_on <= ACTED_ON
    assert acted_on <= set(Generation.__struct_fields__)
    assert all(name == name.casefold() for name in ACTED_ON)


def test_what_the_head_says_reaches_the_call() -> None:
    call = parse(CHAT, provider="p", timeout_s=2.5, session="s", tags={"a": "b"}, forwarded=(("accept", "x"),))
    assert (call.head.provider, call.head.timeout_s, call.head.session, call.head.tags) == ("p", 2.5, "s", {"a": "b"})
    assert call.head.forwarded == (("accept", "x"),)


def test_an_empty_list_of_fallbacks_is_none_and_goes_nowhere() -> None:
    call = parse({**CHAT, "fallbacks": []})
    assert call.fallbacks == ()
    assert "fallbacks" not in call.fields


def test_stream_options_with_an_explicit_null_stream_are_refused() -> None:
    assert refused(lambda: parse({**CHAT, "stream": None, "stream_options": {}})).param == "stream_options"


def test_stream_options_are_read_in_one_way_only() -> None:
    def asked(options: bytes) -> bytes:
        return b'{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true,"stream_options":%b}' % options

    failure = refused(lambda: parse(asked(b'{"include_usage": false, "include_usage": true}')))
    assert failure.param == "stream_options.include_usage"
    assert "more than once" in failure.message
    assert refused(lambda: parse(asked(b'{"Include_Usage":true}'))).param == "Include_Usage"
    assert parse(asked(b'{"include_usage": true, "include_obfuscation": false}')).wants_usage
