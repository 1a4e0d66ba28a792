"""Destinations of calls: providers, their keys, and the targets of public names."""

import re
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from pointsman.domain.limits import Limit
from pointsman.domain.network import Network
from pointsman.domain.operations import Operation
from pointsman.domain.origin import AwsKeys, Credential, Origin, Secret
from pointsman.domain.prices import ToolPrice
from pointsman.domain.requirements import NO_REQUIREMENTS, NO_TAGS, Requirements, Tags


class CachedHeads(Struct, eq=False):
    """Encoded heads of requests that contain a provider key, for reuse. They are freed with the key, hidden from
    `repr`, and written to no file."""

    known: dict[tuple[object, ...], tuple[bytes, bytes]] = {}

    def __repr__(self) -> str:
        return "CachedHeads()"

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return CachedHeads, ()


class ProviderKey(Struct, frozen=True, eq=False):
    """One credential of a provider, under a name. `serves` are shell-style patterns of upstream model names; empty
    means all. Its `tags` replace those of its provider that have the same name. Keys of a provider with the same
    `cache_domain`, by default the key's own name, share its cache of prompts. Its `deployments` are those of its
    provider, or replace them; with `is_deployed_only` it serves no other model. It `lacks` the deployments of other
    keys alone. The codecs that send the key keep its `cached_heads`."""

    name: str
    credential: Credential
    weight: float = 1.0
    serves: tuple[str, ...] = ()
    tags: Tags = NO_TAGS
    cache_domain: str = ""
    deployments: Mapping[str, str] = {}
    is_deployed_only: bool = False
    lacks: frozenset[str] = frozenset()
    cached_heads: CachedHeads = field(default_factory=CachedHeads)

    @property
    def is_concrete(self) -> bool:
        """Return whether a codec can use the credential as it is."""
        return isinstance(self.credential, (Secret, AwsKeys))

    def blank(self) -> "ProviderKey":
        """Return the key with an empty secret, to encode a call that is not sent."""
        return replace(self, credential=Secret(""), cached_heads=CachedHeads())

    def serves_model(self, model: str) -> bool:
        if model in self.lacks or (self.is_deployed_only and model not in self.deployments):
            return False
        return not self.serves or any(fnmatchcase(model, pattern) for pattern in self.serves)


class Family(Struct, frozen=True):
    """Models of a provider that have an API of their own, such as Claude's at a cloud. `pattern` is a shell-style
    pattern of their names. `name` is the record of their codecs. The other fields are as in `Endpoint`."""

    pattern: str
    name: str
    dialects: tuple[str, ...]
    needs_bound: bool = False
    embedder: str = ""


def family_of(families: Iterable[Family], names: Collection[str]) -> Family | None:
    """Return the first of these families that one of the names belongs to."""
    return next((one for one in families if any(fnmatchcase(name, one.pattern) for name in names)), None)


class Endpoint(Struct, frozen=True, kw_only=True, eq=False):
    """A configured provider: `type` is its provider module, `name` the configuration's own name.

    `base_path` is the path part of the address, such as `/v1`, without a trailing slash. `serves` are patterns of bare
    names that it serves beside its models in the catalog; with `serves_only`, it serves no others. `network` is its
    egress path. `limits` hold for everything that is sent to it. `catalog` is the catalog's provider with its models
    and prices, or empty. `listed` are its names for the models that it listed itself, by canonical name.
    `bills_unfinished` is its charge for an answer lost as a whole (`full`, `prompt` or `none`), if known. `quirks` are
    for its provider module alone, which made them from the configuration. `dialects` are those of conversations that
    its server speaks; a call in another one is translated. `needs_bound` says that its server rejects a conversation
    without a bound on the answer. `keeps_responses` says that later requests can name its responses. `default_output`
    is the longest answer, in tokens, to a request without a bound. It covers operations with a default below the
    model's maximum. `tools` are the prices of the tools that it runs itself. `tool_models` are patterns of models that
    use a tool by themselves, with the tool and its number of uses. `max_concurrency` is the most attempts in progress
    at each of its models: a number, `auto` if it is learned, or `None` without a bound. `deployments` are the server's
    names for models that it has under names of its own. `api_version` is the version of its API in the query, or empty.
    `region` and `project` are those of a cloud, or empty. `embedder` is the dialect in which its server takes requests
    for embeddings, or empty. `families` are its models with an API of their own, for which `dialects`, `needs_bound`
    and `embedder` do not hold. `regions` are the regions in which models run whose names match a regular expression,
    wherever the address is; they may refer to its groups. With `sends_trace`, attempts carry the trace context of their
    request.
    """

    name: str
    type: str
    origin: Origin
    base_path: str
    keys: tuple[ProviderKey, ...]
    operations: frozenset[Operation]
    dialects: tuple[str, ...] = ("openai", "openai-responses")
    needs_bound: bool = False
    embedder: str = "openai"
    keeps_responses: bool = True
    serves: tuple[str, ...] = ()
    serves_only: bool = False
    tags: Tags = NO_TAGS
    network: Network = Network()
    limits: tuple[Limit, ...] = ()
    catalog: str = ""
    listed: dict[str, tuple[str, ...]] = {}
    bills_unfinished: str | None = None
    quirks: object = None
    default_output: Mapping[Operation, int] = {}
    tools: dict[str, ToolPrice] = {}
    tool_models: tuple[tuple[str, str, int], ...] = ()
    max_concurrency: int | Literal["auto"] | None = None
    deployments: Mapping[str, str] = {}
    api_version: str = ""
    region: str = ""
    project: str = ""
    families: tuple[Family, ...] = ()
    regions: tuple[tuple[str, str], ...] = ()
    sends_trace: bool = False

    def stated_region(self, name: str) -> str:
        """Return the region that a name of a model states; empty for most names."""
        for pattern, region in self.regions:
            if found := re.match(pattern, name):
                return found.expand(region).lower()
        return ""

    def has_deployment(self, model: str) -> bool:
        """Return whether the server has the model under a name of its own, at any key."""
        return model in self.deployments or any(model in key.deployments for key in self.keys)

    @property
    def has_deployments(self) -> bool:
        return bool(self.deployments) or any(key.deployments for key in self.keys)


class Strategy(Struct, frozen=True):
    """The order of a name's targets. Only the strategy knows the type of `settings`; `None` means that the
    configuration sets none."""

    name: str
    settings: Struct | None = None


# The origin of a candidate: a target, a fallback that the configuration or the request declares, a sibling, or the
# `then` of a budget. A sibling is another provider that serves the same model.
Provenance = Literal["target", "fallback", "sibling", "then"]


class Guard(Struct, frozen=True):
    """The bounds of a canary. It is aborted if its error rate exceeds the control's by more than the first, or if its
    time to the first byte is more than the second times the control's. `None` bounds nothing. At least `min_requests`
    attempts are compared. It is tried again after `resume_after_s` seconds, or once its settings change."""

    error_rate_above_control: float | None = None
    ttft_ratio_to_control: float | None = None
    min_requests: int = 50
    resume_after_s: float | None = None


class Arm(Struct, frozen=True):
    """The part of a target in the comparison of a public name's targets. Those without a `guard` are the control."""

    model: str
    target: str
    variant: str
    weight: float
    guard: Guard | None = None


class Candidate(Struct, frozen=True, kw_only=True, eq=False):
    """A provider and model that could serve the call, with the usable keys: they serve the model and are not drained.
    `id` is `provider/model`, the name for its health. `response_s` bounds an attempt at an answer that is not streamed.
    `stream_head_s` bounds an attempt at a stream until its head. Both are set only if the target has its own value. Its
    `tags` replace those of its provider that have the same name. `require` are the requirements that its keys meet: at
    first those of the public name that it is a target of, in a candidate set all that apply. `arm` is set if the public
    name has a canary. `after` are the causes that it is a fallback for, beside its use as a target; for a fallback, its
    only ones. A fallback without any serves after those of `failover.fallback_on`. `then` is the name by which budgets
    fall to this candidate: its attempts do not count in those budgets.
    """

    id: str
    endpoint: Endpoint
    model: str
    keys: tuple[ProviderKey, ...]
    weight: float = 1.0
    variant: str | None = None
    provenance: Provenance = "target"
    response_s: float | None = None
    stream_head_s: float | None = None
    tags: Tags = NO_TAGS
    require: Requirements = NO_REQUIREMENTS
    arm: Arm | None = None
    after: frozenset[str] = frozenset()
    then: str = ""

    def model_at(self, key: ProviderKey) -> str:
        """Return the name of the model that the server knows, for requests with this key."""
        deployments = key.deployments or self.endpoint.deployments
        return deployments.get(self.model, self.model) if deployments else self.model

    @property
    def sent_model(self) -> str:
        """The name of the model that the server knows, for keys without deployments of their own."""
        deployments = self.endpoint.deployments
        return deployments.get(self.model, self.model) if deployments else self.model

    def names_at(self, key: ProviderKey | None = None) -> str:
        """Return the names of the model, for requests with this key, else for keys without deployments of their own.
        Either name may say which model it is."""
        sent = self.sent_model if key is None else self.model_at(key)
        return self.model if sent == self.model else f"{self.model}/{sent}"

    def region_at(self, key: ProviderKey) -> str:
        """Return the region that the name of the model implies, for requests with this key; empty if it is that of the
        address."""
        stated = self.endpoint.stated_region(self.model_at(key))
        return stated if stated != self.endpoint.region else ""

    @property
    def family(self) -> Family | None:
        """The models with an API of their own that the model belongs to, by any of its names. All keys have one, since
        `pointsman check` rejects others."""
        return family_of(self.endpoint.families, {self.model, *map(self.model_at, self.keys)})

    @property
    def dialects(self) -> tuple[str, ...]:
        """The dialects of conversations in which the model is served."""
        family = self.family if self.endpoint.families else None
        return self.endpoint.dialects if family is None else family.dialects

    @property
    def embedder(self) -> str:
        """The dialect in which the model takes requests for embeddings, or empty."""
        family = self.family if self.endpoint.families else None
        return self.endpoint.embedder if family is None else family.embedder

    @property
    def needs_bound(self) -> bool:
        """True if a conversation without a bound on the answer is rejected."""
        family = self.family if self.endpoint.families else None
        return self.endpoint.needs_bound if family is None else family.needs_bound


def candidate(
    endpoint: Endpoint,
    model: str,
    weight: float = 1.0,
    variant: str | None = None,
    provenance: Provenance = "target",
) -> Candidate:
    """Return the candidate with those of the endpoint's keys that serve the model and have a weight."""
    keys = tuple(key for key in endpoint.keys if key.weight > 0 and key.serves_model(model))
    return Candidate(
        id=f"{endpoint.name}/{model}",
        endpoint=endpoint,
        model=model,
        keys=keys,
        weight=weight,
        variant=variant,
        provenance=provenance,
    )
