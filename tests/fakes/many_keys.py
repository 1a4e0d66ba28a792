"""A file of very many virtual keys, as a platform would generate it."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

TEAMS = 50
POLICIES = 20


def value_of(number: int) -> str:
    return f"pm-key-of-a-user-{number:06d}"


def entry(number: int) -> dict[str, Any]:
    """Build a key with one of twenty policies in one of fifty teams."""
    return {
        "name": f"user-{number:06d}",
        "value": "sha256:" + sha256(value_of(number).encode()).hexdigest(),
        "team": f"team-{number % TEAMS}",
        "budgets": [{"limit_usd": 5 + number % POLICIES, "per": "day"}],
        "rate_limits": [{"requests": 600, "per": "minute"}],
    }


def teams() -> dict[str, Any]:
    return {f"team-{number}": {"budgets": [{"limit_usd": 5000, "per": "month"}]} for number in range(TEAMS)}


def write_keys(path: Path, count: int) -> None:
    path.write_text("".join(json.dumps(entry(number)) + "\n" for number in range(count)))
