"""Error tables, which map a provider's answer to the fault and its scope.

A table is a list of rules, read from the top; the first match decides. Each provider has its own, in its file, and the
shared one follows it. The status alone is seldom enough. Providers send 403 for a key and for a prompt, 400 for a wrong
key, and 429 for an empty account.

A client can put its own words into an error message, since many providers quote the request. Rules for a rejected
key or a wider scope affect other requests. So such a rule matches by the status, by a code, or by the first words of a
message, which are the provider's. Only a rule that blames the request itself may search for words anywhere.
"""

import re
from collections.abc import Sequence

from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.failures import Kind, Scope

REFUSALS = (400, 403, 404, 409, 413, 422, 451)  # the statuses of rejected requests


class ErrorRule(Struct, frozen=True, kw_only=True, eq=False):
    """One row. It matches one of `statuses` (any, if there are none) and one of `codes` as the error's `code` or
    `type`. The message must begin with `starts` and contain `says`, if they are set. A `silent` rule matches an answer
    without a code, a type or a message."""

    kind: Kind
    scope: Scope | None
    statuses: frozenset[int]
    codes: frozenset[str]
    starts: re.Pattern[str] | None
    says: re.Pattern[str] | None
    silent: bool

    def fits(self, status: int | None, codes: Sequence[str], message: str | None) -> bool:
        """Return whether the rule matches this answer. `status` is absent for an error inside an answer of 200: then
        only a rule with more than a status matches."""
        if self.statuses and status not in self.statuses and (status is not None or not self._has_more_conditions()):
            return False
        if self.codes and not any(code in self.codes for code in codes):
            return False
        if self.silent:
            return not message and not codes
        if self.starts is not None and (message is None or self.starts.match(message) is None):
            return False
        return self.says is None or (message is not None and self.says.search(message) is not None)

    def _has_more_conditions(self) -> bool:
        return bool(self.codes) or self.starts is not None or self.says is not None


def rule(
    kind: Kind,
    *statuses: int,
    codes: Sequence[str] = (),
    starts: str = "",
    says: str = "",
    silent: bool = False,
    scope: Scope | None = None,
) -> ErrorRule:
    """Return a row of a table. `starts` and `says` are regular expressions that ignore case."""
    return ErrorRule(
        kind=kind,
        scope=scope,
        statuses=frozenset(statuses),
        codes=frozenset(code.casefold() for code in codes),
        starts=re.compile(starts, re.IGNORECASE) if starts else None,
        says=re.compile(says, re.IGNORECASE) if says else None,
        silent=silent,
    )


Rules = tuple[ErrorRule, ...]


def judge(
    status: int | None, codes: Sequence[object], message: str | None, rules: Rules = ()
) -> tuple[Kind, Scope | None]:
    """Return the fault, by a provider's own `rules` and then the shared ones. `codes` are the error's `code` and
    `type`; `status` is absent for an error inside an answer of 200."""
    named = [str(code).casefold() for code in codes if (isinstance(code, str) and code) or _is_number(code)]
    for table in (rules, SHARED):
        for row in table:
            if row.fits(status, named, message):
                return row.kind, row.scope
    is_rejected = status is not None and 400 <= status < 500
    return (failures.UPSTREAM_REFUSED if is_rejected else failures.UPSTREAM_ERROR), None


def _is_number(code: object) -> bool:
    """Return whether a code is a number of the provider's own, rather than the status again."""
    return isinstance(code, int) and code >= 1000


_TOO_LONG = (
    r"maximum context length|maximum prompt length|context (?:length|window|limit|size)|prompt is too long"
    r"|prompt too long|too many tokens|input is too long|maximum (?:allowed )?input length|maximum model length"
    r"|exceeds? (?:the )?(?:model's )?(?:maximum number of tokens|max(?:imum)? input|token limit)"
    r"|reduce the length of|too large for model with|exceeded model token limit|`max_new_tokens` must be"
    r"|`inputs` must have less than|input token count|keep the first \d+ tokens|context overflow"
)
_FILTERED = (
    r"\bflagged\b|moderation|content (?:policy|filter|management)|safety (?:policy|system|check)"
    r"|usage (?:guidelines|polic(?:y|ies))"
)
_NO_ROUTE = (
    r"(?:\d{3} )?(?:page |file |url |route |path )?not found\.?\s*$|invalid url|unknown (?:url|path|endpoint|route)"
    r"|unexpected endpoint|no route|cannot (?:get|post) /|unrecognized request url|method not allowed"
    r"|this server does not support|not implemented"
)
_WHOLE_KEY = r"(?:your |the |this )?(?:organi[sz]ation|account|workspace|team|project|api.?key)(?:'s)?\b"
_PER_KEY = (
    r"rate limit (?:reached|exceeded) for (?!.{0,200}\bmodel\b)" + _WHOLE_KEY + r"|(?!.{0,200}\bmodel\b)"
    r"(?:you (?:have )?(?:reached|exceeded) )?" + _WHOLE_KEY + r".{0,80}\b(?:limit|quota|(?:tokens|requests) per)"
)
_OF_A_MODEL = r".{0,300}\bmodels?\b"  # some providers begin with the model's name, which the client chooses
_WRONG_KEY = (
    rf"(?!{_OF_A_MODEL})"
    r"(?:(?:incorrect|invalid|expired|revoked|disabled|missing|no|wrong) api.?key|(?:the |your |this )?api.?key "
    r"(?:provided |you provided )?(?:is |was |has |not |expired|could|doesn't|does not))"
)
_NO_ACCESS = (
    r"country|you (?:are not|do not|don't) (?:allowed|authorized|have (?:access|permission))"
    r"|(?:your |this |the )(?:organi[sz]ation|account|workspace|team|project|user)\b"
)

# OpenAI's codes (https://platform.openai.com/docs/guides/error-codes), which others copied, and common messages.
SHARED: Rules = (
    rule(failures.CREDENTIAL_REJECTED, 401),
    rule(failures.BALANCE_EMPTY, 402),
    rule(
        failures.BALANCE_EMPTY,
        400,
        403,
        429,
        codes=(
            "insufficient_quota",
            "billing_hard_limit_reached",
            "billing_not_active",
            "insufficient_balance",
            "insufficient_credits",
        ),
    ),
    rule(
        failures.CREDENTIAL_REJECTED,
        400,
        403,
        codes=("invalid_api_key", "authentication_error", "account_deactivated", "organization_restricted"),
    ),
    rule(failures.CREDENTIAL_REJECTED, 400, 403, starts=_WRONG_KEY),
    # More than a limit per minute ever allows: waiting does not help, a shorter request does.
    rule(failures.UPSTREAM_TOO_LARGE, 400, 413, 429, starts=r"request too large\b"),
    rule(
        failures.CONTEXT_TOO_LONG,
        *REFUSALS,
        codes=("context_length_exceeded", "string_above_max_length", "exceed_context_size_error"),
    ),
    rule(
        failures.CONTENT_FILTERED,
        *REFUSALS,
        codes=("content_filter", "content_policy_violation", "moderation_blocked", "invalid_prompt"),
    ),
    rule(failures.UPSTREAM_MODEL_DENIED, 403, codes=("model_not_found",)),
    rule(failures.UPSTREAM_MODEL_MISSING, 400, 404, codes=("model_not_found", "model_decommissioned")),
    rule(failures.UPSTREAM_RATE_LIMITED, 429, starts=_PER_KEY, scope=Scope.KEY),
    rule(failures.UPSTREAM_RATE_LIMITED, 400, 429, 500, 503, codes=("rate_limit_exceeded",)),  # and without a status
    rule(failures.UPSTREAM_TOO_LARGE, 413, codes=("rate_limit_exceeded",)),
    rule(failures.UPSTREAM_OVERLOADED, codes=("overloaded_error", "overloaded", "engine_overloaded_error")),
    rule(failures.UPSTREAM_RATE_LIMITED, codes=("rate_limit_exceeded", "rate_limit_error")),
    rule(failures.CONTENT_FILTERED, 400, 403, 422, 451, says=_FILTERED),
    rule(failures.CONTEXT_TOO_LONG, 400, 413, 422, says=_TOO_LONG),
    rule(failures.CREDENTIAL_REJECTED, 403, codes=("unsupported_country_region_territory",)),
    rule(failures.UPSTREAM_MODEL_DENIED, 403, starts=rf"(?={_OF_A_MODEL})(?:{_NO_ACCESS})"),
    rule(failures.CREDENTIAL_REJECTED, 403, starts=_NO_ACCESS),
    rule(failures.UPSTREAM_FORBIDDEN, 403, 451, scope=Scope.ATTEMPT),  # of the key or the prompt: the cause is unknown
    rule(failures.UPSTREAM_UNSUPPORTED, 404, 405, 501, starts=_NO_ROUTE, scope=Scope.OPERATION),
    rule(failures.UPSTREAM_UNSUPPORTED, 404, silent=True),
    rule(failures.UPSTREAM_UNSUPPORTED, 405, 501),
    rule(failures.UPSTREAM_MODEL_MISSING, 404),
    rule(failures.UPSTREAM_TOO_LARGE, 413),
    rule(failures.UPSTREAM_ERROR, 408, 409, 425, scope=Scope.ATTEMPT),
    rule(failures.UPSTREAM_RATE_LIMITED, 429),
    rule(failures.UPSTREAM_OVERLOADED, 503, 529),
)
