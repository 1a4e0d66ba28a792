"""The facts that conditions can read: their names, their types, and where their values come from.

A fact is a plain variable, such as `model`, or a map with literal keys, such as `headers["x-tier"]`. A value that the
request does not have is `""`, and -1 for a number. `None` means that the value is unknown now; a condition that needs
an unknown value does not match.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from pointsman.domain.calls import Facts
from pointsman.domain.identity import VirtualKey
from pointsman.domain.limits import Limit, Metric
from pointsman.domain.plans import Health
from pointsman.domain.rules import Value
from pointsman.routing.conditions.prices import expected_usd
from pointsman.routing.used_percent import highest_percent, limits_in
from pointsman.routing.view import View
from pointsman.wire.complexity import complexity
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.params import Kind, end_user, param

MAX_KEYS = 8192  # virtual keys whose limits are kept
ABSENT: dict[str, Value] = {"text": "", "number": -1.0, "integer": -1, "flag": False}

Check = Callable[[str], str | None]


class Sources(Struct, frozen=True, gc=False):
    """The sources of all values: the request, and the live state at `now`, in monotonic seconds."""

    facts: Facts
    view: View
    now: float


Read = Callable[[Sources], Value | None]


class Reference(Struct, frozen=True):
    """A fact that a condition reads. `key` is the key of a map, or the zone of a time. With `is_presence` the value is
    whether the map has the key."""

    fact: str
    key: str
    kind: Kind
    is_presence: bool = False

    def __str__(self) -> str:
        if self.is_presence:
            return f'present({self.fact}, "{self.key}")'
        if self.fact.startswith("time."):
            return f'time["{self.key}"].{self.fact[5:]}' if self.key else self.fact
        return f'{self.fact}["{self.key}"]' if self.key else self.fact


class FactKind(Struct, frozen=True):
    """A plain variable. `in_zone` returns the function that reads its value in a time zone, if it has one."""

    kind: Kind
    read: Read
    meaning: str
    in_zone: Callable[[str], Read] | None = None


class MapKind(Struct, frozen=True):
    """A map with literal keys. `kind` is `None` if it depends on the use. `bind` returns the function that reads the
    value of a key, `present` one that tells whether the key exists."""

    kind: Kind | None
    bind: Callable[[str], Read]
    meaning: str
    example: str
    check: Check | None = None
    present: Callable[[str], Read] | None = None


def read_of(reference: Reference) -> Read:
    """Return the function that reads the value of a reference. A value of another type than expected is unknown."""
    if reference.fact in FACTS:
        fact = FACTS[reference.fact]
        return fact.in_zone(reference.key) if fact.in_zone is not None and reference.key else fact.read
    found = MAPS[reference.fact]
    if reference.is_presence:
        assert found.present is not None, reference
        return found.present(reference.key)
    read = found.bind(reference.key)
    return read if found.kind is not None else partial(_as_kind, read, reference.kind)


_TYPES: dict[Kind, tuple[type, ...]] = {"text": (str,), "number": (int, float), "integer": (int,), "flag": (bool,)}


def _as_kind(read: Read, kind: Kind, at: Sources) -> Value | None:
    value = read(at)
    if value is None:
        return ABSENT[kind]
    is_fitting = isinstance(value, _TYPES[kind]) and (kind == "flag") == isinstance(value, bool)
    return value if is_fitting else None


def _of_call(read: Callable[[Facts], Value]) -> Read:
    return lambda at: read(at.facts)


def _of_key(read: Callable[[VirtualKey], str | None]) -> Read:
    return _of_call(lambda facts: (facts.virtual_key and read(facts.virtual_key)) or "")


def _needs(capability: str) -> Read:
    wanted = (capability,)
    return _of_call(lambda facts: bool(DIALECTS[facts.call.head.dialect].needs(facts.call, wanted)))


def _prompt_tokens(facts: Facts) -> int:
    return DIALECTS[facts.call.head.dialect].prompt_tokens(facts.call)


def _max_tokens(facts: Facts) -> int:
    return -1 if facts.call.max_tokens is None else facts.call.max_tokens


# Times.


def zone_problem(name: str) -> str | None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"unknown time zone {name!r}; use an IANA name, such as Europe/Berlin"
    return None


def _of_time(field: Callable[[datetime], int], meaning: str) -> FactKind:
    def in_zone(name: str) -> Read:
        zone = ZoneInfo(name)
        return lambda at: field(datetime.fromtimestamp(at.facts.unix_s, zone))

    return FactKind("integer", in_zone("UTC"), meaning, in_zone)


# Maps.


def _header(name: str) -> Read:
    folded = name.lower()
    return lambda at: at.facts.call.head.headers.get(folded, "")


def _has_header(name: str) -> Read:
    folded = name.lower()
    return lambda at: folded in at.facts.call.head.headers


# Headers that hold secrets. Their values must not reach the log.
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key", "api-key"})


def _header_problem(name: str) -> str | None:
    if name.lower() in _SECRET_HEADERS:
        return f"the header {name} holds a secret and cannot be read; use key.name or key.labels"
    return None


def _tag(name: str) -> Read:
    return lambda at: at.facts.call.head.tags.get(name, "")


def _has_tag(name: str) -> Read:
    return lambda at: name in at.facts.call.head.tags


def _param(name: str) -> Read:
    return lambda at: param(at.facts.call, name)


def _has_param(name: str) -> Read:
    return lambda at: param(at.facts.call, name) is not None


def _label(name: str) -> Read:
    return lambda at: at.facts.virtual_key.labels.get(name, "") if at.facts.virtual_key else ""


def _has_label(name: str) -> Read:
    return lambda at: at.facts.virtual_key is not None and name in at.facts.virtual_key.labels


def _used(metric: Metric) -> Callable[[str], Read]:
    def bind(scope: str) -> Read:
        known: dict[VirtualKey | None, tuple[Limit, ...]] = {}
        provider = scope.removeprefix("provider:") if scope.startswith("provider:") else None

        def read(at: Sources) -> Value | None:
            key = at.facts.virtual_key
            limits = known.get(key)
            if limits is None:
                if len(known) >= MAX_KEYS:
                    known.clear()
                endpoint = at.view.snapshot.endpoints.get(provider) if provider is not None else None
                owned = endpoint.limits if endpoint is not None else key.limits if key is not None else ()
                limits = known[key] = limits_in(owned, scope, metric)
            return highest_percent(limits, at.view, at.facts.unix_s)

        return read

    return bind


SCOPES = ("virtual_key", "team", "customer", "max")


def _scope_problem(scope: str) -> str | None:
    if scope in SCOPES or (scope.startswith("provider:") and len(scope) > len("provider:")):
        return None
    return f"unknown scope {scope!r}; use one of {', '.join(SCOPES)}, or provider:NAME"


_ORDER: tuple[Health, ...] = ("healthy", "degraded", "recovering", "failed")


def _health(name: str) -> Read:
    """Return the health of `provider/model` at the operation of the call, or that of a provider. A provider is as
    healthy as its best model, but at most degraded if another one has failures."""

    def read(at: Sources) -> Value | None:
        conditions = at.view.conditions
        if not conditions:
            return "healthy"
        if "/" in name:
            operation = at.facts.call.operation
            found = conditions.get(name if operation == "chat" else f"{name}\t{operation}")
            return found.health(at.now) if found is not None else "healthy"
        prefix = f"{name}/"
        faults = [one.health(at.now) for subject, one in conditions.items() if subject.startswith(prefix)]
        if not faults:
            return "healthy"
        if any(subject.startswith(prefix) and subject not in conditions for subject in at.view.readings):
            return "degraded"
        return min(faults, key=_ORDER.index)

    return read


def _price(name: str) -> Read:
    read = expected_usd(name)
    return lambda at: read(at.facts, at.view)


def _target_problem(name: str) -> str | None:
    provider, slash, model = name.partition("/")
    return None if provider and slash and model else f"{name!r} must be provider/model"


FACTS: dict[str, FactKind] = {
    "model": FactKind("text", _of_call(lambda facts: facts.call.model), "The model that the client requested."),
    "request_type": FactKind(
        "text",
        _of_call(lambda facts: facts.call.operation),
        "The operation: `chat`, `responses`, `completion`, `embedding`, `image`, `audio`, `file`, `batch` and so on.",
    ),
    "stream": FactKind("flag", _of_call(lambda facts: facts.call.stream), "True if a stream was requested."),
    "prompt_tokens": FactKind("integer", _of_call(_prompt_tokens), "An estimate of the tokens of the prompt."),
    "max_tokens": FactKind("integer", _of_call(_max_tokens), "The requested maximum of the answer in tokens."),
    "has_tools": FactKind("flag", _needs("tools"), "True if the request offers tools to the model."),
    "has_images": FactKind("flag", _needs("vision"), "True if the prompt has images."),
    "complexity": FactKind(
        "text",
        _of_call(lambda facts: complexity(facts.call)),
        "A guess at the difficulty of the request from its last question: `simple`, `medium` or `complex`. "
        "It is empty if the request has no prompt, or one of more than 4 MiB.",
    ),
    "user": FactKind(
        "text", _of_call(lambda facts: end_user(facts.call) or ""), "The end user that the client names in its body."
    ),
    "client_ip": FactKind(
        "text",
        lambda at: at.facts.client or None,
        "The client's address. Behind a proxy in `server.trusted_proxies` it is the forwarded address.",
    ),
    "key.name": FactKind("text", _of_key(lambda key: key.name), "The name of the virtual key."),
    "team": FactKind("text", _of_key(lambda key: key.team), "The team of the virtual key."),
    "customer": FactKind("text", _of_key(lambda key: key.customer), "The customer of the virtual key."),
    "time.hour": _of_time(
        lambda moment: moment.hour, 'The hour, 0 to 23, in UTC. `time["Europe/Berlin"].hour` is that of a zone.'
    ),
    "time.minute": _of_time(lambda moment: moment.minute, "The minute, 0 to 59."),
    "time.weekday": _of_time(lambda moment: moment.isoweekday(), "The day of the week: 1 is Monday, 7 is Sunday."),
}

MAPS: dict[str, MapKind] = {
    "headers": MapKind(
        "text",
        _header,
        "A header of the request. Its name may be in any case.",
        "x-tier",
        check=_header_problem,
        present=_has_header,
    ),
    "params": MapKind(
        None,
        _param,
        "A field at the top of the body, if it is a text, a number, true or false of at most 1 KiB. `max_tokens` and "
        "`user` have this name in every dialect.",
        "temperature",
        present=_has_param,
    ),
    "request_tags": MapKind(
        "text",
        _tag,
        "A tag that the client sets by the header `x-pointsman-tag-NAME`. It is not trusted.",
        "feature",
        present=_has_tag,
    ),
    "key.labels": MapKind(
        "text",
        _label,
        "A label of the virtual key, its team or its customer. It is trusted.",
        "environment",
        present=_has_label,
    ),
    "budget_used": MapKind(
        "number",
        _used("usd"),
        "The used share of a budget in percent, with the reservations of running requests. The scopes are "
        "`virtual_key`, `team`, `customer`, `provider:NAME`, and `max` for the highest of all.",
        "team",
        check=_scope_problem,
    ),
    "tokens_used": MapKind(
        "number", _used("tokens"), "The used share of a token limit in percent.", "team", check=_scope_problem
    ),
    "requests_used": MapKind(
        "number", _used("requests"), "The used share of a request limit in percent.", "team", check=_scope_problem
    ),
    "health": MapKind(
        "text",
        _health,
        "The health of a provider, or of `provider/model`: `healthy`, `degraded`, `recovering` or `failed`.",
        "openai",
    ),
    "price": MapKind(
        "number",
        _price,
        "The expected cost of this request at `provider/model`, in dollars.",
        "openai/gpt-4o",
        check=_target_problem,
    ),
}
