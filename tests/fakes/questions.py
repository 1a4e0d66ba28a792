"""Questions about the routing of requests under the text of a configuration, and short forms of the answers."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pointsman.config.compile import compile_document
from pointsman.config.load import load
from pointsman.domain.failures import Failure
from pointsman.domain.plans import Plan
from pointsman.domain.snapshots import Snapshot
from pointsman.engine.questions import NothingUsed, Question, answer

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()  # of a Monday


def environ_of(text: str) -> dict[str, str]:
    """Return a different value for every secret that a configuration refers to."""
    return {name: f"value-of-{name}-for-the-test" for name in re.findall(r"\benv\.([A-Z_]+)", text)}


def snapshot_of(text: str) -> Snapshot:
    """Compile a configuration that has neither errors nor warnings."""
    checked = compile_document(load(text.encode()), Path(), environ_of(text))
    assert [str(problem) for problem in checked.problems if problem.severity != "note"] == []
    assert checked.compiled is not None
    return checked.compiled.snapshot


def decided(snapshot: Snapshot, body: dict[str, Any] | None = None, **fields: Any) -> Plan | Failure:
    """Return the decision on a chat. `fields` are those of a `Question`."""
    whole = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}], **(body or {})}
    question = Question(body=json.dumps(whole).encode(), **{"at": NOON, **fields})
    return answer(question, snapshot, NothingUsed(), 1000.0, NOON).decision


def route(decision: Plan | Failure) -> list[str]:
    """Return the targets of a decision in their order, or the code of its failure."""
    if isinstance(decision, Failure):
        return [decision.kind.code]
    return [choice.candidate.id for choice in decision.choices]


def keys_used(decision: Plan | Failure) -> set[str]:
    """Return the provider keys that the attempts of a request may use, as `provider:key`."""
    assert isinstance(decision, Plan), decision
    return {f"{choice.candidate.endpoint.name}:{key.name}" for choice in decision.choices for key in choice.keys}
