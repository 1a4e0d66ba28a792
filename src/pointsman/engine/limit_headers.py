"""The header lines with the amounts left of a virtual key's limits, under OpenAI's names.

A worker knows its own spending and reservations at once. It learns other workers' spending from control: with every
grant, and by asking once a second while answers show a limit. Between two of control's answers the amounts are
estimates. They are never below the amount that the worker may spend on its own. Before the first answer, lines are
omitted for windows that this worker did not open.
"""

from collections.abc import Iterable, Sequence
from math import ceil
from time import monotonic

from msgspec import Struct

from pointsman.domain.dollars import dollars
from pointsman.domain.identity import VirtualKey
from pointsman.domain.leases import Grant, LeaseRequest, LeaseUnavailable
from pointsman.domain.limits import Limit, Metric
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Candidate
from pointsman.engine.billing import Billing
from pointsman.engine.lease_client import LeaseClient
from pointsman.engine.memos import Memo
from pointsman.money.ledger import CounterSet, Window

ASK_EVERY_S = 1.0
MAX_SHOWN = 20_000
_NAMES = {"requests": b"requests", "tokens": b"tokens"}


class _Shown(Struct):
    """The limits that the answers to a key show. `ask_from` is the monotonic time from which control is asked about
    them again."""

    account: CounterSet
    ask_from: float = 0.0


class LimitHeaders:
    """Writes the lines. Used if `server.limit_headers` is on."""

    def __init__(self) -> None:
        self._shown = Memo[tuple[VirtualKey, str | None], _Shown](MAX_SHOWN)

    def lines(self, billing: Billing, snapshot: Snapshot, key: VirtualKey, served_by: Candidate | None) -> bytes:
        """Return the lines for the tightest limit of each metric. There are none for a key without a hard limit."""
        provider = served_by.endpoint.name if served_by is not None else None
        known = self._shown.of(snapshot)
        shown = known.get((key, provider))
        if shown is None:
            limits = tuple(limit for limit in _limits(key, provider) if not limit.soft)
            shown = known[key, provider] = _Shown(billing.ledger.account(limits))
        if not shown.account.counters:
            return b""
        now_unix_s = billing.clock()
        windows = billing.ledger.present(shown.account, now_unix_s)
        if billing.lease_client is not None:
            now = monotonic()
            if now >= shown.ask_from:
                shown.ask_from = now + ASK_EVERY_S
                _ask(billing, billing.lease_client, windows)
        return _lines(billing, windows, now_unix_s)


def reset_text(wait_s: float) -> bytes:
    """Format a duration as OpenAI does: `20ms`, `59s`, `6m0s`, `23h59m59s`."""
    if wait_s < 1:
        return b"%dms" % max(ceil(wait_s * 1000), 0)
    minutes, seconds = divmod(ceil(wait_s), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return b"%dh%dm%ds" % (hours, minutes, seconds)
    return b"%dm%ds" % (minutes, seconds) if minutes else b"%ds" % seconds


def _limits(key: VirtualKey, provider: str | None) -> Iterable[Limit]:
    """Return the limits of the key, its team and its customer, and of its use of the provider; never the provider's
    own."""
    entry = key.entries.get(provider) if provider is not None else None
    return (*entry.limits, *key.limits) if entry is not None else key.limits


def _lines(billing: Billing, windows: Sequence[Window], now_unix_s: float) -> bytes:
    tightest: dict[Metric, tuple[int, int, int]] = {}
    unknown: set[Metric] = set()
    for window in windows:
        limit, left = window.counter.limit, _left(billing, window)
        if left is None:
            unknown.add(limit.metric)
            continue
        found = tightest.get(limit.metric)
        # Of two equal amounts, show the one whose window ends later.
        if found is None or (left, -window.end) < (found[0], -found[1]):
            tightest[limit.metric] = left, window.end, limit.amount
    lines = b""
    for metric, (left, end, amount) in tightest.items():
        if metric in unknown:
            continue
        if metric == "usd":
            lines += b"x-pointsman-budget-remaining-usd: %b\r\n" % dollars(left, symbol="").encode()
        else:
            name, reset = _NAMES[metric], reset_text(end - now_unix_s)
            lines += b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %d\r\n" % (name, amount, name, left)
            lines += b"x-ratelimit-reset-%b: %b\r\n" % (name, reset)
    return lines


def _left(billing: Billing, window: Window) -> int | None:
    """Return the amount that is neither spent nor reserved, as far as this worker knows. Other workers' unspent leases
    count as left, since they return them when control asks. Return `None` if nothing is known: others may have spent in
    a window that this worker did not open, and control has not answered yet."""
    free, most = max(window.free, 0), window.counter.limit.amount - window.settled - window.reserved
    grant = billing.last_grant(window.counter.name, window.start)
    if grant is not None:
        most = min(most, free + grant.remaining + grant.leased_elsewhere)
    elif not window.opened:
        return None
    return max(most, free)


def _ask(billing: Billing, lease_client: LeaseClient, windows: Sequence[Window]) -> None:
    """Request the amounts left of limits from control, without taking any of them."""
    requests = [LeaseRequest(window.counter.name, window.start, 0, window.opened) for window in windows]

    def on_answer(grants: Sequence[Grant] | LeaseUnavailable) -> None:
        if not isinstance(grants, LeaseUnavailable):
            billing.note_grants(grants, monotonic())

    lease_client.ask(requests, on_answer)
