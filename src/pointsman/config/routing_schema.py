"""The routing part of the configuration file: public names and defaults."""

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from pointsman.config.sections import Bytes, ModelName, Name, Seconds, Section, Weight
from pointsman.config.strategies import StatedStrategy, StrategySettings
from pointsman.domain.snapshots import Routing, Timeouts

_ROUTING = Routing()
_TIMEOUTS = Timeouts()
_FALLBACK_ON: tuple["FallbackCause", ...] = ("provider", "quota", "credential", "context_length", "model_missing")


class TargetTimeoutSettings(Section):
    """Time limits of one attempt, in seconds. Absent: those of the public name, else those of `routing`."""

    response_s: Seconds | None = None
    """For an answer that is not streamed."""
    stream_head_s: Seconds | None = None
    """For the head of a stream, while another candidate is left."""


class ModelTimeoutSettings(TargetTimeoutSettings):
    """Time limits of requests for one public name, in seconds. Absent: those of `routing`."""

    commit_s: Seconds | None = None
    """Until the answer commits: all attempts together."""
    stall_s: Seconds | None = None
    """Silence inside a stream that has committed."""
    stream_s: Seconds | None = None
    """A committed stream as a whole."""
    queue_s: Seconds | None = None
    """Waiting for a provider's rate limit to free."""


FallbackCause = Literal[
    "provider", "quota", "credential", "context_length", "model_missing", "content_filter", "refusal", "unsupported"
]
FallbackOn = Annotated[list[FallbackCause], Field(min_length=1)]


class FailoverSettings(Section):
    """How one candidate takes over from another."""

    PLANNED: ClassVar[frozenset[str]] = frozenset({"retry_after_wait_s", "same_target_retries", "stream_recovery"})

    fallback_on: FallbackOn = list(_FALLBACK_ON)
    """The failures that declared fallbacks are for: of the `provider`, a `quota` that is used up, a `credential` that
    is refused, a prompt that is too long (`context_length`), a model that is not there (`model_missing`), content that
    is filtered (`content_filter`), any other `refusal` of the request, an operation that is not supported
    (`unsupported`)."""
    first_token_s: Seconds | None = None
    """Seconds for the first content of a stream, while another candidate is left. Absent: none but that of
    `timeouts`."""


class ModelFailoverSettings(Section):
    """How one candidate of a public name takes over from another. Absent: as in `routing.failover`."""

    PLANNED: ClassVar[frozenset[str]] = FailoverSettings.PLANNED

    fallback_on: FallbackOn | None = None
    """The failures that its fallbacks are for."""
    first_token_s: Seconds | None = None
    """Seconds for the first content of a stream, while another candidate is left."""


class TargetSettings(Section):
    """A provider and model that a public name stands for."""

    model: ModelName
    """`provider/model`, or a bare name that configured providers serve."""
    weight: Weight = 1.0
    """Share of the requests, of any scale. 0 takes the target out of use."""
    variant: Name | None = None
    """A label for comparisons, shown in logs and metrics."""
    timeouts: TargetTimeoutSettings = TargetTimeoutSettings()
    """Time limits of an attempt at this target."""


def _expand_target(value: object) -> object:
    return {"model": value} if isinstance(value, str) else value


class ModelSettings(Section):
    """A public model name: what clients ask for, and what serves it."""

    PLANNED: ClassVar[frozenset[str]] = frozenset({"require", "duplicates"})

    strategy: StatedStrategy | None = None
    """How targets are chosen; a text is short for `{name: …}`. Absent: `routing.strategy`."""
    targets: Annotated[
        list[Annotated[TargetSettings, BeforeValidator(_expand_target, json_schema_input_type=str | TargetSettings)]],
        Field(min_length=1, max_length=64),
    ]
    """The targets that serve the name; a text is short for `{model: …}`."""
    fallbacks: Annotated[list[ModelName], Field(max_length=64)] = []
    """Tried in this order after the targets: `provider/model`, never a public name."""
    siblings: bool = False
    """Try the same models at other configured providers, by the catalog, when all of these have failed.
    Without it, targets and fallbacks mean these and no others."""
    timeouts: ModelTimeoutSettings = ModelTimeoutSettings()
    """Time limits of requests for this name."""
    failover: ModelFailoverSettings = ModelFailoverSettings()
    """How one candidate takes over from another."""
    response_model: Literal["served", "requested"] = "served"
    """The model that answers name: the one that `served`, in its provider's words, or this public name, as it was
    `requested`."""


def expand_model(value: object) -> object:
    """Expand the short forms of a public name."""
    if isinstance(value, str):
        return {"strategy": "priority", "targets": [value]}
    return {"strategy": "priority", "targets": value} if isinstance(value, list) else value


class TimeoutSettings(Section):
    """Time limits of one request, in seconds."""

    connect_s: Seconds = _TIMEOUTS.connect_s
    """For connecting to a provider, name lookup and TLS included."""
    commit_s: Seconds = _TIMEOUTS.commit_s
    """Until the answer commits: all attempts together."""
    stall_s: Seconds = _TIMEOUTS.stall_s
    """Silence inside a stream that has committed."""
    stream_s: Seconds = _TIMEOUTS.stream_s
    """A committed stream as a whole."""
    queue_s: Seconds = _TIMEOUTS.queue_s
    """Waiting for a provider's rate limit to free."""
    stream_head_s: Seconds = _TIMEOUTS.stream_head_s
    """For the head of a stream, while another candidate is left to ask. The last one has all the time there is."""
    response_s: Seconds | None = _TIMEOUTS.response_s
    """For an answer that is not streamed, at each candidate. Absent: half of the time that is left, while another
    candidate is."""


class HealthSettings(Section):
    """When a provider that fails is moved behind the others, and for how long: the circuit breaker."""

    failures: Annotated[int, Field(ge=1, le=1000)] = _ROUTING.health.failures
    """Failures in a row of one provider, model and operation."""
    max_block_s: Seconds = _ROUTING.health.max_block_s
    """The longest time until it is tried again after failures that show at once: a refused connection, a 503."""
    max_block_hanging_s: Seconds = _ROUTING.health.max_block_hanging_s
    """The same after a failure that kept its request waiting: a timeout, or an error that took 5 seconds."""


class RoutingSettings(Section):
    """The defaults of every plan."""

    PLANNED: ClassVar[frozenset[str]] = frozenset({"duplicates", "rules"})

    strategy: Annotated[StatedStrategy, Field(json_schema_extra={"default": _ROUTING.strategy.name})] = (
        StrategySettings(name=_ROUTING.strategy.name)
    )
    """How targets are chosen where the public name does not say."""
    siblings: bool = True
    """Try a model that is asked for by a bare name, such as `gpt-4o`, at other configured providers that serve it too,
    by the catalog. A public name says `siblings: true` itself."""
    max_attempts: Annotated[int, Field(ge=1, le=100)] = _ROUTING.max_attempts
    """The most attempts one request may make, over all candidates: first tries and repeats. Further keys of a candidate
    whose key is refused do not count; of these there may be as many again."""
    timeouts: TimeoutSettings = TimeoutSettings()
    """Time limits."""
    failover: FailoverSettings = FailoverSettings()
    """How one candidate takes over from another."""
    health: HealthSettings = HealthSettings()
    """The circuit breaker."""
    commit_buffer: Bytes = _ROUTING.commit_buffer
    """Bytes of a non-streamed answer that are held back until it is whole, so that a broken one can be replaced; and of
    an uploaded form until it is known what it asks for, so that its fields may stand in any order."""
    event_bytes: Bytes = _ROUTING.event_bytes
    """The longest event of a stream. An image in an event takes some megabytes; so much memory may be held for each
    stream. A stream with a longer event is ended by an error."""
    state_days: Annotated[float, Field(gt=0, le=3650)] = _ROUTING.state_days
    """How long it is remembered who made what a provider keeps (files, batches, stored responses, threads and the like)
    and where it is kept, in days since it was made or last used."""
    unowned_state: Literal["refuse", "allow"] | None = None
    """The answer to requests for things whose owner is not known: they were made before this gateway or beside it, or
    forgotten after `state_days`. `refuse` says that there is no such thing; `allow` lets every key read and delete
    them. Absent: `refuse`, or `allow` where no virtual key is required."""
