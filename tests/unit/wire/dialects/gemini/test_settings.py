"""Settings of a request, by the names that rules use."""

import json

from msgspec import Raw

from fakes.wire import parse
from pointsman.wire.dialects.gemini.settings import setting, with_setting
from pointsman.wire.params import param, with_params


def test_setting_is_read_written_and_removed() -> None:
    fields = {"generationConfig": Raw(b'{"topP":0.5,"other":[1]}')}
    assert setting(fields, "top_p") == Raw(b"0.5")
    assert setting(fields, "top_k") is None
    changed = with_setting(fields, "stop", Raw(b'"END"'))
    assert json.loads(bytes(changed["generationConfig"])) == {"topP": 0.5, "other": [1], "stopSequences": ["END"]}
    assert with_setting({"generationConfig": Raw(b'{"topP":1}')}, "top_p", None) == {}


def test_rules_read_and_change_settings() -> None:
    config = {"temperature": 0.5, "maxOutputTokens": 90, "topK": 3}
    call = parse({"contents": [{"parts": [{"text": "a"}]}], "generationConfig": config}, "/generateContent")
    assert (param(call, "temperature"), param(call, "max_tokens"), param(call, "top_p")) == (0.5, 90, None)
    changed = with_params(call, {"temperature": Raw(b"1"), "max_tokens": Raw(b"50")}, ["top_k"])
    assert json.loads(bytes(changed.fields["generationConfig"])) == {"temperature": 1}
    assert (changed.max_tokens, changed.stated_tokens) == (50, None)
