"""Calls that are pinned to stored objects: to the provider and the key that the object is stored under."""

from collections.abc import Sequence

from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.state import Pin
from pointsman.domain.targets import Candidate, ProviderKey


def place_of(pin: Pin, snapshot: Snapshot) -> ProviderKey | Failure:
    """Return the key of a stored object, or the reason that it cannot be reached."""
    endpoint = snapshot.endpoints.get(pin.provider)
    if endpoint is None:
        message = f"{pin.what} is stored at provider {pin.provider!r}, which is no longer configured"
        return Failure(failures.STATE_UNAVAILABLE, message)
    key = next((key for key in endpoint.keys if key.name == pin.key), None)
    if key is None:
        message = f"{pin.what} is stored under the key {pin.key!r} of {pin.provider}, which is no longer configured"
        return Failure(failures.STATE_UNAVAILABLE, message)
    if key.weight <= 0:
        message = (
            f"{pin.what} is stored under the key {pin.key!r} of {pin.provider}, which is disabled: its weight is 0"
        )
        return Failure(failures.STATE_UNAVAILABLE, message)
    return key


def pinned(call: Call, pin: Pin, candidates: Sequence[Candidate], snapshot: Snapshot) -> list[Candidate] | Failure:
    """Return the candidates at the place of a stored object, each with the one key."""
    key = place_of(pin, snapshot)
    if isinstance(key, Failure):
        return key
    there = [item for item in candidates if item.endpoint.name == pin.provider]
    if not there:
        named = call.head.provider
        conflict = (
            f"the header x-pointsman-provider names {named!r}; remove the header"
            if named is not None and named != pin.provider
            else f"the model {call.model!r} has no target there"
        )
        return Failure(failures.INVALID_REQUEST, f"{pin.what} is stored at provider {pin.provider!r}, but {conflict}")
    found = [with_key(item, key) for item in there if not call.model or key in item.keys]
    if not found:
        message = (
            f"{pin.what} is stored under the key {pin.key!r} of {pin.provider}, which cannot be used for {call.model!r}"
        )
        return Failure(failures.INVALID_REQUEST, message)
    return found


def with_key(item: Candidate, key: ProviderKey) -> Candidate:
    """Return the candidate with this key alone."""
    return item if item.keys == (key,) else replace(item, keys=(key,))
