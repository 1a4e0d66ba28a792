"""A linear model of the levels of complexity: multinomial logistic regression, fitted by gradient descent."""

from collections.abc import Mapping, Sequence
from math import exp

from pointsman.wire.complexity import LEVELS, Complexity

PENALTY = 0.015  # on the square of each weight
STEP, MOMENTUM, STEPS = 0.1, 0.9, 300

Features = Mapping[str, float]
Weights = dict[str, list[float]]
Example = tuple[Features, Complexity]


def fit(examples: Sequence[Example]) -> Weights:
    """Return the weights of each feature for each level. The result depends on nothing but the examples."""
    names = sorted({name for features, _ in examples for name in features})
    weights = {name: [0.0] * len(LEVELS) for name in names}
    speeds = {name: [0.0] * len(LEVELS) for name in names}
    rows = [(list(features.items()), LEVELS.index(label)) for features, label in examples]
    for _ in range(STEPS):
        slopes = {name: [0.0 if name == "bias" else PENALTY * one for one in weights[name]] for name in names}
        for features, label in rows:
            errors = [share / len(rows) for share in _shares(weights, features)]
            errors[label] -= 1 / len(rows)
            for name, value in features:
                slope = slopes[name]
                for level, error in enumerate(errors):
                    slope[level] += error * value
        for name in names:
            for level, slope_of_level in enumerate(slopes[name]):
                speeds[name][level] = MOMENTUM * speeds[name][level] + slope_of_level
                weights[name][level] -= STEP * speeds[name][level]
    return {name: [round(one, 2) for one in weights[name]] for name in names}


def predict(weights: Weights, features: Features) -> Complexity:
    """Return the most likely level."""
    shares = _shares(weights, list(features.items()))
    return LEVELS[shares.index(max(shares))]


def _shares(weights: Weights, features: Sequence[tuple[str, float]]) -> list[float]:
    scores = [0.0] * len(LEVELS)
    for name, value in features:
        for level, weight in enumerate(weights.get(name, ())):
            scores[level] += value * weight
    most = max(scores)
    raised = [exp(score - most) for score in scores]
    return [one / sum(raised) for one in raised]
