"""Questions about a request that is not sent: how would it be routed, with these headers, by this key, at this time?

A question can state what the gateway would otherwise measure: the use of limits, and failing providers.
"""

from collections.abc import Iterable, Mapping
from random import Random

from msgspec import Struct

from pointsman.domain.calls import Facts
from pointsman.domain.failures import Failure, Rejection
from pointsman.domain.holds import Hold
from pointsman.domain.identity import VirtualKey, key_named
from pointsman.domain.limits import Limit
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.state import Record
from pointsman.engine.live import Amounts, Live
from pointsman.engine.preview import Previewed, decide_unsent
from pointsman.engine.question_calls import located, parse
from pointsman.routing.admit import check_network, check_time, pause_of
from pointsman.routing.health import Condition
from pointsman.routing.shared_view import SharedView
from pointsman.wire.callers import client_address

_BLOCK_S = 3600.0


class Question(Struct, kw_only=True, forbid_unknown_fields=True):
    """A request and its circumstances. `key` is the name of a virtual key, and `client` the client's address, which a
    key with `from` requires. `at` is the time in Unix seconds. `seed` makes random choices repeatable. `failing` are
    providers' models that count as failed, as `provider/model`. `used` are used percentages of all limits of an owner,
    such as `team:research`."""

    path: str = "/v1/chat/completions"
    headers: dict[str, str] = {}
    body: bytes = b""
    key: str | None = None
    client: str = ""
    at: float | None = None
    seed: int = 0
    failing: list[str] = []
    used: dict[str, float] = {}


class UnknownKeyError(Exception):
    """The question names a virtual key that does not exist."""


class NothingUsed:
    """Every limit is unused."""

    def used(self, limit: Limit, unix_s: float) -> int | None:  # noqa: ARG002
        return 0


class _Stated(Struct, frozen=True):
    """The amounts that a question states, before the known ones."""

    percentages: Mapping[str, float]
    known: Amounts

    def used(self, limit: Limit, unix_s: float) -> int | None:
        percent = self.percentages.get(limit.owner)
        return self.known.used(limit, unix_s) if percent is None else int(limit.amount * percent / 100)


def ids_in(question: Question, snapshot: Snapshot) -> list[str]:
    """Return the ids of stored objects that the request of a question names."""
    try:
        state = parse(question.path, question.headers, question.body, snapshot).state
    except Rejection:
        return []
    return [named.id for named in state.names] if state is not None else []


def answer(
    question: Question,
    snapshot: Snapshot,
    known: Amounts,
    now: float,
    unix_s: float,
    *,
    holds: Iterable[Hold] = (),
    records: Iterable[Record] = (),
) -> Previewed:
    """Return the decision on a question under a configuration. `now` is in monotonic seconds, `unix_s` the time for
    questions without one. `holds` are the orders of operators. `records` are those of the stored objects that the
    request names; without any, their place and their owner are not considered. Raises `UnknownKeyError`."""
    at = question.at if question.at is not None else unix_s
    key = _find_key(snapshot, question.key)
    try:
        call = parse(question.path, question.headers, question.body, snapshot)
    except Rejection as rejection:
        return Previewed(rejection.failure)
    refused = check_time(key, at) or check_network(key, client_address(question.client, None, snapshot.access))
    if refused is not None:
        return Previewed(refused)
    live = Live(snapshot)
    SharedView(live).hold(holds, now, unix_s)
    paused = pause_of(key, live.paused, now) if key is not None else None
    if paused is not None:
        return Previewed(paused)
    found = located(call, key, records)
    if isinstance(found, Failure):
        return Previewed(found)
    amounts = _Stated(question.used, known)
    for name in question.failing:
        live.conditions[name] = Condition(failures=3, blocks=1, blocked_until=now + _BLOCK_S)
    return decide_unsent(Facts(found, key, at, question.client), Random(question.seed), now, live, amounts)


def _find_key(snapshot: Snapshot, name: str | None) -> VirtualKey | None:
    if name is None:
        return None
    found = key_named(snapshot.virtual_keys, name)
    if found is None:
        raise UnknownKeyError(f"unknown virtual key {name!r}")
    return found
