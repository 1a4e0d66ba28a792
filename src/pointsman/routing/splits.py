"""Stable splits: a value, such as the id of a session, always falls on the same side while the percentages stand.

A split is salted by a name, so that the place of a value in one split says nothing about its place in another. The hash
is BLAKE2b. It gives the same result in every process, on every machine and in every version of Python.
"""

from functools import lru_cache
from hashlib import blake2b

_BYTES = 8
_UNUSED_BITS = 11  # of 64: a float keeps 53 bits exactly
_UNIT = 2.0**-53

Salted = blake2b


@lru_cache(maxsize=4096)  # of names in a configuration
def salted(salt: str) -> Salted:
    """Return the beginning of the hashes of a split. Nobody may update it."""
    return blake2b(f"{salt}\0".encode("utf-8", "surrogatepass"), digest_size=_BYTES)


def hashed(beginning: Salted, value: str) -> int:
    """Return the hash of a value in a split, a number of 64 bits."""
    whole = beginning.copy()
    whole.update(value.encode("utf-8", "surrogatepass"))
    return int.from_bytes(whole.digest(), "big")


def fraction(salt: str, value: str) -> float:
    """Return the place of a value in a split, in [0, 1)."""
    return (hashed(salted(salt), value) >> _UNUSED_BITS) * _UNIT


def is_within(percent: float, salt: str, value: str) -> bool:
    """Return whether a value belongs to the first `percent` of a split. A larger percentage keeps all values of a
    smaller one. An empty value belongs to no part, except to the whole of 100 percent."""
    if percent >= 100:
        return True
    return value != "" and fraction(salt, value) * 100 < percent
