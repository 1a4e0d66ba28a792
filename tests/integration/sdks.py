"""The scene of tests with official SDKs: a gateway in front of a provider of every dialect."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from fakes.obedient import TYPES, Obedient, obedient, sections
from integration.gateway import Gateway, serving

VIRTUAL_KEY = "pm-a-virtual-key-of-24-characters"
UPSTREAMS = tuple(TYPES)
EVERY_UPSTREAM = pytest.mark.parametrize("upstream", UPSTREAMS)

READ_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"path": {"type": "string"}},
    "required": ["path"],
    "additionalProperties": False,
}
READ = 'use read_file with {"path": "notes.txt"}'
READ_TWO = READ + ' and then use read_file with {"path": "more.txt"}'
FILES = {"notes.txt": "buy milk", "more.txt": "and bread"}


@dataclass
class Scene:
    """A gateway, the upstream whose public model is `model`, and the addresses for clients."""

    gateway: Gateway
    provider: Obedient
    model: str

    @property
    def root(self) -> str:
        return self.gateway.base_url.removesuffix("/v1")


@contextlib.asynccontextmanager
async def scene(upstream: str, **more: Any) -> AsyncIterator[Scene]:
    """Run a gateway that requires a virtual key, in front of one obedient provider."""
    async with obedient() as provider:
        parts = sections({upstream: provider})
        parts["environ"]["SDK_KEY"] = VIRTUAL_KEY
        parts["governance"] = {"virtual_keys": {"sdk": {"value": "env.SDK_KEY"}}}
        async with serving(is_alone=False, **{**parts, **more}) as gateway:
            yield Scene(gateway, provider, f"{upstream}-model")
        for seen in provider.requests:
            assert VIRTUAL_KEY not in str(seen.headers)
