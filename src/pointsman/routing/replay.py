"""Replays recorded requests under other rules: would they have gone elsewhere?

The production code evaluates the rules and finds the candidates. A record has only some of the facts of its request:
those of its own columns, and those that the log keeps. If a rule needs another one, both results are followed. If these
lead to different destinations, the request is undecidable.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Literal, cast, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts, RequestHead
from pointsman.domain.failures import Failure
from pointsman.domain.identity import VirtualKey, key_named
from pointsman.domain.operations import Operation
from pointsman.domain.records import RequestRecord
from pointsman.domain.rules import MAX_SHOWN, Rule, Value
from pointsman.domain.snapshots import Snapshot
from pointsman.routing.conditions.facts import ABSENT, Reference, Sources, read_of
from pointsman.routing.decide import PINNED, directed, nothing_left
from pointsman.routing.router import router_of
from pointsman.routing.rulebook import MAX_CHAIN, RuleBook, changed_by
from pointsman.routing.view import View
from pointsman.wire.params import BOUNDS
from pointsman.wire.requirements import stated_in

MAX_OUTCOMES = 64  # followed for one request
_OPERATIONS = frozenset(get_args(Operation))
_BY_RULE = frozenset({failures.REFUSED_BY_RULE.code, failures.RULE_UNDECIDED.code})
_BY_TARGETS = frozenset({failures.NO_COMPLIANT_PROVIDER.code, failures.MODEL_NOT_ALLOWED.code})  # that a rule may set

# The facts that every record has, in its own columns.
_IN_COLUMNS = frozenset(
    {"model", "request_type", "stream", "client_ip", "key.name", "team", "customer", "request_tags", "key.labels"}
    | {"time.hour", "time.minute", "time.weekday"}
)
# The facts that can change with the parameters of the body, beside these themselves.
_OF_BODY = frozenset({"prompt_tokens", "has_tools", "has_images", "complexity", "price"})
_ABSENT_TEXTS = frozenset({"", "-1", "false"})  # of parameters, depending on the rule that read them

Fate = Literal["same", "elsewhere", "undecidable", "unrouted"]


class Replayed(Struct, frozen=True):
    """A request under other rules. `went_to` and `would_go_to` are `provider/model`, several of them separated by
    commas, or the code of a rejection. `rules` are those that would match. `missing` are the facts that were not
    stored, if the request is `undecidable`. It is `unrouted` if no rule was asked for its target: it was rejected for
    another reason, or the gateway answered it."""

    request_id: str
    at: float
    model: str
    fate: Fate
    went_to: str
    would_go_to: str = ""
    rules: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class _Destination(Struct, frozen=True):
    """The targets that are tried `first`, and those `after` them. `refusal` is the code of a rejection. With
    `keeps_fallbacks`, the fallbacks that the client names follow. `is_fixed` says that rules cannot route the
    request, since it names no model, or names a stored object."""

    first: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    refusal: str = ""
    keeps_fallbacks: bool = False
    is_fixed: bool = False

    def __str__(self) -> str:
        return self.refusal or ", ".join(self.first or self.after)


class _PossibleMatch(Struct, frozen=True):
    """The rules that match, in order. `undecided` says that the last evaluated one rejects requests it cannot
    judge."""

    matched: tuple[Rule, ...]
    undecided: bool = False


class Replay:
    """Replays records under the rules of a snapshot. `view` is any live state of it, since records do not depend on
    the present one."""

    def __init__(self, snapshot: Snapshot, view: View) -> None:
        self._snapshot = snapshot
        self._view = view
        self._book: RuleBook = router_of(snapshot).rulebook
        self._keys: dict[str, VirtualKey] = {}

    def of(self, record: RequestRecord) -> Replayed:
        """Return the fate of a request."""
        reached = _reached(record)
        found = Replayed(
            request_id=record.request_id,
            at=record.time,
            model=record.model or "",
            fate="unrouted",
            went_to=reached[-1] if reached else record.code or "",
        )
        is_refused = record.code in _BY_RULE or (record.code in _BY_TARGETS and bool(record.rule))
        if not reached and not is_refused:
            return found
        if record.operation not in _OPERATIONS:
            return found
        facts, missing = self._facts(record), dict[str, None]()
        outcomes = list(islice(self._outcomes(_Recorded(record, facts, self._view), (), missing), MAX_OUTCOMES + 1))
        is_fixed = not record.model or (record.source or "").startswith(PINNED)
        fates = [(one, self._destination(facts, one, is_fixed=is_fixed)) for one in outcomes]
        moved = {str(place) if not _stays(record, reached, place) else None for _, place in fates}
        if len(moved) > 1 or len(outcomes) > MAX_OUTCOMES:
            return replace(found, fate="undecidable", missing=tuple(missing))
        outcome, place = fates[0]
        fate: Fate = "same" if moved == {None} else "elsewhere"
        return replace(found, fate=fate, would_go_to=str(place), rules=tuple([rule.name for rule in outcome.matched]))

    def _facts(self, record: RequestRecord) -> Facts:
        """Return the facts that the record has in its columns."""
        head = RequestHead(
            method=record.method,
            path=record.path,
            dialect=record.dialect or "openai",
            provider=record.pinned,
            tags=record.tags,
            require=stated_in(record.require),
        )
        call = Call(
            operation=cast("Operation", record.operation),
            head=head,
            snapshot=self._snapshot,
            model=record.model or "",
            stream=record.stream,
        )
        return Facts(call, self._key(record), record.time - record.duration_us / 1e6, record.client)

    def _key(self, record: RequestRecord) -> VirtualKey | None:
        """Return the virtual key with the team, the customer and the labels that it had."""
        name = record.virtual_key
        if name is None:
            return None
        memo = repr((name, record.team, record.customer, record.labels))
        found = self._keys.get(memo)
        if found is None:
            own = key_named(self._snapshot.virtual_keys, name) or VirtualKey(name=name, digest=b"")
            found = replace(own, team=record.team, customer=record.customer, labels=record.labels)
            self._keys[memo] = found
        return found

    def _outcomes(
        self, at: "_Recorded", matched: tuple[Rule, ...], missing: dict[str, None]
    ) -> Iterator[_PossibleMatch]:
        """Yield the possible results of the rules, and collect the facts that their choice depends on."""
        for group in self._book.groups_for(at.facts.virtual_key):
            for found in group.results(at.value, matched):
                if found.fails and found.rule.refuses_unknown:
                    yield _PossibleMatch(matched, undecided=True)
                    return
                if found.holds is False:
                    continue
                now_matched = (*matched, found.rule)
                if found.rule.chain and len(now_matched) < MAX_CHAIN:
                    yield from self._outcomes(at.after(found.rule), now_matched, missing)
                else:
                    yield _PossibleMatch(now_matched)
                if found.holds:
                    return
                missing.update(dict.fromkeys(found.missing))
        yield _PossibleMatch(matched)

    def _destination(self, facts: Facts, outcome: _PossibleMatch, *, is_fixed: bool) -> _Destination:
        """Return where the production code sends a request that these rules match."""
        if outcome.undecided:
            return _Destination(refusal=failures.RULE_UNDECIDED.code)
        directive = self._book.directive(outcome.matched) if outcome.matched else None
        if directive is not None and directive.refusal is not None:
            return _Destination(refusal=failures.REFUSED_BY_RULE.code)
        if is_fixed:
            return _Destination(is_fixed=True)
        routed: Call | Failure = facts.call
        if directive is not None:
            changed = facts.call
            for rule in outcome.matched:
                changed = changed_by(changed, rule)
            routed = directed(facts, changed, directive, self._snapshot)
        if isinstance(routed, Failure):
            return _Destination(refusal=routed.kind.code)
        found = router_of(self._snapshot).candidates(replace(facts, call=routed), self._snapshot, directive)
        if isinstance(found, Failure):
            return _Destination(refusal=found.kind.code)
        targets, after = found.judge.usable
        if not targets and not after:
            return _Destination(refusal=nothing_left(routed.model, tuple(found.judge.static.values()), 0.0).kind.code)
        if found.strategy == "priority":
            targets, after = targets[:1], (*targets[1:], *after)
        elif any(item.weight for item in targets):
            after = (*after, *[item for item in targets if not item.weight])
            targets = tuple([item for item in targets if item.weight])
        return _Destination(
            tuple([item.id for item in targets]),
            tuple([item.id for item in after]),
            keeps_fallbacks=directive is None or (not directive.targets and directive.fallbacks is None),
        )


class _Recorded:
    """The values of facts of a recorded request. `changed` are parameters that rules of a chain have set or removed;
    a removed one is `None`."""

    def __init__(
        self,
        record: RequestRecord,
        facts: Facts,
        view: View,
        changed: Mapping[str, object] | None = None,
    ) -> None:
        self.facts = facts
        self._record = record
        self._view = view
        self._changed = changed or {}
        self._stored = {_folded(name): text for name, text in (record.rule_facts or {}).items()}

    def after(self, rule: Rule) -> "_Recorded":
        """Return the facts of the request that a rule has changed."""
        changed: dict[str, object] = {**self._changed, **dict.fromkeys(rule.dropped)}
        changed |= {name: msgspec.json.decode(value) for name, value in rule.settings.items()}
        if not changed.keys().isdisjoint(BOUNDS):
            most = next((changed[name] for name in (*rule.settings, *rule.dropped) if name in BOUNDS), None)
            changed |= dict.fromkeys(BOUNDS, most)
        facts = replace(self.facts, call=changed_by(self.facts.call, rule))
        return _Recorded(self._record, facts, self._view, changed)

    def value(self, reference: Reference) -> Value | None:
        """Return the value of a fact, or `None` if it was not stored."""
        fact, name = reference.fact, reference.key if reference.fact == "params" else reference.fact
        if self._changed:
            if name in self._changed and fact in ("params", "max_tokens", "user"):
                return _of_kind(self._changed[name], reference)
            if fact in _OF_BODY:
                return None
        if fact in _IN_COLUMNS:
            return read_of(reference)(Sources(self.facts, self._view, 0.0))
        text = self._stored.get(_folded(str(reference)))
        if text is not None:
            return _parsed(text, reference)
        if reference.is_presence:
            of_value = self._stored.get(_folded(f'{fact}["{reference.key}"]'))
            return True if of_value is not None and of_value not in _ABSENT_TEXTS else None
        return None


def _of_kind(value: object, reference: Reference) -> Value | None:
    """Return the value of a parameter that a rule has set or removed."""
    if reference.is_presence:
        return value is not None
    if value is None:
        return ABSENT[reference.kind]
    return _parsed(value if isinstance(value, str) else msgspec.json.encode(value).decode(), reference)


def _parsed(text: str, reference: Reference) -> Value | None:
    """Return the value of a text of the log."""
    kind, is_parameter = reference.kind, reference.fact == "params"
    if len(text) > MAX_SHOWN:  # it was cut off
        return None
    if kind == "text":
        return None if is_parameter and text in _ABSENT_TEXTS - {""} else text
    if is_parameter and text == "":
        return ABSENT[kind]
    if kind == "flag":
        return {"true": True, "false": False}.get(text)
    try:
        return int(text) if kind == "integer" else float(text)
    except ValueError:
        return None


def _folded(name: str) -> str:
    """Return the name of a fact for comparison: the names of headers are in any case."""
    return name.lower() if name.startswith(("headers[", "present(headers,")) else name


def _reached(record: RequestRecord) -> list[str]:
    """Return the targets of the attempts, in order."""
    tried = [f"{one.provider}/{one.model}" for one in record.attempts if one.provider is not None]
    served = f"{record.provider}/{record.upstream_model}" if record.provider is not None else None
    return tried if served is None or tried[-1:] == [served] else [*tried, served]


def _stays(record: RequestRecord, reached: list[str], place: _Destination) -> bool:
    """Return whether a request would have gone where it went. A fallback served it in its turn if a target that comes
    first was tried or excluded before."""
    if place.is_fixed:
        return bool(reached)
    if not reached or place.refusal:
        return not reached and record.code == place.refusal
    served, first = reached[-1], place.first or place.after
    if served in first:
        return True
    excluded = {verdict.partition(": ")[0] for verdict in record.verdicts}
    if served in place.after and not excluded.union(reached).isdisjoint(first):
        return True
    return place.keeps_fallbacks and reached[0] in first


class Summary(Struct, frozen=True):
    """The fates of many requests. `facts` are those that were missing, with the numbers of undecidable requests that
    need them."""

    requests: int
    same: int
    unrouted: int
    elsewhere: tuple[Replayed, ...]
    undecidable: tuple[Replayed, ...]
    facts: dict[str, int]


def summarize(records: Iterable[RequestRecord], fate: Callable[[RequestRecord], Replayed]) -> Summary:
    """Return the fates of requests."""
    found: dict[Fate, list[Replayed]] = {name: [] for name in get_args(Fate)}
    facts: dict[str, int] = {}
    for record in records:
        if record.mirror_of:
            continue  # rules do not apply to copies
        if record.feedback is None:
            one = fate(record)
            found[one.fate].append(one)
            for name in one.missing:
                facts[name] = facts.get(name, 0) + 1
    return Summary(
        requests=sum(map(len, found.values())),
        same=len(found["same"]),
        unrouted=len(found["unrouted"]),
        elsewhere=tuple(found["elsewhere"]),
        undecidable=tuple(found["undecidable"]),
        facts=facts,
    )
