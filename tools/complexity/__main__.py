"""Fits the weights of the fact `complexity`, and measures them by cross-validation.

    python -m tools.complexity DEVELOPMENT.jsonl --json docs/measurements/complexity.json

The examples are the labelled prompts of the file, in the format of `bench.complexity`, and those in `examples.tsv`. In
the latter, {M} and {C} stand for a letter and a program. Each of ten parts of the file is judged by weights fitted to
all other examples (`cross_validation`), and all of it by weights fitted to `examples.tsv` alone
(`other_examples_alone`). No fold can undo that the lists of words were written with the file at hand.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

from bench.complexity import Figures, Labelled, accuracy, by_length, read, shown, store
from msgspec import Raw

from pointsman.wire import complexity_weights
from pointsman.wire.complexity import Complexity, features
from pointsman.wire.last_question import last_question
from tools.complexity.fit import Example, Weights, fit, predict

FOLDS = 10
_FOLDER = Path(__file__).parent
_MATERIAL = {"{M}": "letter.txt", "{C}": "program.txt"}
_HEAD = '''"""The weights of the fact `complexity`: of each feature for simple, medium and complex.

`tools.complexity` fits them and writes this file.
"""

WEIGHTS: dict[str, tuple[float, float, float]] = {
'''


def own_examples() -> list[Labelled]:
    """Return the examples of `examples.tsv`."""
    found = []
    for line in (_FOLDER / "examples.tsv").read_text().splitlines():
        label, text = line.split("\t")
        for mark, name in _MATERIAL.items():
            text = text.replace(mark, "\n\n" + (_FOLDER / name).read_text() + "\n\n")
        messages = json.dumps([{"role": "user", "content": text.strip()}]).encode()
        found.append(Labelled(Raw(messages), _level(label)))
    return found


def _level(label: str) -> Complexity:
    match label:
        case "simple" | "medium" | "complex":
            return label
    raise ValueError(f"unknown label {label!r}; use simple, medium or complex")


def example(prompt: Labelled) -> Example:
    """Return the features of a prompt with its label."""
    question = last_question(prompt.call())
    assert question is not None, prompt
    return features(question), prompt.label


def cross_validated(examples: Sequence[Example], others: Sequence[Example]) -> Figures:
    """Return the accuracy on the examples, each part of them judged by weights fitted without it."""
    order = list(range(len(examples)))
    Random(1).shuffle(order)
    judged: dict[int, str] = {}
    for fold in range(FOLDS):
        held = set(order[fold::FOLDS])
        weights = fit([*others, *(one for at, one in enumerate(examples) if at not in held)])
        judged |= {at: predict(weights, examples[at][0]) for at in held}
    return accuracy([label for _, label in examples], [judged[at] for at in range(len(examples))])


def write(weights: Weights) -> None:
    """Write the module with the weights."""
    lines = [f'    "{name}": ({", ".join(map(str, found))}),\n' for name, found in weights.items()]
    Path(complexity_weights.__file__).write_text(_HEAD + "".join(lines) + "}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the weights of the fact `complexity`.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", type=Path, help="the file of figures to add to")
    options = parser.parse_args()
    prompts = read(options.file)
    examples, others = list(map(example, prompts)), list(map(example, own_examples()))
    alone = fit(others)
    labels = [label for _, label in examples]
    size: Figures = {"prompts": len(examples)}
    length: Figures = {"length_alone_percent": by_length(prompts)}
    results = {
        "cross_validation": size | cross_validated(examples, others) | length,
        "other_examples_alone": size | accuracy(labels, [predict(alone, one) for one, _ in examples]) | length,
    }
    for name, figures in results.items():
        print(shown(name, figures))
        if options.json:
            store(options.json, name, figures)
    write(fit([*examples, *others]))


if __name__ == "__main__":
    main()
