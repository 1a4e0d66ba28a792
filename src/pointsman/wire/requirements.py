"""The request header `x-pointsman-require`, by which a client narrows the choice of providers.

    x-pointsman-require: region=eu|uk, certifications=hipaa+soc2

Requirements are separated by commas or semicolons. `|` stands between values of which one is required, and `+` between
values that are all required. The header adds requirements and removes none.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from pointsman.domain.requirements import NO_REQUIREMENTS, Requirement, Requirements
from pointsman.wire.json_object import rejection

HEADER = "x-pointsman-require"
MAX_CHARS = 1024
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_VALUE = r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}"
_REQUIREMENT = re.compile(rf"({_NAME})\s*=\s*({_VALUE}(?:\s*(?:(?:\|\s*{_VALUE}\s*)+|(?:\+\s*{_VALUE}\s*)+))?)")
_BETWEEN = re.compile(r"[,;]")


def read_require(text: str) -> Requirements:
    """Return the requirements of the header. Raises `Rejection`: a header that cannot be read must not be ignored."""
    if len(text) > MAX_CHARS:
        raise rejection(f"the header {HEADER} must have at most {MAX_CHARS} characters", HEADER)
    return _parse(text)


def stated_in(recorded: Mapping[str, str]) -> Requirements:
    """Return those requirements of a record that the header stated. Their texts have its form."""
    stated = [text for text, origin in recorded.items() if origin.endswith(HEADER)]
    return read_require(", ".join(stated)) if stated else NO_REQUIREMENTS


@lru_cache(maxsize=256)  # of texts without any secret
def _parse(text: str) -> Requirements:
    found: dict[Requirement, None] = {}
    for part in _BETWEEN.split(text):
        match = _REQUIREMENT.fullmatch(part.strip())
        if match is None:
            raise rejection(
                f"the header {HEADER} must have the form `region=eu|uk, certifications=hipaa+soc2`: "
                "`|` between values of which one is required, `+` between values that are all required",
                HEADER,
            )
        needs_all = "+" in match[2]
        values = tuple(value.strip() for value in match[2].split("+" if needs_all else "|"))
        found[Requirement(match[1], values, needs_all, f"the header {HEADER}")] = None
    return tuple(found)
