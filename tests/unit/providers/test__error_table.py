"""Rules for faults: their matching, and that text from a client cannot affect other requests."""

import pytest

from pointsman.domain import failures
from pointsman.domain.failures import Fault, Kind, Scope
from pointsman.providers import PROVIDERS
from pointsman.providers._error_table import SHARED, ErrorRule, judge, rule

TABLES = {"shared": SHARED, **{name: provider.errors for name, provider in PROVIDERS.items()}}
ROWS = [pytest.param(row, id=f"{name}-{number}") for name, rows in TABLES.items() for number, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("row", "status", "codes", "message", "fits"),
    [
        (rule(failures.UPSTREAM_ERROR, 500), 500, (), None, True),
        (rule(failures.UPSTREAM_ERROR, 500), 501, (), None, False),
        (rule(failures.UPSTREAM_ERROR, 500), None, (), None, False),
        (rule(failures.UPSTREAM_ERROR, 500, codes=("broken",)), None, ("broken",), None, True),
        (rule(failures.UPSTREAM_ERROR, codes=("Broken",)), 400, ("other", "broken"), None, True),
        (rule(failures.UPSTREAM_ERROR, codes=("broken",)), 400, ("other",), None, False),
        (rule(failures.UPSTREAM_ERROR, starts="it broke"), 400, (), "It Broke today", True),
        (rule(failures.UPSTREAM_ERROR, starts="it broke"), 400, (), "said: it broke", False),
        (rule(failures.UPSTREAM_ERROR, says="it broke"), 400, (), "said: it broke", True),
        (rule(failures.UPSTREAM_ERROR, says="it broke"), 400, (), None, False),
        (rule(failures.UPSTREAM_ERROR, silent=True), 400, (), None, True),
        (rule(failures.UPSTREAM_ERROR, silent=True), 400, ("code",), None, False),
    ],
)
def test_rule_matches_status_codes_and_message(
    row: ErrorRule, status: int | None, codes: tuple[str, ...], message: str | None, fits: bool
) -> None:
    assert row.fits(status, codes, message) is fits


def test_own_rules_of_provider_come_first() -> None:
    own = (rule(failures.CONTENT_FILTERED, 403, starts="not nice"),)
    assert judge(403, (), "Not nice.", own) == (failures.CONTENT_FILTERED, None)
    assert judge(403, (), "Not nice.") == (failures.UPSTREAM_FORBIDDEN, Scope.ATTEMPT)
    assert judge(401, (), "Not nice.", own) == (failures.CREDENTIAL_REJECTED, None)


def test_code_may_be_a_number() -> None:
    own = (rule(failures.BALANCE_EMPTY, codes=("1113",)),)
    for code in ("1113", 1113):
        assert judge(429, (code, None), "Recharge.", own) == (failures.BALANCE_EMPTY, None)
    assert judge(429, (0, None), None, own) == (failures.UPSTREAM_RATE_LIMITED, None)
    assert judge(404, (404, None), None) == (failures.UPSTREAM_UNSUPPORTED, None), "the status again is no code"


@pytest.mark.parametrize("row", ROWS)
def test_rules_that_affect_other_requests_ignore_quoted_text(row: ErrorRule) -> None:
    if row.kind.fault in (Fault.CREDENTIAL, Fault.QUOTA, Fault.PROVIDER) and row.scope is not Scope.ATTEMPT:
        assert row.says is None or row.statuses <= {401, 402, 429, 500, 503}


@pytest.mark.parametrize(
    ("status", "message", "kind", "scope"),
    [
        (400, "Incorrect API key provided: sk-***.", failures.CREDENTIAL_REJECTED, None),
        (400, "Invalid value: 'Incorrect API key provided'", failures.UPSTREAM_REFUSED, None),
        (403, "You cannot say: your account is over", failures.UPSTREAM_FORBIDDEN, Scope.ATTEMPT),
        (429, "Rate limit reached for organization o on tokens per day", failures.UPSTREAM_RATE_LIMITED, Scope.KEY),
        (429, "Your organization has used its tokens per day", failures.UPSTREAM_RATE_LIMITED, Scope.KEY),
        (429, "Rate limit reached for gpt-4o in organization o", failures.UPSTREAM_RATE_LIMITED, None),
        (429, "Your team has no requests per minute left for model m", failures.UPSTREAM_RATE_LIMITED, None),
        (429, "Request too large for gpt-4o on tokens per min (TPM)", failures.UPSTREAM_TOO_LARGE, None),
        (404, "404 page not found", failures.UPSTREAM_UNSUPPORTED, Scope.OPERATION),
        (404, "Not Found", failures.UPSTREAM_UNSUPPORTED, Scope.OPERATION),
        (404, "Invalid URL (POST /v1/embeddings)", failures.UPSTREAM_UNSUPPORTED, Scope.OPERATION),
        (404, "model 'x' not found", failures.UPSTREAM_MODEL_MISSING, None),
        (418, "I am a teapot", failures.UPSTREAM_REFUSED, None),
        (520, "nobody knows", failures.UPSTREAM_ERROR, None),
    ],
)
def test_shared_table_classifies_common_errors(status: int, message: str, kind: Kind, scope: Scope | None) -> None:
    assert judge(status, (), message) == (kind, scope)
