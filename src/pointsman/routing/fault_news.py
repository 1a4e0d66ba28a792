"""The changes of breakers and key blocks that workers tell each other. Times are monotonic seconds."""

from typing import Literal

from msgspec import Struct

MOST_FAULTS = 256  # of each kind in one message

FaultEvent = Literal["opened", "trial", "served"]


class BreakerNews(Struct, array_like=True, frozen=True):
    """A breaker `opened` until `until`, a `trial` of it began, or a trial was `served`. `name` is that of
    `health.subject`."""

    name: str
    event: FaultEvent
    until: float = 0.0
    reason: str = ""


class KeyNews(Struct, array_like=True, frozen=True):
    """A provider rejected a key at `since`, for a model or for all of them: it is blocked until `until`, the `count`th
    time in a row. `code`, `message` and `scope` are those of the failure. Without a code, the key was served."""

    provider: str
    key: str
    model: str | None
    since: float
    until: float = 0.0
    count: int = 1
    code: str = ""
    message: str = ""
    scope: str | None = None


class FaultNews(Struct, array_like=True):
    """The changes of one worker."""

    breakers: list[BreakerNews] = []
    keys: list[KeyNews] = []
