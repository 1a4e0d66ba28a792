"""Tools that a provider runs itself, and their charges."""

import random

import msgspec
import pytest
from msgspec import Raw

from pointsman.simulate.answers import Request, RequestContext
from pointsman.simulate.settings import Settings
from pointsman.simulate.tools import additions

SETTINGS = Settings(tool_uses=2, added_tokens=100, tool_fees={"web_search": 10, "plugin:web": 1})


@pytest.mark.parametrize(
    ("fields", "calls", "references"),
    [
        ({"input": "x"}, {}, 0),
        ({"tools": [{"type": "function"}, {"type": "web_search"}]}, {"web_search": 2}, 0),
        ({"tools": [{"type": "web_search"}], "max_tool_calls": 1}, {"web_search": 1}, 0),
        ({"tools": [{"type": "web_search", "max_uses": 0}]}, {"web_search": 0}, 0),
        ({"plugins": [{"id": "web", "max_results": 4}]}, {"plugin:web": 4}, 0),
        ({"previous_response_id": "r", "input": [{"type": "item_reference", "id": "m"}]}, {}, 2),
        ({"messages": [{"content": [{"type": "file", "file": {"file_id": "f"}}]}]}, {}, 1),
    ],
)
def test_tools_add_tokens_and_fees(fields: dict[str, object], calls: dict[str, int], references: int) -> None:
    raw = {name: Raw(msgspec.json.encode(value)) for name, value in fields.items()}
    found = additions(
        RequestContext(
            request=Request(method="POST", target="/", raw_headers=[], headers={}, body=b""),
            index=0,
            key="",
            fields=raw,
            settings=SETTINGS,
            rng=random.Random(1),
            created=0,
        )
    )
    assert found.calls == calls
    assert found.tokens == 100 * (references + sum(calls.values()))
    assert found.fees_nano == 10 * calls.get("web_search", 0) + calls.get("plugin:web", 0)
