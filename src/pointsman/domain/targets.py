"""Where a call may go: providers, their keys, and the targets that public model names stand for."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal

from msgspec import Struct, field

from pointsman.domain.limits import Limit
from pointsman.domain.network import Network
from pointsman.domain.operations import Operation
from pointsman.domain.origin import Credential, Origin
from pointsman.domain.prices import ToolPrice


class Envelopes(Struct, eq=False):
    """Heads of requests with a key in them. They die with it, do not show themselves, and are in no file."""

    known: dict[tuple[object, ...], tuple[bytes, bytes]] = {}

    def __repr__(self) -> str:
        return "Envelopes()"

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return Envelopes, ()


class ProviderKey(Struct, frozen=True, eq=False):
    """One API key of a provider. `serves` are shell-style patterns of upstream model names; empty means all.
    `envelopes` are kept by the codecs that send it."""

    name: str
    credential: Credential
    weight: float = 1.0
    serves: tuple[str, ...] = ()
    envelopes: Envelopes = field(default_factory=Envelopes)

    def serves_model(self, model: str) -> bool:
        return not self.serves or any(fnmatchcase(model, pattern) for pattern in self.serves)


class Endpoint(Struct, frozen=True, kw_only=True, eq=False):
    """A configured provider: `type` is the provider module that speaks to it, `name` the configuration's own name.

    `base_path` is the path part of the address, such as `/v1`, without a trailing slash. `serves` are patterns of
    model names that bare names may resolve to; where it is empty, the catalog says. `network` is the way out to it.
    `limits` hold for everything that is sent to it. `catalog` is the catalog's provider whose models and prices it has,
    empty where there is none; `listed` are its names for models that it said to have itself, by canonical name.
    `bills_unfinished` is what it charges for an answer of which nothing arrived (`full`, `prompt` or `none`), where
    that is known. `quirks` are for its provider module alone, which made them of the configuration. `default_output` is
    the longest answer, in tokens, to a request that states no bound, for operations where that is less than the model
    can answer. `tools` are the prices of the tools that it runs itself, and `tool_models` patterns of models that use
    one by themselves: which, how often.
    """

    name: str
    type: str
    origin: Origin
    base_path: str
    keys: tuple[ProviderKey, ...]
    operations: frozenset[Operation]
    serves: tuple[str, ...] = ()
    tags: dict[str, str | tuple[str, ...]] = {}
    network: Network = Network()
    limits: tuple[Limit, ...] = ()
    catalog: str = ""
    listed: dict[str, tuple[str, ...]] = {}
    bills_unfinished: str | None = None
    quirks: object = None
    default_output: Mapping[Operation, int] = {}
    tools: dict[str, ToolPrice] = {}
    tool_models: tuple[tuple[str, str, int], ...] = ()


class Strategy(Struct, frozen=True):
    """How the targets of a name are ordered. The type of `settings` is known to the strategy alone; `None` means that
    the configuration states none."""

    name: str
    settings: Struct | None = None


# Why a candidate is in a plan: as a target, as a fallback that the configuration or the request declares, or as a
# sibling, which is another provider that serves the same model.
Provenance = Literal["target", "fallback", "sibling"]


class Candidate(Struct, frozen=True, kw_only=True, eq=False):
    """A provider and model that could serve the call, with the keys that may be used there: they serve the model and
    are not drained. `id` is `provider/model`: the name health is kept under. `response_s` bounds an attempt at an
    answer that is not streamed, and `stream_head_s` one at a stream until its head, where the target says so itself.
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


def candidate(
    endpoint: Endpoint,
    model: str,
    weight: float = 1.0,
    variant: str | None = None,
    provenance: Provenance = "target",
) -> Candidate:
    """The candidate with those of the endpoint's keys that serve the model and have a weight."""
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
