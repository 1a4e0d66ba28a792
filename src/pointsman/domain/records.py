"""The record of one request: one line of the log, without bodies and secrets. Durations are microseconds.

A worker writes it to the log and the journal; control decodes the same classes. Every new field needs a default, so
that records of older versions stay readable.

The record of a request is a copy of one with the facts of its head. A keyword costs less than an assignment as long as
a call has at most fifteen arguments; with more, Python makes a dict of them.
"""

from typing import Literal

from msgspec import Struct

from pointsman.domain.calls import RequestHead
from pointsman.domain.identity import VirtualKey

# Of an attempt. Hedges and races run beside another one. A continuation goes on with a stream that broke off.
Role = Literal["attempt", "hedge", "race", "continuation"]


class AttemptRecord(Struct, kw_only=True, omit_defaults=True, gc=False):
    """One attempt. `outcome` is `ok` or the code of its failure. `start_us` and `first_byte_us` count from the arrival
    of the request. `usage_source` is a value of `UsageSource`. Limits hold `held_nano` in addition to `cost_nano` until
    it is reconciled or their windows end. `most_nano` and `most_tokens` were reserved for it; without a known price
    `most_nano` is `None`. `max_tokens` is the bound of its answer if a limit had no room for more.
    `events_left_out` counts unreadable events of a stream. A `hedge` ran beside an attempt that took long. A `race`
    ran beside the first attempt to find out how its candidate is. A `continuation` went on with the stream of an
    earlier attempt, which broke off. `ordinal` is the number of the attempt in the order of the starts, unless it
    is that of the ends, in which attempts are listed."""

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
    most_nano: int | None = None
    most_tokens: int = 0
    hedge: bool = False
    race: bool = False
    continuation: bool = False
    ordinal: int = 0

    @property
    def role(self) -> Role:
        if self.continuation:
            return "continuation"
        return "race" if self.race else "hedge" if self.hedge else "attempt"


class Feedback(Struct, kw_only=True, omit_defaults=True, frozen=True, gc=False):
    """The score that a client gives to an earlier request, from 0 to 1."""

    request_id: str
    score: float
    comment: str = ""


class Comparison(Struct, kw_only=True, omit_defaults=True, gc=False):
    """The answer to a request that the copy of this record was compared with. `provider` and `model` served it, for
    `cost_nano` and in `duration_us`. `same` says that texts and calls of tools are equal, `same_tools` that the
    names of the tools are, and `similarity` is the share of common words from 0 to 1. They are `None` if an answer
    was too long or could not be read. `finish` and `mirror_finish` are the reasons for the ends of the two."""

    provider: str
    model: str
    cost_nano: int = 0
    duration_us: int = 0
    tokens_out: int | None = None
    ttft_us: int | None = None
    same: bool | None = None
    same_tools: bool | None = None
    similarity: float | None = None
    finish: str = ""
    mirror_finish: str = ""


class RequestRecord(Struct, kw_only=True, omit_defaults=True, gc=False, tag_field="event", tag="request"):
    """One request. `code` is the failure that the client received; `gateway_us` is the time not spent on upstreams.
    `cost_nano`, here and there, is the cost in nano-dollars. `estimated_nano` is the estimated part of it, and
    `reserved_nano` the reservations of attempts without an estimate.

    `client` is its source address, `client_retries` the earlier tries by its SDK. `session` and `agent` are the
    client's ids for them, and `parent_agent` is the agent that started this one. `dialect` is the client's API, and
    `flags` name the features that the request uses; `refused` says that the model or a filter refused. `rules` are the
    routing rules that were evaluated, in order, and `rule` are those that matched. `rule_facts` are the facts that they
    read. `rule_problems` are those without a result. `labels` are those of the virtual key, its team and its customer.
    `bytes_in` is the length of the request's body, `bytes_out` that of the provider's answer.

    `ttft_us` is the time from the arrival of the request to the first content of a stream. `token_gap_us` is the mean
    time between its events from there on. The classes of tokens are those of `Usage`; `tier` is the service tier of the
    answer.

    `kept_by` names the value that the request always gets its target by, such as `session`. `verdict_codes` are the
    codes of `verdicts`, in the same order. `pinned` is the provider that the client demanded. `feedback` is set
    for a request that only gave a score to another one. `paced` is the note on the paced budget that decided on the
    order.

    `order` are the candidates of the plan as `provider/model`, in order, if there are several. `notes` are those of the
    strategy. `verdict_policies` are the policies of `verdicts`, and `last_resorts` those candidates that came last
    because of theirs. `require` are the requirements of the request, with their origins.

    `mirror_of` is the id of the request that this one is a copy of, and `compared` the comparison of their answers.

    `traceparent` and `tracestate` are the client's trace context.

    `left_out` counts the requests without a record that were not admitted, since the last one with a record."""

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
    parent_agent: str | None = None
    kept_by: str = ""
    verdict_codes: tuple[str, ...] = ()
    pinned: str | None = None
    feedback: Feedback | None = None
    rules: tuple[str, ...] = ()
    rule_problems: tuple[str, ...] = ()
    paced: str = ""
    order: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    verdict_policies: tuple[str, ...] = ()
    last_resorts: tuple[str, ...] = ()
    require: dict[str, str] = {}
    mirror_of: str = ""
    compared: Comparison | None = None
    traceparent: str = ""
    tracestate: str = ""


def record_of(head: RequestHead, path: bytes, key: VirtualKey | None) -> RequestRecord:
    """Return the record of a request, with the facts of its head."""
    record = RequestRecord(time=0.0, request_id="", method=head.method, path=logged_path(path), status=0)
    record.dialect = head.dialect
    record.session = head.session
    if head.agent is not None or head.parent_agent is not None:
        record.agent, record.parent_agent = head.agent, head.parent_agent
    record.tags = head.tags
    record.pinned = head.provider
    if key is not None:
        record.virtual_key = key.name
        record.team = key.team
        record.customer = key.customer
        record.labels = key.labels
    return record


def logged_path(path: bytes) -> str:
    """Return the path of a request for the log, without its query, which may hold secrets."""
    return path[:256].decode("ascii", "replace")
