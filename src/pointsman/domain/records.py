"""The record of one request: one line of the log. Never a body, never a secret. Durations are microseconds.

A worker writes it to the log and the journal; control decodes the same classes. Every new field needs a default, so
that records of older versions stay readable.

The record of a request is made from one that has what its head tells. A keyword costs less than an assignment as long
as a call has at most fifteen arguments; with more, Python makes a dict of them.
"""

from msgspec import Struct

from pointsman.domain.calls import RequestHead
from pointsman.domain.identity import VirtualKey


class AttemptRecord(Struct, kw_only=True, omit_defaults=True, gc=False):
    """One attempt. `outcome` is `ok` or the code of its failure. `start_us` and `first_byte_us` count from the moment
    the request was received. `usage_source` is a value of `UsageSource`; limits hold `held_nano`
    beyond `cost_nano` until it is reconciled or their windows end. `max_tokens` is the length its answer was limited to
    where a limit had room for no more. `events_left_out` counts events of a stream that could not be read."""

    provider: str | None
    model: str | None
    key: str | None
    outcome: str
    start_us: int
    duration_us: int
    status: int | None = None
    first_byte_us: int | None = None
    message: str | None = None
    retry_after_s: float | None = None
    cost_nano: int = 0
    usage_source: str = "none"
    tokens_in: int = 0
    tokens_out: int = 0
    max_tokens: int | None = None
    held_nano: int = 0
    events_left_out: int = 0


class RequestRecord(Struct, kw_only=True, omit_defaults=True, gc=False, tag_field="event", tag="request"):
    """One request. `code` is the failure that the client was told; `gateway_us` is the time not spent on upstreams;
    `cost_nano`, here and there, is the cost in nano-dollars; of it `estimated_nano` is an estimate, and
    `reserved_nano` the reservations of attempts that nothing could be estimated of.

    `client` is the address it came from, `client_retries` how often its SDK had tried before; `session` and `agent` are
    the ids that the client gave them. `dialect` is the API that the client speaks, and `flags` name the features that
    the request uses. `rule` is the rule that decided on it, and `rule_facts` are the facts that this rule matched.
    `labels` are those of the virtual key, its team and its customer. `bytes_in` is the length of the request's body,
    `bytes_out` that of the provider's answer.

    `ttft_us` counts from the arrival of the request to the first content of a stream, and `token_gap_us` is the mean
    time between its events from there on. The classes of tokens are those of `Usage`; `tier` is the service tier of the
    answer.

    `left_out` counts the requests that nobody let in and whose records were not kept, since the last one that was."""

    time: float
    request_id: str
    method: str
    path: str
    status: int
    duration_us: int = 0
    gateway_us: int = 0
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
    verdicts: tuple[str, ...] = ()
    attempts: tuple[AttemptRecord, ...] = ()
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int = 0
    tokens_reasoning: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    session: str | None = None
    tags: dict[str, str] = {}
    client_request_id: str | None = None
    team: str | None = None
    customer: str | None = None
    cost_nano: int = 0
    estimated_nano: int = 0
    reserved_nano: int = 0
    client: str = ""
    client_retries: str | None = None
    left_out: int = 0
    dialect: str | None = None
    flags: tuple[str, ...] = ()
    rule: str | None = None
    rule_facts: dict[str, str] | None = None
    labels: dict[str, str] = {}
    agent: str | None = None
    ttft_us: int | None = None
    token_gap_us: int | None = None
    tokens_cache_write: int = 0
    tokens_cache_write_1h: int = 0
    audio_in: int = 0
    audio_out: int = 0
    image_in: int = 0
    image_out: int = 0
    tier: str | None = None


def record_of(head: RequestHead, path: bytes, key: VirtualKey | None) -> RequestRecord:
    """The record of a request as far as its head tells."""
    record = RequestRecord(time=0.0, request_id="", method=head.method, path=logged_path(path), status=0)
    record.dialect = head.dialect
    record.session = head.session
    record.tags = head.tags
    if key is not None:
        record.virtual_key = key.name
        record.team = key.team
        record.customer = key.customer
        record.labels = key.labels
    return record


def logged_path(path: bytes) -> str:
    """The path of a request as it is logged: without its query, which may hold what a log should not."""
    return path[:256].decode("ascii", "replace")
