"""Upstream dialects, a file each: pure builders and readers of HTTP messages. They never send any."""

from collections.abc import Mapping

from pointsman.providers.api import Provider
from pointsman.registry import members


def _discover() -> dict[str, Provider]:
    found: dict[str, Provider] = {}
    for module, provider in members(__name__, "PROVIDER"):
        if not isinstance(provider, Provider) or provider.name.replace("-", "_") != module:
            raise TypeError(f"providers/{module}.py: PROVIDER must be a Provider with the name of its file")
        found[provider.name] = provider
    return found


PROVIDERS: Mapping[str, Provider] = _discover()
