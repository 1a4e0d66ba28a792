"""Mirrors in the configuration."""

import pytest

from fakes.configuration import OPEN, compiled, errors
from pointsman.domain.snapshots import counters_of

PROVIDERS = f"{OPEN}providers: {{openai: env.OPENAI_API_KEY, groq: env.GROQ_API_KEY}}\n"


def model(mirror: str) -> str:
    return f"{PROVIDERS}models: {{chat: {{targets: [openai/gpt-4o], mirror: {mirror}}}, other: [groq/x]}}\n"


@pytest.mark.parametrize("to", ["groq/llama-3.3-70b-versatile", "other", "gpt-4o-mini"])
def test_mirror_has_limits_of_its_own(to: str) -> None:
    text = f"{{to: {to}, share: 0.1, budgets: [{{limit_usd: 5, per: day}}], rate_limits: [{{requests: 9, per: hour}}]}}"
    snapshot = compiled(model(text)).snapshot
    mirror = snapshot.models["chat"].mirror
    assert mirror is not None
    assert (mirror.to, mirror.share) == (to, 0.1)
    assert [str(one) for one in mirror.limits] == [
        "budget of $5 per day of mirror chat",
        "limit of 9 requests per hour of mirror chat",
    ]
    assert {one.counter for one in mirror.limits} <= counters_of(snapshot).keys()
    assert snapshot.models["other"].mirror is None


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("{to: groq/x}", "models.chat.mirror.budgets"),
        ("{to: nobody/x, budgets: [{limit_usd: 5, per: day}]}", "models.chat.mirror.to"),
        ("{to: groq/x, share: 0, budgets: [{limit_usd: 5, per: day}]}", "models.chat.mirror.share"),
        ("{to: groq/x, share: 2, budgets: [{limit_usd: 5, per: day}]}", "models.chat.mirror.share"),
        ("{budgets: [{limit_usd: 5, per: day}]}", "models.chat.mirror.to"),
        ("{to: groq/x, budgets: [{limit_usd: 5, per: day, soft: true}]}", "models.chat.mirror.budgets: at least one"),
        ("{to: groq/x, budgets: [{limit_usd: 5, per: day, then: groq/y}]}", "models.chat.mirror.budgets[0].then"),
        ("{to: groq/x, budgets: [{limit_usd: 5, per: day, paced: true}]}", "models.chat.mirror.budgets[0].paced"),
    ],
)
def test_invalid_mirrors_are_errors(text: str, path: str) -> None:
    (problem,) = errors(model(text))
    assert problem.startswith(path)
