"""The configuration file, read again."""

from msgspec import Struct


class Reload(Struct, frozen=True, tag="reload"):
    """Answered by one `ReloadOutcome`."""


class ReloadOutcome(Struct, frozen=True):
    """The end of a reload. `is_taken` means that every worker has the configuration."""

    is_taken: bool
    messages: list[str]
    digest: str
