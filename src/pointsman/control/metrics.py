"""The metrics of all workers as one page: equal series are summed up."""

from collections.abc import Iterable


def merge(pages: Iterable[Iterable[str]]) -> list[str]:
    """Lines in the text format of Prometheus, each series once. Comments come before the first of their series."""
    comments: dict[str, None] = {}
    families: dict[str, dict[str, float]] = {}
    helps: dict[str, list[str]] = {}
    for page in pages:
        family = ""
        for line in page:
            if line.startswith("#"):
                family = line.split(" ", 3)[2]
                if line not in comments:
                    comments[line] = None
                    helps.setdefault(family, []).append(line)
                continue
            name, _, value = line.rpartition(" ")
            series = families.setdefault(family, {})
            series[name] = series.get(name, 0.0) + float(value)
    return [
        line
        for family in {**dict.fromkeys(helps), **dict.fromkeys(families)}
        for line in (
            *helps.get(family, ()),
            *(f"{name} {value:.12g}" for name, value in families.get(family, {}).items()),
        )
    ]
