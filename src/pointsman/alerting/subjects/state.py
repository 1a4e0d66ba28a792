"""The state of each operation of a provider's model, and of each provider key, that had a fault."""

from typing import Annotated

from msgspec import Meta, Struct

from pointsman.alerting.api import AlertSubject


class StateFacts(Struct, frozen=True, kw_only=True):
    """The facts of one state."""

    provider: Annotated[str, Meta(description="The provider.")]
    model: Annotated[str, Meta(description="The provider's name of the model; `*` for all models of a key.")]
    operation: Annotated[str, Meta(description="The operation; empty for a provider key.")]
    key: Annotated[str, Meta(description="The provider key; empty for an operation.")]
    state: Annotated[
        str,
        Meta(description="The state at the worker where it is worst: `failed`, `recovering`, `degraded` or `healthy`."),
    ]
    reason: Annotated[str, Meta(description="The reason of its last transition.")]
    workers: Annotated[int, Meta(description="Workers that are in this state.")]


SUBJECT = AlertSubject(facts=StateFacts, labels=("provider", "model", "operation", "key"), needs_pages=True)
