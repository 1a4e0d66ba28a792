"""Every ordered pair of dialects, and the changes of each by translation: probed feature by feature.

A probe is one request, or one answer, with one feature. The changes that the probes find are those that the reference
page of the dialects lists, and the only ones that the properties of the dialects allow.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from msgspec import Raw

from fakes.answered import answer_differences, answer_features
from fakes.requested import FEATURES, Feature, differences, plain, reasoning_of
from pointsman.domain.calls import Call, RequestHead
from pointsman.domain.conversations import Conversation, Written
from pointsman.domain.pieces import Piece
from pointsman.domain.snapshots import NO_SNAPSHOT
from pointsman.wire import PATHS
from pointsman.wire.dialect import Dialect
from pointsman.wire.dialects import CONVERSATIONS
from pointsman.wire.json_object import encode_object
from pointsman.wire.paths import ParsedHead
from pointsman.wire.sse import event_data, split_events
from pointsman.wire.translation import Halves, translate

PAIRS = [(client, provider) for client in CONVERSATIONS for provider in CONVERSATIONS if client is not provider]
# Signatures in the form in which the reader of a dialect makes them. Any text will do in the others.
SIGNATURES = {"openai": "text:some-v1::proof", "gemini": "thought::cHJvb2Y="}
HIDDEN = {"openai": "encrypted:some-v1::proof"}

Changes = dict[str, tuple[object, object]]


def halves(dialect: Dialect) -> Halves:
    assert dialect.halves is not None
    return dialect.halves


@cache
def origin_of(dialect: Dialect) -> str:
    """Return the name under which a dialect signs reasoning, which its reader gives to conversations."""
    body: dict[str, Raw] = halves(dialect).write_request(plain("another"), False).fields
    return halves(dialect).read_request(call_of(dialect, body)).origin


def call_of(dialect: Dialect, fields: dict[str, Raw], *, streamed: bool = False) -> Call:
    """Parse the fields of a body as the request of a client of this dialect. `streamed` counts in dialects whose paths
    say it."""
    api = next(api for api in PATHS if api.path == dialect.path and "POST" in api.methods)
    head = RequestHead(
        method="POST",
        path=dialect.path,
        dialect=dialect.name,
        model="m",
        streams=streamed,
        content_type="application/json",
    )
    assert api.parse is not None
    return api.parse(ParsedHead(api, head, NO_SNAPSHOT), encode_object({"model": Raw(b'"m"'), **fields}))


def sent(dialect: Dialect, conversation: Conversation, *, streamed: bool = False) -> Call | None:
    """Return the call of a client, or `None` if its dialect cannot express the conversation."""
    written = halves(dialect).write_request(conversation, streamed)
    return None if written.cannot else call_of(dialect, written.fields, streamed=streamed)


def streamed(dialect: Dialect, call: Call, pieces: Sequence[Piece]) -> list[Piece]:
    """Write an answer as a stream of events, and read it again."""
    stream, reader = halves(dialect).writer(call, 1e9).write(pieces), halves(dialect).reader()
    found: list[Piece] = []
    for event in split_events(stream):
        found += reader.read(event_data(event) or b"", event)
    return found


def whole(dialect: Dialect, call: Call, pieces: Sequence[Piece]) -> list[Piece]:
    """Write a whole answer, and read it again."""
    return list(halves(dialect).read_answer(halves(dialect).write_answer(call, 1e9, pieces)))


def features_of(dialect: Dialect) -> list[Feature]:
    """Return the features that a client of this dialect can express, with reasoning of every author."""
    return [feature for feature in all_features() if _is_expressed(dialect, feature)]


@cache
def all_features() -> tuple[Feature, ...]:
    found = list(FEATURES)
    for dialect in CONVERSATIONS:
        shown, _ = reasoning_of(origin_of(dialect), SIGNATURES.get(dialect.name, "proof"))
        _, hidden = reasoning_of(origin_of(dialect), HIDDEN.get(dialect.name, "proof"))
        found += [shown, hidden]
    return tuple(found)


def example(dialect: Dialect, feature: Feature) -> Conversation:
    """Return a conversation of a client of this dialect with the example of one feature."""
    return feature.apply(plain(origin_of(dialect)), feature.example, 0)


@cache
def _is_expressed(dialect: Dialect, feature: Feature) -> bool:
    """Return whether the feature is still there if it is written and read again."""
    conversation = example(dialect, feature)
    call = sent(dialect, conversation)
    if call is None:
        return False
    base = plain(origin_of(dialect))
    added = differences(base, conversation)
    found = differences(base, halves(dialect).read_request(call))
    return bool(added) and all(name in found for name in added)


@cache
def own_changes(dialect: Dialect) -> dict[str, Changes]:
    """Return the facts of each feature that are not read as they were written."""
    found = {}
    for feature in all_features():
        conversation = example(dialect, feature)
        call = sent(dialect, conversation)
        if call is not None:
            found[feature.name] = differences(conversation, halves(dialect).read_request(call))
    return found


@cache
def own_answer_changes(dialect: Dialect) -> frozenset[str]:
    """Return the facts of answers that a dialect does not show, by any feature of an answer of its own."""
    found: set[str] = set()
    for pieces in answer_features(origin_of(dialect), SIGNATURES.get(dialect.name, "proof")).values():
        found |= set(answer_differences(pieces, whole(dialect, plain_call(dialect, streamed=False), pieces)))
    return frozenset(found)


@dataclass
class Pair:
    """The results of the probes of one pair, by feature. A feature without an entry is translated as it is."""

    cannot: dict[str, tuple[str, ...]] = field(default_factory=dict)
    dropped: dict[str, tuple[str, ...]] = field(default_factory=dict)
    changed: dict[str, Changes] = field(default_factory=dict)
    answers: dict[str, Changes] = field(default_factory=dict)

    @property
    def allowed(self) -> frozenset[str]:
        """Return the facts of a request that any feature changes."""
        return frozenset(name for changes in self.changed.values() for name in changes)

    @property
    def allowed_in_answers(self) -> frozenset[str]:
        return frozenset(name for changes in self.answers.values() for name in changes)


def translated(client: Dialect, provider: Dialect, call: Call) -> tuple[Written, Conversation | None]:
    """Translate a call. Return it as the provider's dialect writes it, and as it reads it again if it is expressed."""
    written = translate(halves(client), halves(provider), call, reasons=True)
    if written.cannot:
        return written, None
    return written, halves(provider).read_request(call_of(provider, written.fields))


@cache
def probed(client: Dialect, provider: Dialect) -> Pair:
    """Return the results of all probes of a pair."""
    found = Pair()
    for feature in features_of(client):
        call = sent(client, example(client, feature))
        assert call is not None
        read = halves(client).read_request(call)
        written, again = translated(client, provider, call)
        if again is None:
            found.cannot[feature.name] = written.cannot
            continue
        if written.dropped:
            found.dropped[feature.name] = written.dropped
        changes = differences(read, again)
        if changes:
            found.changed[feature.name] = changes
    for name, pieces in answer_features(origin_of(provider), SIGNATURES.get(provider.name, "proof")).items():
        changes = answer_changes(client, provider, pieces)
        if changes:
            found.answers[name] = changes
    return found


@cache
def plain_call(dialect: Dialect, *, streamed: bool) -> Call:
    """Return a call of a client of this dialect without any feature."""
    call = sent(dialect, plain(origin_of(dialect)), streamed=streamed)
    assert call is not None
    return call


def answer_changes(client: Dialect, provider: Dialect, pieces: Sequence[Piece]) -> Changes:
    """Return the changes of an answer between its provider and a client of another dialect. A feature that the
    provider's dialect does not have is left out before."""
    given = whole(provider, plain_call(provider, streamed=False), pieces)
    return answer_differences(given, whole(client, plain_call(client, streamed=False), given))
