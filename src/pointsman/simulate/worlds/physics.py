"""The physics of a simulated world: how long an attempt takes, and how it fails.

The draws of an attempt depend on the seed, the request, the provider and the number of attempts there, never on those
of other requests. So two policies meet the same luck at the same place, and few seeds show a difference.
"""

from collections.abc import Sequence
from math import exp, inf
from random import Random

from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.simulate.worlds.limiter import ANSWER_TOKENS, Limiter
from pointsman.simulate.worlds.world import Arrival, Fault, Headers, Key, Provider

FREE_LOAD = 0.6  # of the concurrency, below which nothing gets slower
TAIL_FACTOR, TAIL_EXPONENT, MOST_TAIL = 2.5, 0.7, 12.0
UNIX = 1_764_000_000.0  # the Unix time at which every run begins
MEAN_TAIL = 5.4  # the mean factor of an answer in the tail

_DOWN = Failure(failures.UPSTREAM_OVERLOADED, "the provider is down", status=503)
_ERROR = Failure(failures.UPSTREAM_ERROR, "the provider failed", status=500)
_NO_HEADERS: dict[bytes, bytes] = {}
_REVOKED = Failure(failures.CREDENTIAL_REJECTED, "the key is revoked", status=401)


class Present(Struct, frozen=True, gc=False):
    """The state of a route at a moment, as its faults make it."""

    factor: float = 1.0
    errors: float = 0.0
    refuses: bool = False
    hangs: bool = False
    revoked: bool = False
    tokens: float = 1.0
    limits: float = 1.0
    price: float = 1.0
    headers: Headers | None = None
    clock_s: float = 0.0

    @property
    def is_dead(self) -> bool:
        """True if no request can succeed."""
        return self.refuses or self.hangs or self.revoked


NORMAL = Present()


class Outcome(Struct, frozen=True, gc=False):
    """The course of an attempt. The first content comes at `content_at`, or the failure if there is one; it is infinite
    if nothing comes. The answer ends at `ends_at`. `headers` are those of the response, if it has any."""

    content_at: float
    ends_at: float
    failure: Failure | None
    headers: dict[bytes, bytes] = {}


class Service:
    """A provider in a run. `running` counts the attempts in progress."""

    def __init__(self, spec: Provider, faults: Sequence[Fault], place: int) -> None:
        self.spec = spec
        self.running = 0
        self.place = place
        self.faults = [one for one in faults if one.provider in ("", spec.name)]
        self.routes = [Route(self, key) for key in spec.keys]

    def slowdown(self, more: int = 0) -> float:
        """Return the factor of times under the present load, with `more` attempts."""
        load = (self.running + more) / self.spec.concurrency - FREE_LOAD
        return 1.0 + 4.0 * load * load + 1.5 * load if load > 0 else 1.0


class Route:
    """One key of a provider in a run."""

    def __init__(self, service: Service, key: Key) -> None:
        self.service = service
        self.key = key
        self.limiter = Limiter(key)
        self._faults = [one for one in service.faults if one.key in ("", key.name)]

    @property
    def weight(self) -> float:
        """The share of the provider's weight that the key has."""
        return self.service.spec.weight * self.key.weight / sum(key.weight for key in self.service.spec.keys)

    def present(self, now: float) -> Present:
        """Return the state of the route at this time."""
        if not self._faults:
            return NORMAL
        active = [(one, strength) for one in self._faults if (strength := one.strength(now)) > 0]
        if not active:
            return NORMAL
        factor = tokens = limits = price = 1.0
        errors, clock_s, headers = 0.0, 0.0, None
        for one, strength in active:
            factor *= 1.0 + (one.factor - 1.0) * strength
            tokens *= 1.0 + (one.tokens - 1.0) * strength
            limits *= one.limits
            price *= one.price
            errors = 1.0 - (1.0 - errors) * (1.0 - one.errors * strength)
            headers, clock_s = one.headers or headers, clock_s + one.clock_s
        return Present(
            factor=factor,
            errors=errors,
            refuses=any(one.refuses for one, _ in active),
            hangs=any(one.hangs for one, _ in active),
            revoked=any(one.revoked for one, _ in active),
            tokens=tokens,
            limits=limits,
            price=price,
            headers=headers,
            clock_s=clock_s,
        )

    def wait_s(self, now: float, request: Arrival) -> float:
        """Return the time until the limits of the key admit a request."""
        self.limiter.refill(now, self.present(now).limits)
        return self.limiter.wait_s(request.tokens_in + ANSWER_TOKENS)

    def dollars(self, now: float, tokens_in: int, tokens_out: int) -> float:
        """Return the bill of a prompt and an answer."""
        spec = self.service.spec
        return self.present(now).price * (spec.usd_in * tokens_in + spec.usd_out * tokens_out) / 1e6

    def attempt(self, now: float, request: Arrival, seed: int) -> Outcome:
        """Return the course of an attempt that begins now, and charge the limits of the key. The attempt itself must
        be counted in `running` already."""
        spec, present = self.service.spec, self.present(now)
        rng = Random(seed)
        luck, delay, tail, tail_size = rng.random(), rng.random(), rng.random(), rng.random()
        normal, decode = rng.gauss(0.0, 1.0), rng.gauss(0.0, 1.0)
        if present.revoked:
            return _failed(now + 0.05 + 0.1 * delay, _REVOKED)
        if present.refuses:
            return _failed(now + 0.05 + 0.3 * delay, _DOWN)
        mode, need, limiter = present.headers or spec.headers, request.tokens_in + ANSWER_TOKENS, self.limiter
        limiter.refill(now, present.limits)
        wait_s = limiter.wait_s(need)
        if wait_s > 0:
            return _failed(
                now + 0.05 + 0.1 * delay, _limited(wait_s, mode), limiter.headers(mode, UNIX + now, present.clock_s)
            )
        if present.hangs:
            return Outcome(inf, inf, None)
        if luck < 1.0 - (1.0 - spec.errors) * (1.0 - present.errors):
            return _failed(now + 0.1 + 0.8 * delay, _ERROR)
        limiter.take(need)
        load = self.service.slowdown()
        took_s = (spec.first_s + spec.prompt_token_s * request.tokens_in) * present.factor * load
        took_s *= exp(spec.sigma * normal - spec.sigma**2 / 2)
        if tail < spec.tail:
            took_s *= min(MOST_TAIL, TAIL_FACTOR / max(tail_size, 1e-3) ** TAIL_EXPONENT)
        content_at = now + took_s
        rest_s = request.tokens_out * spec.token_s * present.tokens * load * exp(0.2 * decode)
        return Outcome(content_at, content_at + rest_s, None, limiter.headers(mode, UNIX + now, present.clock_s))


def _failed(at: float, failure: Failure, headers: dict[bytes, bytes] = _NO_HEADERS) -> Outcome:
    return Outcome(at, at, failure, headers)


def _limited(wait_s: float, mode: Headers) -> Failure:
    """Return a rejection for a limit. Without headers it does not say how long to wait."""
    after_s = None if mode == "absent" else 1.0 if mode == "lying" else max(wait_s, 0.05)
    return Failure(failures.UPSTREAM_RATE_LIMITED, "the key has no room", status=429, retry_after_s=after_s)
