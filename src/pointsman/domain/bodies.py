"""The bodies of requests and answers that the gateway keeps, if the configuration says so."""

from collections.abc import Collection

from msgspec import Struct

from pointsman.domain.identity import VirtualKey

KEEP_DAYS = 7.0
FOLDER = "bodies"  # in the data folder: bodies on their way from workers to control


class Redaction(Struct, frozen=True, kw_only=True):
    """The data to mask in records and bodies: kinds of `telemetry.masking`, patterns by name, and names of fields."""

    kinds: tuple[str, ...] = ()
    patterns: tuple[tuple[str, str], ...] = ()
    fields: tuple[str, ...] = ()


class BodyScope(Struct, frozen=True, kw_only=True):
    """Requests by their owners. Each set that is not empty must have the owner of a request."""

    virtual_keys: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()
    customers: frozenset[str] = frozenset()

    def has(self, key: VirtualKey | None) -> bool:
        """Return whether the requests of this key are in the scope."""
        name, team, customer = (key.name, key.team, key.customer) if key is not None else (None, None, None)
        return (
            (not self.virtual_keys or name in self.virtual_keys)
            and (not self.teams or team in self.teams)
            and (not self.customers or customer in self.customers)
        )


class BodyCapture(Struct, frozen=True, kw_only=True):
    """The requests whose bodies are kept: those in one of the `scopes`, and those that one of the `rules` matched. At
    most `max_bytes` of each body are kept, after it was masked by `redaction`."""

    scopes: tuple[BodyScope, ...] = ()
    rules: frozenset[str] = frozenset()
    max_bytes: int
    redaction: Redaction = Redaction()

    def may_keep(self, key: VirtualKey | None) -> bool:
        """Return whether the bodies of a request of this key may be kept, before its rules are known."""
        return bool(self.rules) or any(scope.has(key) for scope in self.scopes)

    def keeps(self, key: VirtualKey | None, matched: Collection[str]) -> bool:
        """Return whether the bodies of a request are kept, by its key and the rules that matched it."""
        return not self.rules.isdisjoint(matched) or any(scope.has(key) for scope in self.scopes)


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
