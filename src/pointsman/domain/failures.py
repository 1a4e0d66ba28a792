"""The closed table of failures, with the name, the fault and the HTTP status of each.

Every rejection and every failed attempt names one row of this table. The classes of `Fault` are those of the failure
taxonomy in docs/concepts.md. They alone decide whose health is affected and which candidates may be tried next.
"""

from enum import Enum

from msgspec import Struct

from pointsman.domain.requirements import NO_REQUIREMENTS, Requirements
from pointsman.domain.rules import RuleTrace
from pointsman.domain.verdicts import Verdict


class Fault(Enum):
    """The party at fault for a failure."""

    REQUEST = "request"  # the request itself: no other provider would answer differently
    PROVIDER = "provider"  # the provider or the connection to it: another provider may well answer
    QUOTA = "quota"  # a rate limit of one key: never a health failure
    CREDENTIAL = "credential"  # a provider rejects a key, or its account has no balance: another key may work
    CLIENT = "client"  # the client disconnected
    GATEWAY = "gateway"  # this gateway's rules reject the request, or it cannot serve


class Scope(Enum):
    """The part that is avoided after a failure: the smallest that may be affected."""

    ATTEMPT = "attempt"  # nothing: the cause is unknown, or the gateway sees its end by itself
    MODEL = "model"  # this model, there or with this key
    OPERATION = "operation"  # this operation of the model: the server does not have it
    KEY = "key"  # every model with this key


class Kind(Struct, frozen=True):
    """One row: `code` is the closed machine-readable name, `status` the HTTP status that a client sees, and `type` the
    value of OpenAI's `error.type`."""

    code: str
    status: int
    type: str
    fault: Fault


def _row(code: str, status: int, type_: str, fault: Fault) -> Kind:
    return Kind(code, status, type_, fault)


_INVALID = "invalid_request_error"
_SERVER = "server_error"

# The gateway rejects the request before any attempt.
INVALID_REQUEST = _row("invalid_request", 400, _INVALID, Fault.REQUEST)
INVALID_JSON = _row("invalid_json", 400, _INVALID, Fault.REQUEST)
UNKNOWN_KEY = _row("invalid_api_key", 401, "authentication_error", Fault.REQUEST)
BUDGET_EXCEEDED = _row("budget_exceeded", 402, "insufficient_quota", Fault.GATEWAY)
MAX_COST_EXCEEDED = _row("max_cost_exceeded", 402, "insufficient_quota", Fault.GATEWAY)
PRICE_UNKNOWN = _row("price_unknown", 403, "permission_error", Fault.GATEWAY)
MODEL_NOT_ALLOWED = _row("model_not_allowed", 403, "permission_error", Fault.GATEWAY)
NO_COMPLIANT_PROVIDER = _row("no_compliant_provider", 403, "permission_error", Fault.GATEWAY)
PROVIDER_TOOL_NOT_ALLOWED = _row("provider_tool_not_allowed", 403, "permission_error", Fault.GATEWAY)
REFUSED_BY_RULE = _row("refused_by_rule", 403, "permission_error", Fault.GATEWAY)
NETWORK_NOT_ALLOWED = _row("network_not_allowed", 403, "permission_error", Fault.REQUEST)
KEY_PAUSED = _row("key_paused", 403, "permission_error", Fault.GATEWAY)
CHILD_KEY_NOT_ALLOWED = _row("child_key_not_allowed", 403, "permission_error", Fault.REQUEST)
MODEL_NOT_FOUND = _row("model_not_found", 404, _INVALID, Fault.REQUEST)
UNKNOWN_PATH = _row("unknown_path", 404, _INVALID, Fault.REQUEST)
STATE_NOT_FOUND = _row("state_not_found", 404, _INVALID, Fault.REQUEST)
METHOD_NOT_ALLOWED = _row("method_not_allowed", 405, _INVALID, Fault.REQUEST)
HOST_NOT_ALLOWED = _row("host_not_allowed", 421, _INVALID, Fault.REQUEST)
ORIGIN_NOT_ALLOWED = _row("origin_not_allowed", 403, "permission_error", Fault.REQUEST)
TOO_MANY_WRONG_KEYS = _row("too_many_wrong_keys", 429, "rate_limit_error", Fault.GATEWAY)
NOT_SUPPORTED = _row("not_supported", 400, _INVALID, Fault.REQUEST)
REQUEST_TIMEOUT = _row("request_timeout", 408, _INVALID, Fault.CLIENT)
REQUEST_TOO_LARGE = _row("request_too_large", 413, _INVALID, Fault.REQUEST)
UNSUPPORTED_ENCODING = _row("unsupported_encoding", 415, _INVALID, Fault.REQUEST)
RATE_LIMITED = _row("rate_limited", 429, "rate_limit_error", Fault.GATEWAY)
HEADERS_TOO_LARGE = _row("headers_too_large", 431, _INVALID, Fault.REQUEST)
INTERNAL = _row("internal_error", 500, _SERVER, Fault.GATEWAY)
UNSUPPORTED_OPERATION = _row("unsupported_operation", 501, _INVALID, Fault.REQUEST)
OVERLOADED_GATEWAY = _row("gateway_overloaded", 503, _SERVER, Fault.GATEWAY)
SHUTTING_DOWN = _row("shutting_down", 503, _SERVER, Fault.GATEWAY)
BUDGET_UNAVAILABLE = _row("budget_unavailable", 503, _SERVER, Fault.GATEWAY)
JOURNAL_UNAVAILABLE = _row("journal_unavailable", 503, _SERVER, Fault.GATEWAY)
CONTROL_UNAVAILABLE = _row("control_unavailable", 503, _SERVER, Fault.GATEWAY)
SNAPSHOT_STALE = _row("snapshot_stale", 503, _SERVER, Fault.GATEWAY)
IDENTITY_UNAVAILABLE = _row("identity_unavailable", 503, _SERVER, Fault.GATEWAY)
RULE_UNDECIDED = _row("rule_undecided", 503, _SERVER, Fault.GATEWAY)
STATE_UNAVAILABLE = _row("state_unavailable", 503, _SERVER, Fault.GATEWAY)

# One attempt at a provider failed.
CONNECT_FAILED = _row("connect_failed", 502, _SERVER, Fault.PROVIDER)
CONNECT_TIMEOUT = _row("connect_timeout", 504, _SERVER, Fault.PROVIDER)
DNS_FAILED = _row("dns_failed", 502, _SERVER, Fault.PROVIDER)
TLS_FAILED = _row("tls_failed", 502, _SERVER, Fault.PROVIDER)
# A kept-alive connection ended as a request was sent: the request is sent once more, at once, and no attempt is
# counted.
CONNECTION_STALE = _row("connection_stale", 502, _SERVER, Fault.GATEWAY)
CONNECTION_LOST = _row("connection_lost", 502, _SERVER, Fault.PROVIDER)
COMMIT_TIMEOUT = _row("upstream_timeout", 504, _SERVER, Fault.PROVIDER)
STALLED = _row("stream_stalled", 504, _SERVER, Fault.PROVIDER)
STREAM_TOO_LONG = _row("stream_timeout", 504, _SERVER, Fault.PROVIDER)
TRUNCATED = _row("truncated", 502, _SERVER, Fault.PROVIDER)
MALFORMED_ANSWER = _row("malformed_answer", 502, _SERVER, Fault.PROVIDER)
UPSTREAM_ERROR = _row("upstream_error", 502, _SERVER, Fault.PROVIDER)
UPSTREAM_OVERLOADED = _row("upstream_overloaded", 503, _SERVER, Fault.PROVIDER)
UPSTREAM_RATE_LIMITED = _row("upstream_rate_limited", 429, "rate_limit_error", Fault.QUOTA)
CREDENTIAL_REJECTED = _row("upstream_credential_rejected", 502, _SERVER, Fault.CREDENTIAL)
CREDENTIAL_UNAVAILABLE = _row("upstream_credential_unavailable", 502, _SERVER, Fault.CREDENTIAL)
BALANCE_EMPTY = _row("upstream_balance_empty", 502, _SERVER, Fault.CREDENTIAL)
UPSTREAM_MODEL_DENIED = _row("upstream_model_denied", 502, _SERVER, Fault.CREDENTIAL)
UPSTREAM_FORBIDDEN = _row("upstream_forbidden", 502, _SERVER, Fault.CREDENTIAL)
UPSTREAM_REFUSED = _row("upstream_refused", 400, _INVALID, Fault.REQUEST)
CONTEXT_TOO_LONG = _row("context_length_exceeded", 400, _INVALID, Fault.REQUEST)
CONTENT_FILTERED = _row("content_filter", 400, _INVALID, Fault.REQUEST)
UPSTREAM_TOO_LARGE = _row("upstream_request_too_large", 413, _INVALID, Fault.REQUEST)
UPSTREAM_MODEL_MISSING = _row("upstream_model_not_found", 404, _INVALID, Fault.REQUEST)
UPSTREAM_UNSUPPORTED = _row("upstream_unsupported", 501, _INVALID, Fault.REQUEST)
# The provider answered, and its model or its filter refused. A client sees the answer itself, never this failure.
REFUSED = _row("refused", 422, _INVALID, Fault.REQUEST)
FILTERED = _row("filtered", 422, _INVALID, Fault.REQUEST)
CLIENT_GONE = _row("client_disconnected", 499, _INVALID, Fault.CLIENT)
# Another attempt of the same request answered first. No client sees this.
SUPERSEDED = _row("superseded", 499, _INVALID, Fault.CLIENT)

# An operator holds the provider key out of use. Only blocks of keys have this failure.
OPERATOR_HOLD = _row("operator_hold", 503, _SERVER, Fault.GATEWAY)

# The plan as a whole failed.
NO_TARGET = _row("no_target_available", 503, _SERVER, Fault.GATEWAY)
ALL_ATTEMPTS_FAILED = _row("all_attempts_failed", 502, _SERVER, Fault.PROVIDER)
DEADLINE_EXCEEDED = _row("deadline_exceeded", 504, _SERVER, Fault.PROVIDER)

REFUSALS = frozenset({REFUSED, FILTERED})
KINDS: dict[str, Kind] = {kind.code: kind for kind in list(globals().values()) if isinstance(kind, Kind)}


class Failure(Struct, frozen=True):
    """One failure.

    `message` is written for the operator and is stored. So it consists of the gateway's own words and of a provider's
    status, code and type. `client_message` replaces it for the client if the two differ, since a message may name an
    address. `quote` is a provider's own message about the request that it rejected, or another text that may repeat the
    prompt. Only the client receives it, after the message. `scope` is the part to avoid after the failure. If absent,
    it is the key for a rejected key and otherwise the model. `status` is the upstream's HTTP status if there was one.
    `retry_after_s` is the wait that the provider requested. `param` names the field of the request at fault. `body` is
    the upstream's own error body, already redacted. If the provider rejected the request (`Fault.REQUEST`), the client
    receives this body unchanged. `allow` lists the methods of a path, if the request used another. `rules`
    is the evaluation of the rules, if there are any. `verdicts` and `require` are those of a decision without a plan.
    """

    kind: Kind
    message: str
    status: int | None = None
    retry_after_s: float | None = None
    param: str | None = None
    body: bytes | None = None
    quote: str | None = None
    scope: Scope | None = None
    client_message: str | None = None
    allow: str | None = None
    rules: RuleTrace | None = None
    verdicts: tuple[Verdict, ...] = ()
    require: Requirements = NO_REQUIREMENTS

    @property
    def for_client(self) -> str:
        """The message for the client: it has no address, and quotes a provider only about the request."""
        message = self.client_message or self.message
        return f"{message}: {self.quote}" if self.quote else message


class Rejection(Exception):  # noqa: N818 -- not an error of the program: an answer to the client
    """Raised inside the parsing and admission steps to answer the client at once with `failure`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure
