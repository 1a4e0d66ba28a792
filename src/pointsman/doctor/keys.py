"""Providers accept their keys."""

import asyncio

from pointsman.control.fetch import AnswerError
from pointsman.control.listing import ask, is_usable
from pointsman.doctor.api import Finding, Subject, error, ok, skipped, warning
from pointsman.domain.targets import Endpoint, ProviderKey
from pointsman.providers import PROVIDERS

AT_ONCE = 8
_DENIED = (401, 403)


async def check(subject: Subject) -> list[Finding]:
    """List the models of each provider with each of its keys. This costs nothing."""
    if subject.snapshot is None:
        return []
    pairs = [(endpoint, key) for endpoint in subject.snapshot.endpoints.values() for key in endpoint.keys]
    if not subject.is_online:
        return [skipped(f"{len(pairs)} keys are not tried, because of --offline")]
    free = asyncio.Semaphore(AT_ONCE)

    async def examine(endpoint: Endpoint, key: ProviderKey) -> Finding:
        async with free:
            return await _examine(endpoint, key)

    return await asyncio.gather(*(examine(endpoint, key) for endpoint, key in pairs))


async def _examine(endpoint: Endpoint, key: ProviderKey) -> Finding:
    name = f"{endpoint.name}, key {key.name}"
    if not key.weight:
        return skipped(f"{name}: is switched off by its weight of 0")
    record = PROVIDERS.get(endpoint.type)
    if record is None or record.lists is None:
        return skipped(f"{name}: {endpoint.type} has no list of models to try it with")
    if not is_usable(key):
        return skipped(f"{name}: cannot be tried")
    try:
        models = await ask(endpoint, key)
    except AnswerError as problem:
        if problem.status == 403 and record.lists.needs_right:
            return warning(f"{name}: may not list models: {problem}", "grant it that right, or try it with a request")
        if problem.status in _DENIED:
            return error(f"{name}: the provider rejects it: {problem}", "replace the key, or ask for its rights")
        if problem.status == 404:
            return warning(f"{name}: {problem}", "check base_url; some servers have no list of models")
        advice = f"check that this machine reaches {endpoint.origin}, and the status page of the provider"
        return error(f"{name}: {problem}", advice)
    return ok(f"{name}: works; it lists {len(models)} models")
