"""A dialect is one file: put into the package, it is served in front of providers of every other dialect."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import pointsman
from fakes import telegram
from integration.gateway import Gateway, run, serving
from pointsman.simulate import Settings
from pointsman.wire.sse import event_data, split_events

# Types of providers that speak one dialect only.
TYPES = {"messages": "anthropic", "chat": "together", "responses": "perplexity"}
BODY: dict[str, Any] = {"lines": [["system", "Be brief."], ["user", "Hello"]], "most": 50}


@pytest.fixture(name="package")
def package_with_the_dialect(tmp_path: Path) -> Path:
    """Return a folder with a copy of the package, to which the dialect is added."""
    source = Path(pointsman.__file__).parent
    shutil.copytree(source, tmp_path / "pointsman", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(telegram.__file__, tmp_path / "pointsman" / "wire" / "dialects")
    return tmp_path


async def check(gateway: Gateway, model: str) -> None:
    answer = await gateway.ask({**BODY, "model": model}, path=f"/v1{telegram.PATH}")
    assert answer.status == 200, answer.body
    told = json.loads(answer.body)
    assert told["text"]
    assert told["end"] == "stop"
    assert told["words"][1] > 0
    stream = await gateway.ask({**BODY, "model": model, "stream": True}, path=f"/v1{telegram.PATH}")
    events = [json.loads(data) for data in map(event_data, split_events(stream.body)) if data is not None]
    assert "".join(event.get("text", "") for event in events)
    assert events[-1]["end"] == "stop"


def test_dialect_of_one_file_is_served_by_all_providers(package: Path) -> None:
    async def main() -> None:
        async with serving(
            providers={name: Settings() for name in TYPES},
            provider_settings={name: {"type": kind} for name, kind in TYPES.items()},
            models={name: [f"{name}/gpt-4o-mini"] for name in TYPES},
            as_process=True,
            environ={"PYTHONPATH": str(package)},
        ) as gateway:
            for name in TYPES:
                await check(gateway, name)
            unknown = await gateway.ask({**BODY, "model": "chat", "colour": "red"}, path=f"/v1{telegram.PATH}")
            assert unknown.status == 400
            assert "colour" in unknown.json["error"]["message"]
            for provider in gateway.providers.values():
                assert provider.requests

    run(main())
