"""Writes the explanations of the golden files anew: `python -m tests.golden.explanations` (see CONTRIBUTING.md).

A golden file has a configuration, and requests with the text that `pointsman explain` prints for each. Its parts begin
with lines such as `=== request: the first target has failed`. A request is an `engine.questions.Question` in YAML, but
its `body` is a mapping, and `words` is the length of its prompt. The time is 2026-11-29 22:30 in UTC, a Sunday, and
nothing is used unless the request says so.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from pointsman.config.compile import compile_document
from pointsman.config.load import load
from pointsman.domain.snapshots import Snapshot
from pointsman.engine.questions import NothingUsed, Question, answer
from pointsman.routing.explain import as_lines

FOLDER = Path(__file__).parent
AT = 1_795_991_400.0
_PART = re.compile(r"^=== (configuration|request|explanation)(?:: (.*))?\n", re.MULTILINE)
_WORDS = (
    *("the", "a", "of", "to", "in", "and", "on", "for", "with", "by", "is", "was", "are", "it", "this", "that"),
    *("signal", "train", "point", "line", "track", "driver", "station", "platform", "early", "late", "green", "red"),
    *("bell", "lever", "wagon", "freight", "carriage", "bridge", "tunnel", "valley", "river", "morning", "evening"),
    *("timetable", "clerk", "ticket", "journey", "engine", "whistle", "steam", "coal", "water", "tender", "brake"),
    *("wheel", "axle", "rail", "sleeper", "switch", "crossing", "gate", "keeper"),
)
_MESSAGES = [{"role": "user", "content": "Say something"}]


def files() -> list[Path]:
    return sorted(FOLDER.glob("*.txt"))


def with_explanations(text: str) -> str:
    """Return the text of a golden file with the explanations of the present code."""
    parts = _PART.split(text)
    written, snapshot, request = parts[0], None, ""
    for kind, title, content in zip(*[iter(parts[1:])] * 3, strict=True):
        found = content
        if kind == "configuration":
            snapshot = _snapshot(content)
        elif kind == "request":
            request = content
        else:
            assert snapshot is not None
            found = "\n".join(_explained(request, snapshot)) + "\n\n"
        written += f"=== {kind}{f': {title}' if title else ''}\n{found}"
    return written.rstrip("\n") + "\n"


def _snapshot(text: str) -> Snapshot:
    """Compile a configuration without its secrets."""
    checked = compile_document(load(text.encode()), FOLDER, {}, reads_secrets=False)
    assert checked.compiled is not None, [str(problem) for problem in checked.problems]
    return checked.compiled.snapshot


def _explained(request: str, snapshot: Snapshot) -> Iterator[str]:
    asked: dict[str, Any] = yaml.safe_load(request) or {}
    body = {"model": "chat", "messages": _MESSAGES, **asked.pop("body", {})}
    words = asked.pop("words", 0)
    if words:
        body["messages"] = [{"role": "user", "content": _prompt(words)}]
    question = msgspec.convert({"at": AT, **asked}, Question)
    question.body = json.dumps(body).encode()
    found = answer(question, snapshot, NothingUsed(), 1000.0, AT)
    yield from (line.rstrip() for line in as_lines(found.decision, 1000.0, found.consulted))


def _prompt(words: int) -> str:
    """Return a text of so many words. It varies, since repeated text counts as its bytes."""
    return " ".join(_WORDS[(number * number + number // 7) % len(_WORDS)] for number in range(words))


def main() -> int:
    for path in files():
        before = path.read_text()
        after = with_explanations(before)
        if after != before:
            path.write_text(after)
            print(f"wrote {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
