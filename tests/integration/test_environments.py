"""The example of environments in a running gateway: a provider sees the secrets of its own environment alone."""

import asyncio
from pathlib import Path

import yaml

from fakes.questions import environ_of
from integration.gateway import Gateway, chat, run, serving
from pointsman.simulate import Settings

TEXT = (Path(__file__).parents[2] / "examples" / "environments.yaml").read_text()
ENVIRON = environ_of(TEXT)
PINNED = {"x-pointsman-provider": "groq"}


def secrets_seen(gateway: Gateway) -> set[str]:
    """Return the names of the provider keys that any provider received."""
    names = {f"Bearer {value}": name for name, value in ENVIRON.items()}
    received = [one.headers["authorization"] for simulated in gateway.providers.values() for one in simulated.requests]
    return {names[header] for header in received}


def test_secrets_of_production_never_leave_for_development() -> None:
    sections = yaml.safe_load(TEXT)
    settings = sections.pop("providers")
    sections["routing"]["max_attempts"] = 2

    async def main() -> None:
        providers = {"openai": Settings(), "groq": Settings(models=("llama-3.3-70b-versatile",))}
        async with serving(providers=providers, environ=ENVIRON, provider_settings=settings, **sections) as gateway:

            async def ask(key: str, **headers: str) -> int:
                credential = {"authorization": f"Bearer {ENVIRON[key]}"}
                return (await gateway.ask(chat(), headers={**credential, **headers})).status

            assert await asyncio.gather(*(ask("LAPTOP_KEY") for _ in range(10))) == [200] * 10
            assert secrets_seen(gateway) == {"OPENAI_DEV_KEY"}
            assert await ask("LAPTOP_KEY", **PINNED) == 403
            assert await ask("FORGOTTEN_KEY") == 403
            gateway.providers["openai"].set_fault("status=500")
            assert await ask("LAPTOP_KEY") >= 500
            assert secrets_seen(gateway) == {"OPENAI_DEV_KEY"}
            assert await ask("SHOP_KEY") == 200, "production fails over to its other provider"
            assert secrets_seen(gateway) <= {"OPENAI_DEV_KEY", "OPENAI_PRODUCTION_KEY", "GROQ_PRODUCTION_KEY"}
            assert gateway.providers["groq"].counters.requests_received == 1

    run(main())
