"""The bodies of requests and answers that the gateway keeps, if the configuration says so."""

from collections.abc import Collection

from msgspec import Struct

KEEP_DAYS = 7.0
FOLDER = "bodies"  # in the data folder: bodies on their way from workers to control


class Redaction(Struct, frozen=True, kw_only=True):
    """The data to mask in records and bodies: kinds of `telemetry.masking`, patterns by name, and names of fields."""

    kinds: tuple[str, ...] = ()
    patterns: tuple[tuple[str, str], ...] = ()
    fields: tuple[str, ...] = ()


class BodyCapture(Struct, frozen=True, kw_only=True):
    """The requests whose bodies are kept: those of `virtual_keys`, those that one of the `rules` matched, or all. At
    most `max_bytes` of each body are kept, after it was masked by `redaction`."""

    is_for_all: bool = False
    virtual_keys: frozenset[str] = frozenset()
    rules: frozenset[str] = frozenset()
    max_bytes: int
    redaction: Redaction = Redaction()

    def may_keep(self, virtual_key: str | None) -> bool:
        """Return whether the bodies of a request of this key may be kept, before its rules are known."""
        return self.is_for_all or bool(self.rules) or virtual_key in self.virtual_keys

    def keeps(self, virtual_key: str | None, matched: Collection[str]) -> bool:
        """Return whether the bodies of a request are kept, by its key and the rules that matched it."""
        return self.is_for_all or virtual_key in self.virtual_keys or not self.rules.isdisjoint(matched)


class KeptBodies(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The masked bodies of one request. `at` is the end of the request in Unix seconds. `answer` is the text of a
    stream with its tool calls in JSON, or else the body. The sizes are those of the bodies in bytes. `cut` lists those
    of `request` and `answer` of which only the beginning is kept, and `unread` those that could not be kept: a body
    that was passed on in pieces, or a stream without a readable text."""

    request_id: str
    at: float
    request: str = ""
    answer: str = ""
    request_bytes: int = 0
    answer_bytes: int = 0
    cut: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
