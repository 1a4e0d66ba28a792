"""The effort of reasoning in the dialects that name it, and its budget in those that count tokens.

The steps are those of https://ai.google.dev/gemini-api/docs/openai#thinking, which serves both kinds:

| effort | budget in tokens |
|---|---|
| `none` | 0 |
| `minimal`, `low` | 1,024 |
| `medium` | 8,192 |
| `high`, `xhigh`, `max` | 24,576 |

A budget becomes the lowest effort whose budget is at least as large. Not every model knows an effort above `high`, so
no budget becomes one.
"""

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.domain.conversations import Effort, Thinking
from pointsman.wire.json_object import UNREADABLE, read_or


class _Config(Struct, rename="camel", frozen=True, gc=False):
    thinking_budget: int | None = None


class _Budget(Struct, gc=False):
    budget_tokens: int | None = None
    max_tokens: int | None = None
    thinking_config: _Config = msgspec.field(name="thinkingConfig", default=_Config())


_BUDGET = msgspec.json.Decoder(_Budget)
_FIELDS = ("thinking", "reasoning", "generationConfig")  # of Anthropic, OpenRouter and Gemini
_BUDGETS: dict[Effort, int] = {
    "none": 0,
    "minimal": 1_024,
    "low": 1_024,
    "medium": 8_192,
    "high": 24_576,
    "xhigh": 24_576,
    "max": 24_576,
}
_STEPS: tuple[Effort, ...] = ("none", "low", "medium", "high")


def requests_none(raw: Raw) -> bool:
    """Return whether the value of a field of a dialect turns reasoning off. A continuation keeps such a field, since
    some models reason by default."""
    try:
        value = msgspec.json.decode(raw)
    except UNREADABLE:
        return False
    if not isinstance(value, dict):
        return value is False or value == "none"
    is_off = value.get("type") == "disabled" or value.get("enabled") is False or value.get("effort") == "none"
    return is_off or any(value.get(name) == 0 for name in ("budget_tokens", "max_tokens", "thinkingBudget"))


def budget_of(thinking: Thinking) -> int | None:
    """Return the budget in tokens that a request sets for reasoning, or that corresponds to its effort. `None` if it
    sets neither."""
    if thinking.budget_tokens is not None or thinking.effort is None:
        return thinking.budget_tokens
    return _BUDGETS[thinking.effort]


def effort_of(thinking: Thinking) -> Effort | None:
    """Return the effort that a request sets for reasoning, or that corresponds to its budget. `None` if it sets
    neither."""
    if thinking.effort is not None:
        return thinking.effort
    if thinking.is_on is False:
        return "none"
    if thinking.budget_tokens is None:
        return None
    return next((step for step in _STEPS if thinking.budget_tokens <= _BUDGETS[step]), "high")


def budget_in(call: Call) -> int:
    """Return the tokens of its bound that a request sets aside for reasoning, 0 for nearly all. A provider rejects a
    bound that is not higher: https://platform.claude.com/docs/en/build-with-claude/extended-thinking. If even the
    client's own bound is not higher, the budget counts for several answers, and so does not limit the bound."""
    for name in _FIELDS:
        if name in call.fields:
            found = read_or(_BUDGET, call.fields[name], _Budget())
            budget = found.budget_tokens or found.max_tokens or found.thinking_config.thinking_budget or 0
            if budget > 0:
                return budget if call.stated_tokens is None or budget < call.stated_tokens else 0
    return 0
