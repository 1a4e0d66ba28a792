"""The account of one request: one line of the log. Never a body, never a secret."""

from msgspec import Struct

from pointsman.domain.outcomes import Attempt


class AttemptRecord(Struct, omit_defaults=True):
    """One attempt. `outcome` is `ok` or the code of its failure; times are milliseconds since the request came."""

    provider: str
    model: str
    key: str
    outcome: str
    start_ms: float
    duration_ms: float
    status: int | None = None
    first_byte_ms: float | None = None
    message: str | None = None
    retry_after_s: float | None = None


class RequestRecord(Struct, omit_defaults=True, tag_field="event", tag="request"):
    """One request. `code` is the failure a client was told; `gateway_ms` is the time not spent on upstreams."""

    time: float
    request_id: str
    method: str
    path: str
    status: int
    duration_ms: float
    gateway_ms: float
    code: str | None = None
    message: str | None = None
    operation: str | None = None
    model: str | None = None
    stream: bool = False
    virtual_key: str | None = None
    provider: str | None = None
    upstream_model: str | None = None
    key: str | None = None
    variant: str | None = None
    strategy: str | None = None
    source: str | None = None
    verdicts: list[str] = []
    attempts: list[AttemptRecord] = []
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int = 0
    tokens_reasoning: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    session: str | None = None
    tags: dict[str, str] = {}
    client_request_id: str | None = None


def attempt_record(attempt: Attempt, received_at: float) -> AttemptRecord:
    failure = attempt.failure
    first_byte_at = attempt.first_byte_at
    return AttemptRecord(
        attempt.provider,
        attempt.model,
        attempt.key,
        "ok" if failure is None else failure.kind.code,
        round((attempt.started_at - received_at) * 1e3, 3),
        round((attempt.ended_at - attempt.started_at) * 1e3, 3),
        attempt.status,
        round((first_byte_at - received_at) * 1e3, 3) if first_byte_at is not None else None,
        failure.message if failure is not None else None,
        failure.retry_after_s if failure is not None else None,
    )
