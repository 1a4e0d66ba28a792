"""The texts of alerts."""

from collections.abc import Mapping

from msgspec import Struct

from pointsman.alerting.api import Check, Fact, values_of


def default_text(each: str, when: str, labels: tuple[str, ...]) -> str:
    """Return the text of an alert whose rule is a condition alone."""
    names = ", ".join(f"{name} {{{name}}}" for name in labels)
    escaped = " ".join(when.split()).replace("{", "{{").replace("}", "}}")
    return f"{names or each}: {escaped}"


def described(check: Check, row: Struct) -> str:
    """Return the text of an alert about a row."""
    return check.text.format_map({name: _plain(value) for name, value in values_of(row).items()})


def rounded(values: Mapping[str, Fact]) -> dict[str, Fact]:
    """Return facts with at most six significant digits."""
    return {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in values.items()}


def _plain(value: Fact) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}".rstrip("0").rstrip(".")
