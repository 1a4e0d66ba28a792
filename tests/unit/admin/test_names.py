"""Names that exist, that existed once, and that never existed."""

from pathlib import Path

import pytest

from fakes.control import control_plane, scope
from integration.gateway import run
from pointsman.admin.names import check_names
from pointsman.admin.problems import ApiError

CONFIG = """\
providers: {openai: env.OPENAI_API_KEY}
models: {chat: {targets: [{model: openai/gpt-4o, variant: new}]}}
governance:
  customers: {acme: {}}
  teams: {idle: {}}
  virtual_keys: {me: {value: env.ME}}
"""
KNOWN = {
    "virtual_key": ("me", "gone"),
    "team": ("idle", "research"),
    "customer": ("acme",),
    "provider": ("openai", "groq"),
    "model": ("gpt-4o", "gpt-4o-mini", "llama"),
    "variant": ("new",),
    "tag": ("env=dev",),
    "asked": ("chat", "openai/gpt-4o-mini", "gpt-4o-mini", "made-up"),
}


def test_name_is_known_from_configuration_catalog_or_usage(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path, config=CONFIG) as plane:
            of = scope(2, virtual_key="gone", provider="groq", model="llama")
            plane.write(1, of=of, model="made-up", tags={"env": "dev"})
            await plane.ingest()
            for kind, names in KNOWN.items():
                for name in names:
                    await check_names(plane.services, {kind: name})
                with pytest.raises(ApiError) as rejected:
                    await check_names(plane.services, {kind: "nobody"})
                assert rejected.value.status == 404

    run(main())
