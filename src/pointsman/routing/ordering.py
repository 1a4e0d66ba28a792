"""The interface of strategies: their arguments, and the order they return."""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from pointsman.domain.calls import Facts, Prefix
from pointsman.domain.targets import Candidate
from pointsman.routing.view import RandomSource, View

_ENDLESS: Mapping[str, float] = {}


class Ordered(Struct, frozen=True, gc=False):
    """An order of candidates. `notes` explain the order to people. Most requests have no reader, so notes that depend
    on a request are rendered when they are iterated. `kept_by` names the value of the request that always gets this
    order, such as `session`; it is empty for other orders. `patience` has the longest waits for the first content of a
    stream in seconds, by the ids of candidates, while another one is left. `probe` is the id of the candidate that the
    request tries only to find out how it is now, if any. `prefix` is the beginning of the prompt, if a cache may have
    it."""

    candidates: tuple[Candidate, ...]
    notes: Iterable[str] = ()
    kept_by: str = ""
    patience: Mapping[str, float] = _ENDLESS
    probe: str = ""
    prefix: Prefix | None = None


Order = Callable[[Facts, View, RandomSource, float], Ordered]


class NoSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a strategy that has none."""
