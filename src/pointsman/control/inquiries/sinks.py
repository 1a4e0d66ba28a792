"""The sinks of the request log, and the redaction of records."""

from msgspec import Struct

from pointsman.config.settings import Filter
from pointsman.control.recipients import Recipient
from pointsman.domain.bodies import Redaction
from pointsman.domain.requirements import Requirement, Tag


class SinksInquiry(Struct, frozen=True, tag="sinks"):
    """Answered by a `SinkState` for each sink of the configuration."""


class Conditions(Struct, frozen=True, kw_only=True):
    """The conditions for a record to leave the gateway. `tags` are those of the place where it goes, and `require` the
    requirements of every request."""

    tags: dict[str, tuple[Tag, ...]] = {}
    require: tuple[Requirement, ...] = ()
    filter: Filter = Filter()
    redaction: Redaction = Redaction()


class SinkState(Struct, frozen=True, kw_only=True):
    """A sink, with its secrets. The fields are those of `config.settings.LogSink`. `body_bytes`
    is the most that its records have of each body, 0 if they have none."""

    name: str
    type: str
    conditions: Conditions
    recipient: Recipient | None = None
    secrets: tuple[str, ...] = ()
    key_id: str = ""
    region: str = ""
    path: str = ""
    max_bytes: int = 0
    keep: int = 0
    batch_s: float = 0.0
    body_bytes: int = 0

    def __repr__(self) -> str:  # a struct would show its secrets
        return f"SinkState({self.name})"
