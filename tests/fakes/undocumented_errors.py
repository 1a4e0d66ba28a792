"""Errors of providers whose documentation was not found to show their texts, so OpenAI's stand here."""

from fakes.error_samples import LIMITED, TOO_LONG, Sample, openai_error

UNDOCUMENTED: dict[str, list[Sample]] = {
    name: [Sample(400, openai_error("This model's maximum context length is 32768 tokens.", None), TOO_LONG)]
    for name in ("chutes", "featherless", "friendli", "ovhcloud", "upstage")
}
# https://github.com/ovh/docs: `endpoints_guide_01_getting_started` has the status of its limit
UNDOCUMENTED["ovhcloud"].append(Sample(429, openai_error("Rate limit exceeded", None), LIMITED))
