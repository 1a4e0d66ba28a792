"""Efforts of reasoning that models of OpenAI's dialect take, for translated requests.

Some models cannot turn reasoning off, and reject an effort of `none`; some have no effort below `low` or above `high`.
They get the nearest effort that they take, the next higher one if there is one:

- gpt-oss, at any host: https://console.groq.com/docs/reasoning
- OpenAI's models: https://developers.openai.com/api/docs/guides/reasoning. None before GPT-5.1 takes `none`; GPT-5 Pro
  takes `high` alone, and Codex at 5.1 no `none`: https://github.com/openai/codex/issues/6647.
- Only GPT-5 takes `minimal`: https://github.com/anomalyco/opencode/issues/4451.
"""

import re

import msgspec
from msgspec import Raw

from pointsman.wire.json_object import read_or

_FIELD = "reasoning_effort"
_STEPS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_EFFORT = msgspec.json.Decoder(str)
_USUAL = ("low", "medium", "high")
_TAKEN: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(r"\bgpt-oss"), _USUAL),
    (re.compile(r"(?:^|/)o[134](?:-mini|-pro)?(?:-\d{4}|$|/)"), _USUAL),
    (re.compile(r"(?:^|/)gpt-5-pro\b"), ("high",)),
    (re.compile(r"(?:^|/)gpt-5(?:\.1)?-codex(?!-max)"), _USUAL),
    (re.compile(r"(?:^|/)gpt-5(?:-mini|-nano)?(?:-\d{4}|$|/)"), ("minimal", *_USUAL)),
    (re.compile(r"(?:^|/)gpt-5\.1(?:-\d{4}|$|/)"), ("none", *_USUAL)),
)


def fitted_effort(fields: dict[str, Raw], model: str, max_tokens: int | None = None) -> dict[str, Raw]:  # noqa: ARG001
    """Return the fields of a translated chat with an effort that its model takes, as far as that is known."""
    asked = read_or(_EFFORT, fields.get(_FIELD, b"null"), "")
    taken = next((efforts for pattern, efforts in _TAKEN if pattern.search(model)), ())
    if not taken or asked not in _STEPS or asked in taken:
        return fields
    least = _STEPS.index(asked)
    nearest = next((one for one in taken if _STEPS.index(one) >= least), taken[-1])
    return {**fields, _FIELD: Raw(b'"%b"' % nearest.encode())}
