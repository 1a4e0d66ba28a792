"""The interface of strategies: their arguments, and the order they return."""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from pointsman.domain.calls import Facts, Prefix
from pointsman.domain.targets import Candidate
from pointsman.routing.view import RandomSource, View

_ENDLESS: Mapping[str, float] = {}


class Probe(Struct, frozen=True, gc=False):
    """The id of a candidate that a request should find out about, and its longest wait for content in seconds."""

    candidate: str
    patience_s: float


class Ordered(Struct, frozen=True, gc=False):
    """An order of candidates. `notes` explain the order to people. Most requests have no reader, so notes that depend
    on a request are rendered when they are iterated. `kept_by` names the value of the request that always gets this
    order, such as `session`; it is empty for other orders. `patience` has the longest waits for the first content of a
    stream in seconds, by the ids of candidates, while another one is left. `probe` is set if this request may find out
    how one of the candidates is now. `prefix` is the beginning of the prompt, if a cache may have it."""

    candidates: tuple[Candidate, ...]
    notes: Iterable[str] = ()
    kept_by: str = ""
    patience: Mapping[str, float] = _ENDLESS
    probe: Probe | None = None
    prefix: Prefix | None = None


Order = Callable[[Facts, View, RandomSource, float], Ordered]


class NoSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a strategy that has none."""
