"""The tools that fit and measure the fact `complexity`."""

import json
from pathlib import Path

from bench.complexity import Labelled, by_length, measure, read, shown, store
from msgspec import Raw
from tools.complexity.__main__ import example, own_examples
from tools.complexity.fit import fit, predict

from pointsman.wire.complexity import LEVELS
from pointsman.wire.complexity_weights import WEIGHTS

SIZES = {"simple": (1, 2, 9), "medium": (10, 11, 12), "complex": (3, 4, 30)}


def labelled(level: str, chars: int) -> str:
    return json.dumps({"messages": [{"role": "user", "content": "x" * chars}], "label": level})


def test_best_rule_on_length_has_two_thresholds(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text("\n".join(labelled(level, size) for level, sizes in SIZES.items() for size in sizes))
    prompts = read(file)
    assert by_length(prompts) == round(100 * 7 / 9, 1)  # simple to 2, complex to 4, then medium
    assert by_length([Labelled(Raw(b'[{"content":"x"}]'), level) for level in LEVELS]) == round(100 / 3, 1)


def test_stored_weights_fit_the_examples(tmp_path: Path) -> None:
    figures = measure(own_examples())
    accuracy = figures["accuracy_percent"]
    assert isinstance(accuracy, float)
    assert accuracy > 85
    assert "labelled simple" in shown("examples", figures)
    store(tmp_path / "figures.json", "examples", figures)
    store(tmp_path / "figures.json", "others", figures)
    assert set(json.loads((tmp_path / "figures.json").read_text())) == {"examples", "others"}


def test_fit_separates_clear_examples() -> None:
    examples = [example(one) for one in own_examples()[::30]]
    weights = fit(examples)
    assert set(weights) <= set(WEIGHTS)
    assert [predict(weights, features) for features, _ in examples] == [label for _, label in examples]
