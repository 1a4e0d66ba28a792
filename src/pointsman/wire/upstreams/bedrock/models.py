"""The facts about models at Bedrock that a request for Converse depends on, by their names.

Caches: https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html. Other models reject a mark. Nova takes
none among the tools, and no duration.

Reasoning: Nova 2 takes an effort (https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html). The
highest excludes a bound on the answer and settings of sampling. The open models of OpenAI take an effort in a field of
the same name as in its own API, and Qwen 3 one of two. All others reason as they always do.

Sampling: Nova has its `topK` in a field of its own
(https://docs.aws.amazon.com/nova/latest/userguide/complete-request-schema.html).
"""

import re
from collections.abc import Mapping

import msgspec
from msgspec import Raw

from pointsman.domain.conversations import Effort, Thinking
from pointsman.domain.requirements import UNKNOWN
from pointsman.wire.json_object import encode_object, read_or, rejection
from pointsman.wire.thinking import effort_of
from pointsman.wire.upstreams.bedrock.request_writer import REASONING, TOP_K

_GEOGRAPHY = r"(us|us-gov|eu|apac|jp|au|ca|in|sa|global)\.(?=[a-z0-9])"
_OF_ONE_REGION = (
    "foundation-model|provisioned-model|custom-model|custom-model-deployment|imported-model|marketplace|endpoint"
)
# The regions that names state, by patterns. An inference profile runs anywhere in its geography. A model with an ARN
# runs in the region of its ARN. Any other ARN, and an id without a dot, may be that of an application inference
# profile or of a router. These can lead to another region.
# https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html
REGIONS = (
    (rf"(?i)(?:arn:[^/]*:inference-profile/)?{_GEOGRAPHY}", r"\1"),
    (rf"(?i)arn:[^:]*:[^:]*:([^:/]+):[^:/]*:(?:{_OF_ONE_REGION})/", r"\1"),
    (r"(?i)arn:|[^.*]+$", UNKNOWN),
)
_PROFILE = re.compile(_GEOGRAPHY)
_NOVA, _NOVA_2 = re.compile(r"amazon\.nova"), re.compile(r"amazon\.nova-2")
_OPENAI, _QWEN = re.compile(r"openai\.gpt-oss"), re.compile(r"qwen\.qwen3")
_MARK = b'"cachePoint"'
_LEVELS: Mapping[Effort, str] = {"minimal": "low", "low": "low", "medium": "medium"}
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_BLOCKS = msgspec.json.Decoder(list[dict[str, Raw]])
_THINKING = msgspec.json.Decoder(Thinking)
_CONFIG, _MORE, _TOOLS = "inferenceConfig", "additionalModelRequestFields", "toolConfig"


def without_geography(model: str) -> str:
    """Return the id of the model that an inference profile runs. Any other name stays as it is."""
    found = _PROFILE.match(model)
    return model if found is None else model[found.end() :]


def fitted(fields: dict[str, Raw], model: str, max_tokens: int | None) -> dict[str, Raw]:
    """Return the fields of a request as a model takes them, with its bound on the answer in tokens. Raises `Rejection`
    for a conversation that is nested too deeply."""
    out = dict(fields)
    config = _object(fields, _CONFIG)
    if max_tokens is not None:
        config["maxTokens"] = Raw(b"%d" % max_tokens)
    more = _object(fields, _MORE)
    asked = more.pop(REASONING, None)
    top_k = more.pop(TOP_K, None)
    if top_k is not None:
        is_nova = _NOVA.search(model) is not None
        more[_CONFIG if is_nova else TOP_K] = Raw(encode_object({"topK": top_k})) if is_nova else top_k
    if asked is not None:
        more |= _reasoning(_THINKING.decode(asked), model, is_bound=bool(config))
    for name, value in ((_CONFIG, config), (_MORE, more)):
        if value:
            out[name] = Raw(encode_object(value))
        else:
            out.pop(name, None)
    return _with_marks_for(out, is_nova=_NOVA.search(model) is not None)


def _object(fields: dict[str, Raw], name: str) -> dict[str, Raw]:
    nothing: dict[str, Raw] = {}
    return read_or(_OBJECT, fields.get(name, b"{}"), nothing)


def _reasoning(thinking: Thinking, model: str, *, is_bound: bool) -> dict[str, Raw]:
    """Return the request for reasoning under the model's own name. `is_bound` says that it has settings which exclude
    the highest effort of Nova."""
    effort = effort_of(thinking)
    if effort is None:
        return {}
    level = _LEVELS.get(effort, "high")
    if _NOVA_2.search(model):
        if effort == "none":
            return {"reasoningConfig": Raw(b'{"type":"disabled"}')}
        chosen = "medium" if level == "high" and is_bound else level
        return {"reasoningConfig": Raw(encode_object({"type": "enabled", "maxReasoningEffort": chosen}))}
    if _OPENAI.search(model):
        return {"reasoning_effort": Raw(encode_object("low" if effort == "none" else level))}
    if _QWEN.search(model) and effort != "none":
        return {"reasoning_config": Raw(encode_object("low" if level == "low" else "high"))}
    return {}


def _with_marks_for(fields: dict[str, Raw], *, is_nova: bool) -> dict[str, Raw]:
    """Return the fields without the marks for a cache that a model rejects."""
    if not any(bytes(fields.get(name, b"")).find(_MARK) >= 0 for name in ("system", "messages", _TOOLS)):
        return fields
    out = dict(fields)
    try:
        if "system" in fields:
            out["system"] = _marked(fields["system"], is_nova=is_nova)
        messages = _BLOCKS.decode(fields["messages"])
        for message in messages:
            message["content"] = _marked(message["content"], is_nova=is_nova)
        out["messages"] = Raw(encode_object(messages))
        if _TOOLS in fields:
            tools = _OBJECT.decode(fields[_TOOLS])
            out[_TOOLS] = Raw(encode_object({**tools, "tools": _marked(tools["tools"], is_nova=False)}))
    except RecursionError:
        raise rejection("the conversation is nested too deeply; use fewer levels") from None
    return out


def _marked(raw: Raw, *, is_nova: bool) -> Raw:
    """Return blocks without marks, or with marks as Nova takes them."""
    blocks = _BLOCKS.decode(raw)
    if is_nova:
        point = Raw(b'{"type":"default"}')
        return Raw(encode_object([{"cachePoint": point} if "cachePoint" in block else block for block in blocks]))
    return Raw(encode_object([block for block in blocks if "cachePoint" not in block]))
