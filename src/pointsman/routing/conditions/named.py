"""References by themselves, as `logging.facts` lists them: `headers.x-tier`, `params["temperature"]` or `team`."""

from difflib import get_close_matches

from pointsman.domain.rules import Value
from pointsman.routing.conditions.facts import FACTS, MAPS, Read, Reference, Sources, read_of
from pointsman.routing.conditions.references import ConditionError, rewrite

_VARIABLE = "fact"


def reference_named(text: str) -> Reference:
    """Return the reference that a text names. It is written as in a condition. The key of a map may also follow a dot,
    and then have any characters. Raises `ConditionError`."""
    text = text.strip()
    for name, kind in MAPS.items():
        key = text.removeprefix(f"{name}.")
        if key and key != text and '"' not in key and "'" not in key:
            problem = kind.check(key) if kind.check is not None else None
            if problem is not None:
                raise ConditionError(problem)
            return Reference(name, key.lower() if name == "headers" else key, kind.kind or "text")
    found = rewrite(text, lambda _: _VARIABLE, "")
    if found.text != _VARIABLE or not found.references:
        names = (*FACTS, *MAPS)
        near = get_close_matches(text.partition("[")[0].partition(".")[0], names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the facts are {', '.join(names)}"
        raise ConditionError(f"{text!r} is not a fact; {hint}")
    return found.references[0]


def logged_read_of(reference: Reference) -> Read:
    """Return the function that reads a value for the log. No condition says what type a parameter should have, so it
    keeps its own; an absent one is an empty text."""
    kind = MAPS.get(reference.fact)
    if kind is None or kind.kind is not None or reference.is_presence:
        return read_of(reference)
    read = kind.bind(reference.key)

    def read_any(at: Sources) -> Value | None:
        value = read(at)
        return "" if value is None else value

    return read_any
