"""Holds: an operator takes a provider, a target or a provider key out of use, or forces it in. A hold on a virtual key,
a team or a customer is a pause: requests of this owner are rejected."""

from datetime import UTC, datetime
from math import inf
from typing import Literal

from msgspec import Struct

from pointsman.domain.snapshots import Snapshot

Effect = Literal["out", "in"]


_WORDS = {"virtual_key": "virtual key", "team": "team", "customer": "customer"}


class Hold(Struct, frozen=True):
    """The order of an operator. `name` is `provider`, `provider/model` or `provider:key`. With the effect `out` no
    request uses it, and with `in` no breaker or rejection keeps requests from it. A pause has the effect `out` and a
    name such as `team=research`, which no provider can have. `at` and `until` are Unix seconds; without `until`, the
    hold lasts until it is released."""

    name: str
    effect: Effect = "out"
    reason: str = ""
    at: float = 0.0
    until: float | None = None

    def is_over(self, unix_s: float) -> bool:
        return self.until is not None and unix_s >= self.until

    def describe(self) -> str:
        """Return the hold in words, for a verdict or an error."""
        end = "until it is released"
        if self.until is not None:
            end = f"until {datetime.fromtimestamp(self.until, UTC):%Y-%m-%d %H:%M:%SZ}"
        order = f"holds {self.name} out of use" if self.effect == "out" else f"forces {self.name} into use"
        if (owner := owner_in(self.name)) is not None:
            level, _, name = owner.partition(":")
            order = f"paused the {_WORDS[level]} {name}"
        return f"an operator {order} {end}{f': {self.reason}' if self.reason else ''}"


class Held(Struct, frozen=True):
    """A hold in force at a worker, and its end in monotonic seconds."""

    hold: Hold
    until: float = inf


def pause_name(level: str, name: str) -> str:
    """Return the name of a hold on an owner: a `virtual_key`, `team` or `customer`."""
    return f"{level}={name}"


def owner_in(name: str) -> str | None:
    """Return the owner that a hold pauses, such as `team:research`, or `None` if it is not about an owner."""
    level, mark, owner = name.partition("=")
    return f"{level}:{owner}" if mark and level in _WORDS else None


def key_in(name: str) -> tuple[str, str] | None:
    """Return the provider and the key that a name stands for, or `None` if it is that of a provider or a target."""
    provider, mark, key = name.partition(":")
    return (provider, key) if mark and "/" not in provider else None


def problem_with(name: str, snapshot: Snapshot) -> str | None:
    """Return why nothing has this name in the configuration, or `None`. Any model of a provider may be named, since
    clients may request it."""
    key = key_in(name)
    provider = key[0] if key is not None else name.partition("/")[0]
    endpoint = snapshot.endpoints.get(provider)
    if endpoint is None:
        return f"no provider is named {provider!r}; the configuration lists them"
    if key is not None and all(one.name != key[1] for one in endpoint.keys):
        names = ", ".join(one.name for one in endpoint.keys)
        return f"the provider {endpoint.name} has no key {key[1]!r}; its keys: {names}"
    if key is None and name == f"{provider}/":
        return "name a model after the slash, or only the provider"
    return None
