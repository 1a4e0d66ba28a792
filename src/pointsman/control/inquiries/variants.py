"""The targets of public names."""

from msgspec import Struct


class VariantInquiry(Struct, frozen=True, tag="variants"):
    """Answered by a `TargetState` for each target of one public name or of all that the store counts by target."""

    model: str | None


class TargetState(Struct, frozen=True, kw_only=True):
    """One target of a public name. `target` is `provider/model`. `share` is that of its weight. By priority the first
    one has all; other strategies configure none. `sticky` is the value that the name's split is kept by, if any."""

    model: str
    target: str
    variant: str
    share: float | None
    sticky: str | None
    is_canary: bool
