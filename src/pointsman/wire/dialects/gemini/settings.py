"""The settings of a request in `generationConfig`, by the names that rules use in every dialect.

https://ai.google.dev/api/generate-content#generationconfig
"""

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from pointsman.wire.json_object import encode_object, read_or

NAMES: Mapping[str, str] = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "stop": "stopSequences",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
    "n": "candidateCount",
    "max_tokens": "maxOutputTokens",
}
_CONFIG = "generationConfig"
_FIELDS = msgspec.json.Decoder(dict[str, Raw])


def setting(fields: Mapping[str, Raw], name: str) -> Raw | None:
    """Return the value of a setting, or `None`."""
    return _config(fields).get(NAMES[name])


def with_setting(fields: Mapping[str, Raw], name: str, value: Raw | None) -> dict[str, Raw]:
    """Return the fields with this value of a setting, or without it."""
    config, out = dict(_config(fields)), dict(fields)
    config.pop(NAMES[name], None)
    if value is not None:
        is_one_text = name == "stop" and bytes(value).startswith(b'"')  # which other dialects take too
        config[NAMES[name]] = Raw(b"[%b]" % bytes(value)) if is_one_text else value
    if config:
        out[_CONFIG] = Raw(encode_object(config))
    else:
        out.pop(_CONFIG, None)
    return out


def _config(fields: Mapping[str, Raw]) -> dict[str, Raw]:
    found: dict[str, Raw] = read_or(_FIELDS, fields.get(_CONFIG, b"{}"), {})
    return found
