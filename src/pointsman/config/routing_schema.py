"""The routing part of the configuration file: public names and defaults."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from pointsman.config.compliance_schema import RequireField, TagsField
from pointsman.config.duplicates import DuplicatesField, DuplicatesSettings
from pointsman.config.mirrors import MirrorSettings
from pointsman.config.sections import Bytes, ModelName, Name, Seconds, Section, Text, Weight
from pointsman.config.strategies import StrategyField, StrategySettings
from pointsman.domain.snapshots import Routing, StreamRecovery, Timeouts

_ROUTING = Routing()
_TIMEOUTS = Timeouts()
_FALLBACK_ON: tuple["FallbackCause", ...] = ("provider", "quota", "credential", "context_length", "model_missing")


class TargetTimeoutSettings(Section):
    """The timeouts of one attempt, in seconds. Default: those of the public name, else those of `routing`."""

    response_s: Seconds | None = None
    """The longest time until a non-streamed answer is complete."""
    stream_head_s: Seconds | None = None
    """The longest time until a stream's head arrives, while another candidate is left."""


class ModelTimeoutSettings(TargetTimeoutSettings):
    """The timeouts of requests for one public name, in seconds. Default: those of `routing`."""

    commit_s: Seconds | None = None
    """The longest time until the answer commits, for all attempts together."""
    stall_s: Seconds | None = None
    """The longest silence in a stream that has committed."""
    stream_s: Seconds | None = None
    """The longest time of a whole stream that has committed."""
    queue_s: Seconds | None = None
    """The longest wait for a provider's rate limit, and for room in a budget that requests in progress may leave."""


FallbackCause = Literal[
    "provider",
    "quota",
    "credential",
    "context_length",
    "model_missing",
    "content_filter",
    "refusal",
    "unsupported",
    "rejection",
]
FallbackOn = Annotated[list[FallbackCause], Field(min_length=1)]


class FailoverSettings(Section):
    """The conditions of failover from one candidate to another."""

    fallback_on: FallbackOn = list(_FALLBACK_ON)
    """The failures after which declared fallbacks may be tried. `provider`, `quota` and `credential` are failures of
    the provider, its rate limit and its key. `context_length` is a prompt that is too long, and `model_missing` a model
    that the provider does not have. `content_filter` is filtered content. `refusal` is an answer in which the model
    refuses, and `rejection` any other rejection of the request. `unsupported` is an operation that the provider does
    not support."""
    first_token_s: Seconds | None = None
    """The longest time until the first content of an answer, in seconds, while another candidate is left. An answer
    that is not streamed comes as a whole. So it gets this time and twice the time that the longest answer to the
    request would take at the target's usual speed, once that is known. Default: none, apart from `timeouts`."""
    retry_after_wait_s: Annotated[float, Field(ge=0, le=300)] = 0.0
    """The longest `Retry-After` of a provider that the gateway waits for, in seconds, instead of using another
    candidate or key at once. It waits once for each key. 0 means that it never waits while another is left."""
    same_target_retries: Annotated[int, Field(ge=0, le=10)] = 0
    """The number of times that a target is tried again before the next candidate, after an error of its provider or a
    lost connection. Each retry follows a pause, and counts in `max_attempts` and in the retry budgets."""
    stream_recovery: StreamRecovery = "error"
    """The treatment of a stream that breaks off. `error` ends it with an error event, since a part of it has reached
    the client. `buffer` holds every stream back until it is complete, up to `routing.commit_buffer`, so that another
    candidate can still replace it. The client then receives the answer all at once. `continue` asks another candidate
    for the rest of a text, if its model continues one."""


class ModelFailoverSettings(Section):
    """The conditions of failover for one public name. Default: those of `routing.failover`."""

    fallback_on: FallbackOn | None = None
    """The failures after which this name's fallbacks may be tried."""
    first_token_s: Seconds | None = None
    """The longest time until the first content of an answer, in seconds, while another candidate is left."""
    retry_after_wait_s: Annotated[float, Field(ge=0, le=300)] | None = None
    """The longest `Retry-After` to wait for before another candidate or key is used, in seconds."""
    same_target_retries: Annotated[int, Field(ge=0, le=10)] | None = None
    """The number of times that a target is tried again before the next candidate."""
    stream_recovery: StreamRecovery | None = None
    """The treatment of a stream that breaks off: `error`, `buffer` to hold streams back until they are complete, or
    `continue` to request the rest of a text elsewhere."""


class AbortIfSettings(Section):
    """The bounds of a canary. The targets of the same public name without `canary` are the control."""

    error_rate_above_control: Annotated[float, Field(ge=0, lt=1)] | None = None
    """The canary is aborted if the share of its attempts that fail exceeds the control's by more than this, such as
    0.05. Rate limits and clients that disconnect do not count."""
    ttft_ratio_to_control: Annotated[float, Field(ge=1, le=1000)] | None = None
    """The canary is aborted if the time to its first byte is more than this many times the control's, such as 1.5."""


class CanarySettings(Section):
    """A guard for a new target. It compares the target with the others of the public name, and aborts it if it is
    worse. An aborted canary is tried only after all other candidates. Each worker compares its own attempts."""

    abort_if: AbortIfSettings
    """The bounds. At least one of them is required."""
    min_requests: Annotated[int, Field(ge=10, le=100_000)] = 50
    """The number of attempts to compare before the canary can be aborted."""
    resume_after_s: Seconds | None = None
    """The time after which an aborted canary gets requests again, in seconds. Default: it stays aborted until a
    setting of its target changes, or the gateway restarts."""


class TargetSettings(Section):
    """A provider and model that serve a public name."""

    model: ModelName
    """The model, as `provider/model`, or a bare name that configured providers serve."""
    weight: Weight = 1.0
    """The share of requests for this target, relative to the weights of the others. 0 disables the target."""
    variant: Name | None = None
    """A label for comparisons, shown in logs and metrics."""
    timeouts: TargetTimeoutSettings = TargetTimeoutSettings()
    """The timeouts of an attempt at this target."""
    canary: CanarySettings | None = None
    """The guard of a new target, which aborts it if it does worse than the others."""
    tags: TagsField = {}
    """Properties of the deployment that serves this target. A tag replaces the provider's tag of the same name."""


def expand_target(value: object) -> object:
    return {"model": value} if isinstance(value, str) else value


class ModelSettings(Section):
    """A public model name that clients request, and the targets that serve it."""

    strategy: StrategyField | None = None
    """The strategy that chooses targets. A name, or `{name: {setting: value}}`. Default: `routing.strategy`."""
    targets: Annotated[
        list[Annotated[TargetSettings, BeforeValidator(expand_target, json_schema_input_type=str | TargetSettings)]],
        Field(min_length=1, max_length=64),
    ]
    """The targets that serve the name. A text is short for `{model: …}`."""
    fallbacks: Annotated[list[ModelName], Field(max_length=64)] = []
    """Candidates that are tried in this order after the targets, as `provider/model`. They cannot be public names."""
    fallbacks_for: dict[FallbackCause, Annotated[list[ModelName], Field(min_length=1, max_length=64)]] = {}
    """Candidates for one kind of failure each, as `{context_length: [provider/model]}`. They are tried in this order
    after such a failure alone, before `fallbacks`. The kinds are those of `failover.fallback_on`, which need not list
    them. For `context_length` and `unsupported`, they are also tried if no target fits the request. After a prompt that
    is too long for one model, models without a larger context window in the catalog are left out."""
    siblings: bool = False
    """If true, and all targets and fallbacks have failed, the same models are tried at other configured providers that
    have them in the catalog."""
    timeouts: ModelTimeoutSettings = ModelTimeoutSettings()
    """The timeouts of requests for this name."""
    failover: ModelFailoverSettings = ModelFailoverSettings()
    """The conditions of failover for this name."""
    duplicates: DuplicatesField | None = None
    """The requests for this name that may be sent to two providers at once. Default: `routing.duplicates`."""
    mirror: MirrorSettings | None = None
    """Copies of requests that are sent to another model, to compare it."""
    require: RequireField = {}
    """Requirements for requests to this name, in addition to all others, as in the top-level `require`. They hold for
    the targets and fallbacks of the name wherever it is requested, also in `fallbacks`."""
    response_model: Literal["served", "requested"] = "served"
    """The model name in answers. `served` is the provider's name for the model, and `requested` is this public name."""


def expand_model(value: object) -> object:
    """Expand the short forms of a public name."""
    if isinstance(value, str):
        return {"strategy": "priority", "targets": [value]}
    return {"strategy": "priority", "targets": value} if isinstance(value, list) else value


class TimeoutSettings(Section):
    """The timeouts of one request, in seconds."""

    connect_s: Seconds = _TIMEOUTS.connect_s
    """The longest time to connect to a provider, including name lookup and TLS."""
    commit_s: Seconds = _TIMEOUTS.commit_s
    """The longest time until the answer commits, for all attempts together."""
    stall_s: Seconds = _TIMEOUTS.stall_s
    """The longest silence in a stream that has committed."""
    stream_s: Seconds = _TIMEOUTS.stream_s
    """The longest time of a whole stream that has committed."""
    queue_s: Seconds = _TIMEOUTS.queue_s
    """The longest wait for a provider's rate limit, and for room in a budget that requests in progress may leave."""
    stream_head_s: Seconds = _TIMEOUTS.stream_head_s
    """The longest time until a stream's head arrives, while another candidate is left. The last candidate may use all
    the remaining time."""
    response_s: Seconds | None = _TIMEOUTS.response_s
    """The longest time until a non-streamed answer is complete, for each attempt. Default: half of the remaining time,
    while another candidate is left."""


class HealthSettings(Section):
    """The circuit breaker, which puts a failing provider behind the other candidates for a while."""

    failures: Annotated[int, Field(ge=1, le=1000)] = _ROUTING.health.failures
    """The number of consecutive failures that open the circuit. They count for each provider, model and operation."""
    max_block_s: Seconds = _ROUTING.health.max_block_s
    """The longest time until a provider is tried again after immediate failures, such as a refused connection or a 503,
    in seconds."""
    max_block_hanging_s: Seconds = _ROUTING.health.max_block_hanging_s
    """The longest time until a provider is tried again after slow failures, in seconds. A timeout is one, and so is an
    error after 5 seconds."""


Condition = Annotated[str, StringConstraints(max_length=8192)]
RuleScope = Annotated[
    str, StringConstraints(pattern=r"^(global|(virtual_key|team|customer):[A-Za-z0-9][A-Za-z0-9._-]{0,63})$")
]
ParameterName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
ParameterValue = Annotated[str, Field(max_length=1024)] | bool | int | float


class RefuseSettings(Section):
    """The rejection of a request by a rule."""

    message: Text
    """The reason that the client receives."""


class RuleSettings(Section):
    """A routing rule: a condition, and the changes to the requests that match it."""

    name: Name
    """The name of the rule. Logs and explanations show it, and `sticky` uses it as its salt."""
    scope: RuleScope = "global"
    """The requests that the rule applies to: `virtual_key:NAME`, `team:NAME`, `customer:NAME` or `global`. Rules of a
    virtual key come first, then those of its team, its customer, and the global ones."""
    enabled: bool = True
    """If false, the rule is not evaluated."""
    when: Condition = ""
    """The condition, as an expression in CEL. Default: the rule always matches."""
    chain: bool = False
    """If true, the rules are evaluated again for the changed request. Each rule matches a request at most once, and at
    most ten rules match it."""
    on_unknown: Literal["skip", "refuse"] = "skip"
    """The treatment of a request for which the condition has no result, since a fact is unknown or its evaluation
    fails. `skip` goes on with the next rule, and `refuse` rejects the request."""
    model: ModelName | None = None
    """The model that replaces the requested one: a public name, `provider/model`, or a name in the catalog."""
    targets: Annotated[
        list[Annotated[TargetSettings, BeforeValidator(expand_target, json_schema_input_type=str | TargetSettings)]],
        Field(max_length=64),
    ] = []
    """The targets that replace those of the requested model. A text is short for `{model: …}`."""
    fallbacks: Annotated[list[ModelName], Field(max_length=64)] | None = None
    """The candidates after the targets, as `provider/model`. They replace those of the model and of the request."""
    strategy: StrategyField | None = None
    """The strategy that chooses targets. Default: `weighted` if a target has a weight, else as without the rule."""
    refuse: RefuseSettings | None = None
    """Rejects the request with this message and status 403."""
    provider_key: Name | None = None
    """The name of the only provider key to use. Targets at providers without this key are left out."""
    timeouts: ModelTimeoutSettings = ModelTimeoutSettings()
    """The timeouts of the request."""
    set: Annotated[dict[ParameterName, ParameterValue], Field(max_length=32)] = {}
    """Parameters at the top of the body to set, such as `temperature: 0`. `max_tokens` and `user` have this name in
    every dialect."""
    drop: Annotated[list[ParameterName], Field(max_length=32)] = []
    """Parameters at the top of the body to remove."""
    require: RequireField = {}
    """Requirements that each candidate of the request must meet, beside all others."""
    value: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    """The value of a good answer to the request, for paced budgets. Only ratios matter: a budget that is being spent
    too fast serves requests with more value for each dollar at the better candidates. Default: 1."""


def named_parts(settings: RuleSettings) -> list[str]:
    """Return the names of the fields by which a rule changes a request."""
    fields = (
        "model",
        "targets",
        "fallbacks",
        "strategy",
        "refuse",
        "provider_key",
        "timeouts",
        "set",
        "drop",
        "require",
        "value",
    )
    return [name for name in fields if name in settings.model_fields_set]


class RoutingSettings(Section):
    """The routing defaults of all requests."""

    strategy: Annotated[StrategyField, Field(json_schema_extra={"default": _ROUTING.strategy.name})] = StrategySettings(
        name=_ROUTING.strategy.name
    )
    """The strategy that chooses targets, if the public name sets none. A name that is only a list has
    `priority`."""
    siblings: bool = True
    """If true, a model requested by a bare name, such as `gpt-4o`, is also tried at other configured providers that
    have it in the catalog. A public name has its own field `siblings`."""
    max_attempts: Annotated[int, Field(ge=1, le=100)] = _ROUTING.max_attempts
    """The most attempts of one request, over all candidates, including retries. Further keys of a candidate after a
    rejected key do not count, up to the same number again."""
    timeouts: TimeoutSettings = TimeoutSettings()
    """The timeouts of one request."""
    failover: FailoverSettings = FailoverSettings()
    """The conditions of failover from one candidate to another."""
    duplicates: DuplicatesField = DuplicatesSettings()
    """The requests that may be sent to two providers at once: `none`, `hedge` for those whose attempt is slow, or
    `race`. With `race`, requests are also sent to a candidate that `adaptive` wants to find out about. A request that
    uses stored objects or a tool of its provider, or that bounds its own cost, is sent only once."""
    health: HealthSettings = HealthSettings()
    """The circuit breaker."""
    commit_buffer: Bytes = _ROUTING.commit_buffer
    """The most bytes of a non-streamed answer that are held back until it is complete, so that a broken answer can be
    replaced. The same number of bytes of an uploaded form are held until its model is known. Within these bytes, its
    fields may come in any order."""
    event_bytes: Bytes = _ROUTING.event_bytes
    """The longest event of a stream, in bytes. A longer event ends the stream with an error. Each stream may hold this
    much memory. An event with an image has some megabytes."""
    state_days: Annotated[float, Field(gt=0, le=3650)] = _ROUTING.state_days
    """The time that the gateway remembers the owner and the place of an object stored at a provider. It is in days
    since the object was created or last used. Such objects are files, batches, stored responses, threads and the
    like."""
    unowned_state: Literal["refuse", "allow"] | None = None
    """The treatment of requests for stored objects without a known owner. Such objects were created without this
    gateway, or were forgotten after `state_days`. `refuse` answers that the object does not exist. `allow` lets every
    key read and delete it. Default: `refuse` if keys are required, else `allow`."""
    fetch_media: bool | Literal["http"] = False
    """Images and documents at an address that a client sends: `true` lets the gateway fetch them if no target of the
    request takes addresses. It connects to public addresses only, without an egress proxy, and reads at most 20 MB.
    Addresses must begin with `https`; `http` also allows those that begin with `http`."""
    rules: Annotated[list[RuleSettings], Field(max_length=1000)] = []
    """Rules that change or refuse requests, in the order of their evaluation within a scope. The first match counts."""
