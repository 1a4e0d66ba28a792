"""Lists of names in messages."""

from collections.abc import Iterable, Sequence


def listed(names: Iterable[str], limit: int = 12) -> str:
    """Return the first of the names and the number of the others, or `none`."""
    ordered = sorted(names)
    more = f" and {len(ordered) - limit} more" if len(ordered) > limit else ""
    return (", ".join(ordered[:limit]) + more) or "none"


def either(names: Sequence[str]) -> str:
    """Return names in quotes as a choice, such as `'a', 'b' or 'c'`."""
    quoted = [f"{name!r}" for name in names]
    return " or ".join((", ".join(quoted[:-1]), quoted[-1])) if len(quoted) > 1 else "".join(quoted)
