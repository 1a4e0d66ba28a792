"""A local mirror of the rate limits that providers set for their keys, so that few requests are sent only to get a 429.

A provider's limiter is taken for a bucket that refills steadily (routing of OpenAI, Anthropic and Groq):

    room(t) = min(limit, left + (t - at) · (rate - others)) - needs of the requests sent since

`left` is the report of an answer, `at` its time, and `rate` a sixtieth of the limit, or less if the reported reset says
so. Requests that began after that answer's request are not in its report, so their needs are subtracted. Every further
report corrects all of it. `others` is the rate at which other workers and gateways use the limit. It is learned from
reports of less than was expected.

A mirror exists only while a limit is near its end or so small that a few requests exhaust it, so healthy traffic costs
nothing here. A 429 shows that a mirror is wrong or that there are no reports, so a rate is learned: 0.7 of the rate
that the provider served between two such rejections. It grows by 2 % a second after ten seconds without one.

Like a blocked key, a key without room is tried last, never left out. A mirror is a guess: other gateways may use the
key, and a provider may report anything. So if nothing else is left, a request is sent after a while without news.
"""

from collections.abc import Container, Iterable, Sequence
from math import exp, inf

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.failures import CONNECT_FAILED, CONNECT_TIMEOUT, DNS_FAILED, TLS_FAILED, Failure, Fault
from pointsman.domain.plans import Choice, Plan
from pointsman.domain.quotas import Allowance, Quota, QuotaNeed
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.money.charges import USUAL_ANSWER
from pointsman.wire.tokens import about_by_size

WINDOW_S = 60.0  # of a limit whose reset says nothing else
NEAR, AMPLE = 0.5, 0.6  # the parts of a limit at which a mirror begins and ends
FEW_REQUESTS, FEW_TOKENS = 120, 100_000  # limits a minute that a few requests exhaust: they are always mirrored
SCARCE = 0.25  # of a limit: keys with less are ordered by it
LEAST_NET = 0.05  # of the rate of a limit, however much of it others seem to use
LEFT_S = 1.0  # a request leaves room for so many seconds of others' use
OTHERS_S = 15.0  # the memory of others' use
LEAST_REQUESTS, MARGIN, MOST_PART = 1.5, 1.05, 0.95  # the room that a request must find
FORGOTTEN_S = 120.0  # after the last report or rejection
PROBE_S = 2.0  # without any news of a key, until a request is sent without room
MOST_MIRRORS = 10_000  # names of models may come from clients
MOST_SENT = 1_000  # requests since the last report
CUT, GROWTH, GROWS_AFTER_S = 0.7, 1.02, 10.0
BURST_S = 2.0  # of a learned rate, which may be used at once
LEAST_RATE = 1 / 60  # requests a second
SAME_WITHIN_S, SAME_PART, SURE = 2.0, 0.03, 5  # models share a limit if so many reports in a row differ by so little

_NEVER_SENT = frozenset({CONNECT_FAILED, CONNECT_TIMEOUT, DNS_FAILED, TLS_FAILED})
_UNITS = ("requests", "tokens", "tokens_in", "tokens_out")
_NAMES = {"tokens_in": "tokens of prompts", "tokens_out": "tokens of answers"}
_TOLERANCE = 1e-6

QuotaName = tuple[str, str, str | None]  # provider, key and model; without a model, all of them


def need_of(call: Call) -> QuotaNeed:
    """Return the expected amounts of a call, by its size alone."""
    usual, most = USUAL_ANSWER * call.answers, call.max_tokens
    if most is None:
        return QuotaNeed(about_by_size(call), usual, usual)
    return QuotaNeed(about_by_size(call), min(most * call.answers, usual), most * call.answers)


Amounts = tuple[float, ...]  # one for each of `_UNITS`


def _amounts(need: QuotaNeed) -> Amounts:
    return 1.0, need.tokens_in + need.most_out, need.tokens_in, need.tokens_out


class Bucket(Struct, gc=False):
    """One mirrored limit: the amount `left` at the time `at`, and its `rate` a second, of which `others` use a part. If
    it is one for a window that ends, all of it is back at `full_at`."""

    limit: int
    left: float
    at: float
    rate: float
    full_at: float = inf
    others: float = 0.0

    def room(self, now: float) -> float:
        """Return the amount that is left, which is negative if more was sent than there was room for."""
        if now >= self.full_at:
            return float(self.limit)
        return min(float(self.limit), self.left + max(now - self.at, 0.0) * self.net)

    @property
    def net(self) -> float:
        """The rate at which room returns for this gateway, a second."""
        return max(self.rate - self.others, LEAST_NET * self.rate)

    def take(self, amount: float, now: float) -> None:
        """Subtract an amount, or give it back if it is negative."""
        self.left = self.room(now) - amount
        self.at = now
        if now >= self.full_at:
            self.full_at = inf

    def wait_s(self, amount: float, now: float) -> float:
        """Return the time until there is room for an amount, in seconds."""
        missing = self.least(amount) - self.room(now)
        return 0.0 if missing <= _TOLERANCE else min(missing / self.net, max(self.full_at - now, 0.0))

    def seen_others(self, left: float, at: float) -> float:
        """Return the rate at which others use the limit, if so much is left at a time."""
        gap_s = at - self.at
        if gap_s <= 0.0 or at >= self.full_at:
            return self.others
        seen = (min(self.left + gap_s * self.rate, float(self.limit)) - left) / gap_s
        weight = 1.0 - exp(-gap_s / OTHERS_S)
        return self.others + (min(max(seen, 0.0), 2.0 * self.rate) - self.others) * weight

    def least(self, amount: float) -> float:
        """Return the room that a request must find. One that is larger than the limit needs nearly all of it."""
        wanted = LEAST_REQUESTS if amount == 1.0 else amount * MARGIN
        return min(wanted + self.others * LEFT_S, max(self.limit * MOST_PART, 1.0))


class LearnedRate(Struct, gc=False):
    """The rate of requests that a provider serves, as its rejections show it: `rate` a second, infinite until the
    second one. `served` counts the requests since the last one, at `rejected_at`."""

    rejected_at: float
    rate: float = inf
    served: int = 0
    left: float = 0.0
    at: float = 0.0

    def now(self, now: float) -> float:
        """Return the present rate."""
        grown_s = now - self.rejected_at - GROWS_AFTER_S
        return self.rate if grown_s <= 0.0 else self.rate * GROWTH**grown_s

    def room(self, now: float) -> float:
        """Return the number of requests that may be sent at once."""
        rate = self.now(now)
        return inf if rate == inf else min(self.left + (now - self.at) * rate, max(1.0, rate * BURST_S))

    def take(self, now: float) -> None:
        """Count a request."""
        if self.rate < inf:
            self.left, self.at = self.room(now) - 1.0, now

    def wait_s(self, now: float) -> float:
        """Return the time until the next request, in seconds."""
        missing = 1.0 - self.room(now)
        return 0.0 if missing <= _TOLERANCE else missing / self.now(now)

    def reject(self, began_at: float, now: float) -> None:
        """Lower the rate after a rejection. One of a request that began before the last one says nothing new."""
        if began_at <= self.rejected_at:
            return
        seen = max(self.served, 1) / max(now - self.rejected_at, 1.0)
        self.rate = max(CUT * min(seen, self.now(now)), LEAST_RATE)
        self.rejected_at, self.served, self.left, self.at = now, 0, 0.0, now


class Shortage(Struct, frozen=True, gc=False):
    """The reason why a key has no room for a request: `left` of `limit` in a unit such as `requests`, and its need. The
    limit is 0 for a learned rate. There is room after `wait_s` seconds."""

    key: str
    unit: str
    limit: int
    left: float
    need: float
    wait_s: float

    def __str__(self) -> str:
        if not self.limit:
            return f"it rejected more than about {self.need * 60:.3g} requests a minute with the key {self.key}"
        unit, left = _NAMES.get(self.unit, self.unit), max(self.left, 0.0)
        need = "" if self.unit == "requests" else f", and the request needs about {self.need:,.0f}"
        return f"about {left:,.0f} of {self.limit:,} {unit} a minute are left at the key {self.key}{need}"


class QuotaMirror:
    """The limits of one key for one model, or for models that share them."""

    def __init__(self, now: float) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.learned: LearnedRate | None = None
        self.noted_at = now  # of the last report or rejection
        self.probe_at = now + PROBE_S  # the time from which a request without room may be sent
        self._began_at = -inf  # when the request of the last report began
        self._sent: dict[float, Amounts] = {}  # the needs of the requests since then, by the times they began
        self._since = [0.0] * len(_UNITS)  # their sums

    def report(self, quota: Quota, began_at: float, at: float) -> None:
        """Take the report of an answer that came at `at`, to a request that began at `began_at`."""
        if began_at < self._began_at:
            return  # a later request was reported already
        self._began_at, self.noted_at, self.probe_at = began_at, at, at + PROBE_S
        while self._sent and (first := next(iter(self._sent))) <= began_at:
            self._forget(first)
        before, self.buckets = self.buckets, {}
        for unit, since in zip(_UNITS, self._since, strict=True):
            found: Allowance | None = getattr(quota, unit)
            if found is not None:
                self.buckets[unit] = made = _bucket(found, since, at)
                if unit in before:
                    made.others = before[unit].seen_others(made.left, at)
        if self.learned is not None and at - self.learned.rejected_at > FORGOTTEN_S:
            self.learned = None

    def send(self, need: QuotaNeed, now: float) -> None:
        """Subtract the need of a request that is sent now."""
        self.probe_at = now + PROBE_S  # its answer will show if there is room
        if self.learned is not None:
            self.learned.take(now)
        if not self.buckets:
            return
        if len(self._sent) >= MOST_SENT:
            self._forget(next(iter(self._sent)))
        self._take(now, _amounts(need), now)

    def settle(self, began_at: float, now: float, *, was_sent: bool, tokens_out: int) -> None:
        """Replace the expected need of a request by the actual one, unless a report has it already."""
        before = self._sent.get(began_at)
        if before is None:
            return
        requests, tokens, tokens_in, _ = before
        after = (requests, tokens, tokens_in, float(tokens_out)) if was_sent else (0.0,) * len(_UNITS)
        self._take(began_at, tuple([new - old for new, old in zip(after, before, strict=True)]), now)
        if not was_sent:
            self._forget(began_at)

    def _take(self, began_at: float, amounts: Amounts, now: float) -> None:
        """Subtract amounts for a request that began at `began_at`."""
        before = self._sent.get(began_at)
        self._sent[began_at] = (
            amounts if before is None else tuple([old + more for old, more in zip(before, amounts, strict=True)])
        )
        for number, unit in enumerate(_UNITS):
            self._since[number] += amounts[number]
            if unit in self.buckets:
                self.buckets[unit].take(amounts[number], now)

    def _forget(self, began_at: float) -> None:
        """Forget a request that a report has."""
        for number, amount in enumerate(self._sent.pop(began_at)):
            self._since[number] -= amount

    def wait_s(self, need: QuotaNeed, now: float) -> float:
        """Return the time until there is room for a request, in seconds."""
        wait_s = self.learned.wait_s(now) if self.learned is not None else 0.0
        for unit, amount in zip(_UNITS, _amounts(need), strict=True):
            bucket = self.buckets.get(unit)
            if bucket is not None:
                wait_s = max(wait_s, bucket.wait_s(amount, now))
        return wait_s

    def headroom(self, now: float) -> float:
        """Return the part of the scarcest limit that is left."""
        parts = [bucket.room(now) / bucket.limit for bucket in self.buckets.values()]
        if self.learned is not None and self.learned.wait_s(now) > 0.0:
            parts.append(0.0)
        return max(min(parts, default=1.0), 0.0)

    def shortage(self, key: str, need: QuotaNeed, now: float) -> Shortage | None:
        """Return the reason for the longest wait of a request; `None` if there is room."""
        found: Shortage | None = None
        for unit, amount in zip(_UNITS, _amounts(need), strict=True):
            bucket = self.buckets.get(unit)
            if bucket is not None:
                wait_s = bucket.wait_s(amount, now)
                if wait_s > 0.0 and (found is None or wait_s > found.wait_s):
                    found = Shortage(key, unit, bucket.limit, bucket.room(now), need=amount, wait_s=wait_s)
        if self.learned is not None:
            wait_s = self.learned.wait_s(now)
            if wait_s > 0.0 and (found is None or wait_s > found.wait_s):
                found = Shortage(key, "requests", 0, 0.0, need=self.learned.now(now), wait_s=wait_s)
        return found

    def is_over(self, now: float) -> bool:
        """Return whether nothing is to be mirrored any longer."""
        return now - self.noted_at > FORGOTTEN_S or (not self.buckets and self.learned is None)


def _bucket(found: Allowance, since: float, at: float) -> Bucket:
    limit, used, full_s = found.limit, found.limit - found.left, found.full_s
    rate, full_at = limit / WINDOW_S, inf
    if full_s is not None and full_s >= 1.0 and used > 0:
        told = used / full_s
        if told > 1.5 * rate:
            full_at = at + full_s  # a window that ends, rather than a steady refill
        rate = min(rate, told)
    return Bucket(limit, found.left - since, at, rate, full_at=full_at)


def _is_near(quota: Quota, part: float) -> bool:
    """Return whether one of the limits is small, or no more than this part of it is left."""
    found = quota.requests
    if found is not None and (found.limit <= FEW_REQUESTS or found.left <= part * found.limit):
        return True
    for found in (quota.tokens, quota.tokens_in, quota.tokens_out):
        if found is not None and (found.limit <= FEW_TOKENS or found.left <= part * found.limit):
            return True
    return False


class Quotas:
    """The mirrors of all keys in one worker. `mirrors` is empty while no limit is near its end."""

    def __init__(self) -> None:
        self.mirrors: dict[QuotaName, QuotaMirror] = {}
        self._providers: set[str] = set()  # those with a mirror, and perhaps others that had one
        self._shared: set[tuple[str, str]] = set()  # keys whose models share their limits
        self._alike: dict[tuple[str, str], int] = {}  # reports of different models in a row that were alike
        self._last: dict[tuple[str, str], str] = {}  # the model of a key's last report
        self._tidied_at = 0.0

    def keep(self, keys: Container[tuple[str, str]]) -> None:
        """Forget keys that are not in `keys`, by the names of their providers and their own."""
        self.mirrors = {name: one for name, one in self.mirrors.items() if name[:2] in keys}

    def find(self, item: Candidate, key: str) -> QuotaMirror | None:
        """Return the mirror of a candidate's key, if one of its limits is near its end."""
        return self.mirrors.get(self._name(item, key))

    def _name(self, item: Candidate, key: str) -> QuotaName:
        provider = item.endpoint.name
        return provider, key, None if self._shared and (provider, key) in self._shared else item.model

    def note(self, item: Candidate, key: str, quota: Quota, began_at: float, *, at: float) -> None:
        """Take the report of an answer that came at `at`, to a request that began at `began_at`."""
        name = self._name(item, key)
        mirror = self.mirrors.get(name)
        if mirror is None:
            if not _is_near(quota, NEAR):
                return
            mirror = self._open(name, at)
        elif mirror.learned is None and not _is_near(quota, AMPLE):
            del self.mirrors[name]
            return
        self._compare(item, key, quota, at)
        mirror = self.mirrors.get(self._name(item, key)) or self._open(self._name(item, key), at)
        mirror.report(quota, began_at, at)
        self._tidy(at)

    def send(self, item: Candidate, key: str, call: Call, now: float) -> None:
        """Note that a request is sent."""
        mirror = self.find(item, key)
        if mirror is not None:
            mirror.send(need_of(call), now)

    def settle(
        self, item: Candidate, key: str, failure: Failure | None, began_at: float, *, now: float, tokens_out: int
    ) -> None:
        """Note the end of an attempt. A 429 lowers the learned rate."""
        name = self._name(item, key)
        mirror = self.mirrors.get(name)
        if failure is not None and failure.kind.fault is Fault.QUOTA:
            if mirror is None:
                mirror = self._open(name, now)
            if mirror.learned is None:
                mirror.learned = LearnedRate(now)
            else:
                mirror.learned.reject(began_at, now)
            mirror.noted_at = now
        elif mirror is not None:
            if failure is None and mirror.learned is not None:
                mirror.learned.served += 1
            mirror.settle(
                began_at,
                now,
                was_sent=failure is None or failure.kind not in _NEVER_SENT,
                tokens_out=tokens_out,
            )
        self._tidy(now)

    def shortage(self, item: Candidate, key: str, need: QuotaNeed, now: float) -> Shortage | None:
        """Return the reason why a key has no room for a request; `None` if it has."""
        mirror = self.find(item, key)
        return mirror.shortage(key, need, now) if mirror is not None else None

    def wait_s(self, item: Candidate, key: str, need: QuotaNeed, now: float) -> float:
        """Return the time until a key has room for a request, in seconds."""
        mirror = self.find(item, key)
        return mirror.wait_s(need, now) if mirror is not None else 0.0

    def may_probe(self, item: Candidate, key: str, now: float) -> bool:
        """Return whether a request may be sent although the key seems to have no room, since nothing else is left."""
        mirror = self.find(item, key)
        return mirror is None or mirror.probe_at <= now

    def headroom(self, item: Candidate, key: str, now: float) -> float:
        """Return the part of a key's scarcest limit that is left: 1 if none is near its end."""
        mirror = self.find(item, key)
        return mirror.headroom(now) if mirror is not None else 1.0

    def need(self, items: Iterable[Candidate], call: Call) -> QuotaNeed | None:
        """Return the need of a request; `None` if no limit of these candidates is near its end."""
        for item in items:
            if item.endpoint.name in self._providers:
                return need_of(call)
        return None

    def is_short(self, items: Iterable[Candidate], need: QuotaNeed, now: float) -> bool:
        """Return whether a candidate has no key with room for a request."""
        return any(item.keys and self._has_no_room(item, need, now) for item in items)

    def _has_no_room(self, item: Candidate, need: QuotaNeed, now: float) -> bool:
        return all(self.wait_s(item, key.name, need, now) > 0.0 for key in item.keys)

    def arranged(self, plan: Plan, need: QuotaNeed, now: float) -> Plan:
        """Return the plan with the need of its request, and with each choice's keys in the order of use: first those
        with room, and of these the scarce ones last, by their headroom. Keys that are not scarce keep their order."""
        choices, instead = self._arranged(plan.choices, need, now), self._arranged(plan.instead, need, now)
        return replace(plan, choices=choices, instead=instead, need=need)

    def _arranged(self, choices: Sequence[Choice], need: QuotaNeed, now: float) -> tuple[Choice, ...]:
        found = []
        for choice in choices:
            keys = choice.keys
            if len(keys) > 1 and any(self.find(choice.candidate, key.name) is not None for key in keys):
                keys = self._by_headroom(choice.candidate, keys, need, now)
            found.append(choice if keys is choice.keys else Choice(choice.candidate, keys))
        return tuple(found)

    def _by_headroom(
        self, item: Candidate, keys: tuple[ProviderKey, ...], need: QuotaNeed, now: float
    ) -> tuple[ProviderKey, ...]:
        def rank(key: ProviderKey) -> tuple[float, float]:
            return self.wait_s(item, key.name, need, now), -min(self.headroom(item, key.name, now), SCARCE)

        return tuple(sorted(keys, key=rank))

    def _compare(self, item: Candidate, key: str, quota: Quota, at: float) -> None:
        """Find out if models of a key share their limits: reports of different models, one after the other, are then
        alike. A mistake costs little, since each report replaces the last."""
        of_key, model = (item.endpoint.name, key), item.model
        last = self._last.get(of_key)
        self._last[of_key] = model
        if last is None or last == model:
            return
        name = (*of_key, None if of_key in self._shared else last)
        mirror = self.mirrors.get(name)
        if mirror is None or at - mirror.noted_at > SAME_WITHIN_S:
            return
        if not _is_alike(mirror, quota, at):
            self._alike.pop(of_key, None)
            if of_key in self._shared:
                self._shared.discard(of_key)
                self.mirrors.pop(name, None)
            return
        self._alike[of_key] = count = self._alike.get(of_key, 0) + 1
        if count >= SURE and of_key not in self._shared:
            self._shared.add(of_key)
            for other in [one for one in self.mirrors if one[:2] == of_key]:
                del self.mirrors[other]

    def _open(self, name: QuotaName, now: float) -> QuotaMirror:
        if len(self.mirrors) >= MOST_MIRRORS:
            del self.mirrors[next(iter(self.mirrors))]
        found = self.mirrors[name] = QuotaMirror(now)
        self._providers.add(name[0])
        return found

    def _tidy(self, now: float) -> None:
        """Forget mirrors that nothing was reported for."""
        if now < self._tidied_at + WINDOW_S:
            return
        self._tidied_at = now
        self.mirrors = {name: one for name, one in self.mirrors.items() if not one.is_over(now)}
        self._providers = {name[0] for name in self.mirrors}
        known = {name[:2] for name in self.mirrors}
        self._shared &= known
        self._alike = {name: count for name, count in self._alike.items() if name in known}
        self._last = {name: model for name, model in self._last.items() if name in known}


def _is_alike(mirror: QuotaMirror, quota: Quota, at: float) -> bool:
    """Return whether a report is what a mirror expects."""
    is_known = False
    for unit in _UNITS:
        found: Allowance | None = getattr(quota, unit)
        bucket = mirror.buckets.get(unit)
        if found is not None and bucket is not None:
            is_known = True
            if found.limit != bucket.limit or abs(found.left - bucket.room(at)) > SAME_PART * found.limit + 1:
                return False
    return is_known
