"""Request ids: UUIDs of version 7, which sort by time. RFC 9562, section 5.7."""

from random import Random

_VERSION = 7 << 76
_VARIANT = 2 << 62
_LOW = (1 << 62) - 1


def request_id(now_unix_s: float, rng: Random) -> str:
    """A new id. 74 of its bits are random; an attempt's id is this, a dash and the ordinal of the attempt."""
    dice = rng.getrandbits(74)
    number = int(now_unix_s * 1000) << 80 | _VERSION | (dice >> 62) << 64 | _VARIANT | dice & _LOW
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
