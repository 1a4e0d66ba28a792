"""Anthropic's Messages API. https://platform.claude.com/docs/en/api/messages

Only this API needs a bound on every answer. If a request has none, its reservation sets the model's maximum
(`needs_bound`). `DEFAULT_BOUND` is for a call without a reservation.
"""

import re

from msgspec import Raw

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.origin import Secret
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._anthropic_answers import AnthropicStream, judge_count, judge_message, usage_in
from pointsman.providers._error_table import Rules, rule
from pointsman.providers._judged import JudgedCodec
from pointsman.providers._quota_headers import anthropic_quota
from pointsman.providers.api import (
    Prefill,
    Provider,
    StreamDecoder,
    WholeAnswer,
    cached_head,
    model_field,
)
from pointsman.wire.dialects.anthropic.own_fields import own_fields, without_lost_thinking
from pointsman.wire.dialects.anthropic.prompts import counts_tokens
from pointsman.wire.dialects.anthropic.request_writer import with_budget
from pointsman.wire.json_object import encode_object

DEFAULT_BOUND = 8192  # tokens: every model since Claude 3.5 can answer with so many
DEFAULTS = {"anthropic-version": "2023-06-01"}  # https://platform.claude.com/docs/en/api/versioning
_BOUND = "max_tokens"

# https://platform.claude.com/docs/en/api/errors
ERRORS: Rules = (
    rule(failures.BALANCE_EMPTY, codes=("billing_error",)),
    rule(failures.BALANCE_EMPTY, 400, starts="your credit balance is too low"),
    rule(failures.CREDENTIAL_REJECTED, codes=("authentication_error",)),
    rule(failures.UPSTREAM_MODEL_DENIED, 403, codes=("permission_error",)),
    rule(failures.UPSTREAM_RATE_LIMITED, codes=("rate_limit_error",)),
    rule(failures.UPSTREAM_OVERLOADED, codes=("overloaded_error",)),
    rule(failures.UPSTREAM_OVERLOADED, 529),
    rule(failures.UPSTREAM_TOO_LARGE, codes=("request_too_large",)),
    rule(failures.UPSTREAM_MODEL_MISSING, 404, starts="model:"),
    rule(failures.UPSTREAM_ERROR, codes=("api_error", "timeout_error")),
)


def _api_key(secret: Secret) -> bytes:
    """Return the header line of a key. https://platform.claude.com/docs/en/api/overview#authentication"""
    value = secret.reveal()
    return b"x-api-key: %b\r\n" % value.encode() if value else b""


# Models before Opus 4.6 and Sonnet 4.6 take a budget for reasoning, and no effort.
# https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking. Behind a name, Vertex has a version
# (`@20251101`, `@default`), and Bedrock a revision (`-v1:0`).
_BUDGETED = re.compile(
    r"claude-(?:[a-z]+-)?[123]\b|claude-[a-z]+-4(?:-[0-5])?(?![-.]?\d\b)(?:-\d{8})?(?:$|-v\d|[^\d.-])"
)
# https://platform.claude.com/docs/en/about-claude/models/migration-guide: later models reject such a text.
PREFILL = Prefill(models=_BUDGETED)


def adapted(fields: dict[str, Raw], model: str, max_tokens: int | None = None) -> dict[str, Raw]:  # noqa: ARG001
    """Return the fields of a translated request as a Claude takes them, by Anthropic's name of it."""
    return without_lost_thinking(with_budget(fields) if _BUDGETED.search(model) else fields)


def message_fields(call: Call) -> dict[str, Raw]:
    """Return the fields of a call without the model, and with a bound on the answer."""
    fields = dict(own_fields(call.fields))
    if not counts_tokens(call) and (_BOUND not in fields or call.max_tokens != call.stated_tokens):
        fields[_BOUND] = Raw(b"%d" % (call.max_tokens or DEFAULT_BOUND))
    fields.pop("model", None)
    return fields


class MessagesCodec(JudgedCodec, frozen=True, kw_only=True, eq=False):
    """A codec that sends the client's fields as they came, under the provider's own name of the model."""

    dialect: str = "anthropic"
    errors: Rules = ERRORS
    usage_in = staticmethod(usage_in)

    def encode(
        self,
        call: Call,
        candidate: Candidate,
        key: ProviderKey,
        attempt_id: str = "",  # noqa: ARG002 -- the API takes no id of its client
        now_unix_s: float = 0.0,  # noqa: ARG002
    ) -> UpstreamRequest:
        fields = {**message_fields(call), "model": model_field(candidate.model_at(key))}
        base_path = candidate.endpoint.base_path
        target, headers = cached_head(base_path, key, call.head, "application/json", auth=_api_key, defaults=DEFAULTS)
        return UpstreamRequest(b"POST", target, headers, encode_object(fields))

    def judge(self, call: Call, body: bytes) -> WholeAnswer | Failure:
        return judge_count(body, self.errors) if counts_tokens(call) else judge_message(body, self.errors)

    def decoder(self, call: Call, max_event_bytes: int, now_unix_s: float = 0.0) -> StreamDecoder:  # noqa: ARG002
        return AnthropicStream(errors=self.errors, max_event_bytes=max_event_bytes)


PROVIDER = Provider(
    name="anthropic",
    title="Anthropic",
    base_url="https://api.anthropic.com/v1",
    key_env="ANTHROPIC_API_KEY",
    codecs={"chat": MessagesCodec()},
    auth=_api_key,
    needs_bound=True,
    adapt=adapted,
    prefill=PREFILL,
    docs="https://platform.claude.com/docs/en/api/overview",
    errors=ERRORS,
    quota=anthropic_quota,
)
