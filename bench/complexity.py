"""Measures the accuracy of the fact `complexity` on labelled prompts, beside the best rule on prompt length alone.

    python -m bench.complexity FILE.jsonl --json docs/measurements/complexity.json

A line of the file has the `messages` of a chat completion and their `label`: simple, medium or complex. The rule on
length has two thresholds and a label for each of the three ranges. It is the best such rule for this file, found with
its labels, so that no other rule on length can do better. The figures are stored under the name of the file.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from time import process_time

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import Call, RequestHead
from pointsman.domain.snapshots import Snapshot
from pointsman.wire.complexity import LEVELS, Complexity, complexity

Figures = dict[str, object]


class Labelled(Struct):
    """A prompt with its label. `messages` are those of a chat completion."""

    messages: Raw
    label: Complexity

    @property
    def chars(self) -> int:
        messages: list[dict[str, str]] = json.loads(bytes(self.messages))
        return sum(len(one["content"]) for one in messages)

    def call(self) -> Call:
        """Return the chat completion with this prompt."""
        fields = {"messages": self.messages}
        return Call(operation="chat", head=RequestHead(), snapshot=_SNAPSHOT, model="m", fields=fields)


_SNAPSHOT = Snapshot(digest="bench", endpoints={}, models={}, virtual_keys={})
_LABELLED = msgspec.json.Decoder(Labelled)


def read(path: Path) -> list[Labelled]:
    """Return the prompts of a file."""
    return [_LABELLED.decode(line) for line in path.read_bytes().splitlines() if line.strip()]


def accuracy(labels: Sequence[str], judged: Sequence[str]) -> Figures:
    """Return the share of right judgements in percent, and for each label how often each level was judged."""
    pairs = Counter(zip(labels, judged, strict=True))
    right = sum(count for (label, level), count in pairs.items() if label == level)
    confusion = {label: {level: pairs[label, level] for level in LEVELS} for label in LEVELS}
    return {"accuracy_percent": round(100 * right / len(labels), 1), "confusion": confusion}


def by_length(prompts: Sequence[Labelled]) -> float:
    """Return the accuracy in percent of the best rule with two thresholds on the length of the prompt."""
    ordered = sorted((prompt.chars, prompt.label) for prompt in prompts)
    before = [Counter[str]()]
    for _, label in ordered:
        before.append(before[-1] + Counter([label]))
    cuts = [at for at in range(len(ordered) + 1) if at in (0, len(ordered)) or ordered[at - 1][0] < ordered[at][0]]

    def most(start: int, end: int) -> int:
        return max(before[end][label] - before[start][label] for label in LEVELS)

    last = {low: max(most(low, high) + most(high, len(ordered)) for high in cuts if high >= low) for low in cuts}
    return round(100 * max(most(0, low) + found for low, found in last.items()) / len(ordered), 1)


def measure(prompts: Sequence[Labelled]) -> Figures:
    """Return the accuracy on some prompts, that of length, and the time of a judgement."""
    calls = [prompt.call() for prompt in prompts]
    complexity(calls[0])
    began_at = process_time()
    judged = [complexity(call) for call in calls]
    spent_us = (process_time() - began_at) / len(calls) * 1e6
    figures = accuracy([prompt.label for prompt in prompts], judged)
    return {
        "prompts": len(prompts),
        **figures,
        "length_alone_percent": by_length(prompts),
        "microseconds": round(spent_us, 1),
    }


def shown(name: str, figures: Figures) -> str:
    """Return the figures as text."""
    lines = [name, *(f"  {key}: {value}" for key, value in figures.items() if key != "confusion")]
    confusion = figures["confusion"]
    assert isinstance(confusion, dict)
    lines += ["  " + " " * 16 + "".join(f"{level:>9}" for level in LEVELS)]
    lines += [
        f"  labelled {label:<8}" + "".join(f"{row[level]:9d}" for level in LEVELS) for label, row in confusion.items()
    ]
    return "\n".join(lines)


def store(path: Path, name: str, figures: Figures) -> None:
    """Put the figures under a name into a file of figures, beside others."""
    stored = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(stored | {name: figures}, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", type=Path, help="the file of figures to add to")
    options = parser.parse_args()
    figures = measure(read(options.file))
    print(shown(options.file.stem, figures))
    if options.json:
        store(options.json, options.file.stem, figures)


if __name__ == "__main__":
    main()
