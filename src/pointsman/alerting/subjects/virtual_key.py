"""Each virtual key of the configuration file that expires."""

from typing import Annotated

from msgspec import Meta, Struct

from pointsman.alerting.api import AlertSubject


class VirtualKeyFacts(Struct, frozen=True, kw_only=True):
    """The facts of one virtual key."""

    virtual_key: Annotated[str, Meta(description="The name of the key.")]
    team: Annotated[str, Meta(description="The team; empty without one.")]
    customer: Annotated[str, Meta(description="The customer; empty without one.")]
    expires_at: Annotated[int, Meta(description="The time from which it is rejected, in Unix seconds.")]
    expires_in_days: Annotated[float, Meta(description="The days until then; negative afterwards.")]


SUBJECT = AlertSubject(facts=VirtualKeyFacts, labels=("virtual_key",), once_in="expires_at")
