"""Ownership of objects stored at providers, as a worker knows it: checked before a request, updated from its answer.

An object belongs to the team of the key that created it, or to the key if it has no team. Changes are written to the
journal and sent to control before the client receives the answer. Control is asked about ids that this worker does not
know. A client gets the same answer for another owner's object as for one that does not exist.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import time
from typing import Protocol

from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.batches import decode_work
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.identity import VirtualKey
from pointsman.domain.leases import LeaseUnavailable
from pointsman.domain.snapshots import Snapshot, allows_unowned
from pointsman.domain.state import EVERYBODY, GONE, MADE, SEEN, Change, Named, Pin, Record, Touched, after, owner_of
from pointsman.engine.tasks import Waiter
from pointsman.journal.records import ChargeScope, StateRecord
from pointsman.journal.writer import JournalWriter
from pointsman.wire.batches import text_in
from pointsman.wire.state import ID, id_of, reported_in
from pointsman.wire.state_streams import StateStream

MAX_KNOWN = 50_000  # ids
DAY_S = 86_400
RENEWED_S = DAY_S  # objects in use are recorded again, at most this often
SHOWN_CHARS = 100  # of an id that is very long
_WITH_STORES = frozenset({"assistant", "thread", "run"})  # vector stores may be created with them
_IF_STORED = frozenset({"response", "item"})  # an answer has an id even if it is not stored


class StateClient(Protocol):
    """The connection to control."""

    def look_up(self, ids: Sequence[str], on_answer: Callable[[Sequence[Record] | LeaseUnavailable], None]) -> None:
        """Ask for the owners of these ids. `on_answer` is called once."""
        ...

    def report(self, changes: Sequence[Change]) -> None:
        """Report changes that this worker learned."""
        ...


def _owner_of(key: VirtualKey | None) -> str:
    return owner_of(key.name, key.team) if key is not None else EVERYBODY


class Ownership:
    """The ownership records that this worker knows. Without a journal and a connection to control, they are all there
    are."""

    def __init__(self, journal: JournalWriter | None = None) -> None:
        self.state_client: StateClient | None = None
        self._journal = journal
        self._known: dict[str, dict[str, Record]] = {}  # by id, then by provider
        # Ids known only from an answer that named them. A client of another worker may have created the objects, so
        # control is asked first.
        self._unverified: set[str] = set()

    async def pin_call(self, call: Call, key: VirtualKey | None, snapshot: Snapshot) -> Call | Failure:
        """Return the call, pinned to the provider key that stores the objects it names. Return a failure if they belong
        to another owner, or if no single provider key stores all of them."""
        touched = call.state
        assert touched is not None
        if touched.lists is not None and call.head.method == "HEAD" and is_shared(snapshot):
            return Failure(failures.INVALID_REQUEST, "a list can only be requested with GET")
        if touched.reads_all is not None and is_shared(snapshot):
            message = f"the field {touched.reads_all!r} would read the files of all owners; name a file instead"
            return Failure(failures.INVALID_REQUEST, message, param=touched.reads_all)
        if not touched.names:
            return call
        invalid = next((named for named in touched.names if not ID.fullmatch(named.id)), None)
        if invalid is not None and is_shared(snapshot):
            return _not_found(invalid)
        found = await self._find(
            [named.id for named in touched.names if named is not invalid], snapshot.routing.state_days
        )
        if isinstance(found, LeaseUnavailable):
            return _unable(found)
        return pinned(call, key, snapshot, found)

    async def hidden_ids(
        self, ids: Sequence[str], provider: str, key: VirtualKey | None, snapshot: Snapshot
    ) -> set[str] | Failure:
        """Return those ids of a provider's list that belong to other owners."""
        routing, owner = snapshot.routing, _owner_of(key)
        found = await self._find(ids, routing.state_days)
        if isinstance(found, LeaseUnavailable):
            return _unable(found)
        owners = {name: {one.owner for one in records if one.provider == provider} for name, records in found.items()}
        visible = {owner, EVERYBODY} if allows_unowned(snapshot) else {owner}
        unknown = {EVERYBODY}
        return {name for name in ids if visible.isdisjoint(owners.get(name) or unknown)}

    def first_unowned(self, call: Call, key: VirtualKey | None, provider: str, provider_key: str) -> Named | None:
        """Return the first object that a call names and this worker does not know as the client's own at this place.
        Without virtual keys, there is none."""
        if call.state is None or not is_shared(call.snapshot):
            return None
        owner = _owner_of(key)
        for named in call.state.names:
            known = self._known.get(named.id, {}).get(provider)
            if known is None or known.owner != owner or known.key != provider_key or named.id in self._unverified:
                return named
        return None

    def learn_from_answer(
        self, call: Call, scope: ChargeScope, request_id: str, key: str, body: bytes, note: str = ""
    ) -> None:
        """Learn from a complete answer with a status of 2xx. `note` is what is known of the object that it made."""
        touched = call.state
        assert touched is not None
        found: list[tuple[str, str, str]] = []
        if touched.deletes is not None:
            found = [(GONE, "", touched.deletes)]
        if touched.creates is not None and (made := id_of(body)) is not None:
            found = [(MADE, touched.creates, made)]
        if touched.learns or (touched.has_items and call.head.method != "DELETE" and touched.lists is None):
            ids = reported_in(
                body,
                has_items=touched.has_items,
                refers=touched.learns,
                makes_stores=touched.creates in _WITH_STORES,
            )
            found += _new(touched, ids)
        self.learn(call, scope, request_id, key, found, note=note)

    def note_use(
        self, call: Call, scope: ChargeScope, request_id: str, key: str, note: Callable[[], str] = str
    ) -> "Watch | None":
        """Renew the old records of the objects that a call uses. Return a watch if the answer is passed on as it
        arrives and may contain ids. `note` returns what is known of the object that it makes."""
        touched = call.state
        assert touched is not None
        used = [(SEEN, named.kind, named.id) for named in touched.names if self._is_old(named.id, scope)]
        if used:
            self.learn(call, scope, request_id, key, used)
        if touched.creates is None and not (touched.learns and call.head.method == "POST"):
            return None
        return Watch(self, call, (scope, request_id, key), note)

    def _is_old(self, name: str, scope: ChargeScope) -> bool:
        """Return whether an object of this owner was last recorded more than `RENEWED_S` seconds ago."""
        known = self._known.get(name, {}).get(scope.provider)
        return known is not None and known.owner == _owner(scope) and time() - known.at >= RENEWED_S

    def learn(
        self,
        call: Call,
        scope: ChargeScope,
        request_id: str,
        key: str,
        found: Iterable[tuple[str, str, str]],
        note: str = "",
    ) -> None:
        """Record the new facts among these, and report them to control. Each has the kind of change, the kind of
        object, and its id. `note` is about a created object."""
        touched = call.state
        assert touched is not None
        is_stored = touched.creates is not None or touched.has_items
        now, owner = time(), _owner(scope)
        changes: list[Change] = []
        for how, kind, one in found:
            known = self._known.get(one, {}).get(scope.provider)
            if how == SEEN and kind in _IF_STORED and not is_stored and known is None:
                continue
            record = Record(
                id=one,
                kind=kind,
                provider=scope.provider,
                key=key,
                owner=owner,
                at=now,
                note=note if how == MADE else "",
            )
            if how == SEEN and known is not None and (known.owner != owner or now - known.at < RENEWED_S):
                continue
            if how == MADE and known is not None and known.owner == owner and known.at > now - 1.0:
                continue  # already learned, such as from the stream of this answer
            changes.append(Change(how, record))
            if how == SEEN and known is None:
                self._unverified.add(one)
            self._take(changes[-1])
        if not changes:
            return
        if self._journal is not None:
            stored = tuple((change.how, change.record.kind, change.record.id) for change in changes)
            self._journal.store(scope, StateRecord(scope.number, request_id, now, key, stored, note=note))
        if self.state_client is not None:
            self.state_client.report(changes)

    async def _find(self, ids: Sequence[str], days: float) -> dict[str, list[Record]] | LeaseUnavailable:
        """Return the records of each id, from this worker or from control."""
        now, known = time(), self._known
        wanted = dict.fromkeys(ids)
        # Another worker may have renewed an old record since, so it may not have expired.
        unverified: set[str] = self._unverified if self.state_client is not None else set()
        missing = [
            name
            for name in wanted
            if name in unverified or all(one.at < now - RENEWED_S for one in known.get(name, {}).values())
        ]
        if missing and self.state_client is not None:
            waiter: Waiter[Sequence[Record] | LeaseUnavailable] = Waiter()
            self.state_client.look_up(missing, waiter.set)
            answer = await waiter
            if not isinstance(answer, LeaseUnavailable):
                for name in unverified & set(missing):
                    self._unverified.discard(name)
                    known.pop(name, None)
                for record in answer:
                    self._take(Change(SEEN, record))
            elif not all(name in known and name not in unverified for name in missing):
                return answer
        oldest = now - days * DAY_S
        return {name: [one for one in known.get(name, {}).values() if one.at >= oldest] for name in wanted}

    def _take(self, change: Change) -> None:
        record, known = change.record, self._known
        places = known.pop(record.id, {})
        left = after(places.get(record.provider), change)
        if left is not None:
            places[record.provider] = left
        else:
            places.pop(record.provider, None)
        if places:
            known[record.id] = places  # moved to the end, since the first are forgotten first
            if len(known) > MAX_KNOWN:
                oldest = next(iter(known))
                del known[oldest]
                self._unverified.discard(oldest)


class Watch:
    """Learns the ids in a stream while it is passed on."""

    def __init__(
        self, ownership: Ownership, call: Call, of: tuple[ChargeScope, str, str], note: Callable[[], str] = str
    ) -> None:
        assert call.state is not None
        self._ownership = ownership
        self._call = call
        self._of = of
        self._note = note
        self._stream = StateStream(has_items=call.state.has_items)
        self._is_made = False

    def __call__(self, data: bytes) -> None:
        """Take the next piece, before the client gets it."""
        touched, stream = self._call.state, self._stream
        assert touched is not None
        ids = stream.feed(data)
        found = _new(touched, ids) if touched.learns else []
        if stream.made is not None and not self._is_made:
            self._is_made = True
            if touched.creates is not None:
                found.insert(0, (MADE, touched.creates, stream.made))
        if found:
            scope, request_id, key = self._of
            self._ownership.learn(self._call, scope, request_id, key, found, note=self._note())


def pinned(
    call: Call, key: VirtualKey | None, snapshot: Snapshot, found: Mapping[str, Sequence[Record]]
) -> Call | Failure:
    """Return the call, pinned to the provider key that stores the objects it names. `found` has the records of their
    ids. Return a failure if they belong to another owner, or if no single provider key stores all of them."""
    touched, owner, requested_provider = call.state, _owner_of(key), call.head.provider
    assert touched is not None
    places: dict[tuple[str, str], Named] | None = None
    for named in touched.names:
        records = [one for one in found.get(named.id, ()) if requested_provider in (None, one.provider)]
        own = [one for one in records if one.owner == owner]
        if not own:
            elsewhere = [one.provider for one in found.get(named.id, ()) if one.owner == owner]
            if elsewhere:
                stored = f"the {named.kind} {named.id!r} is stored at provider {elsewhere[0]!r}"
                message = f"{stored}, not at {requested_provider!r}"
                return Failure(failures.INVALID_REQUEST, message, param=named.param)
            if not allows_unowned(snapshot) or _is_owned(found.get(named.id, ()), requested_provider, snapshot):
                return _not_found(named)
            own = records
        if not own:
            continue
        here = {(one.provider, one.key): named for one in own}
        if places is not None and places.keys().isdisjoint(here):
            other = next(iter(places.values()))
            both = f"the {other.kind} {other.id!r} and the {named.kind} {named.id!r}"
            message = f"{both} have no provider key in common; use one at a time"
            return Failure(failures.INVALID_REQUEST, message, param=named.param)
        places = here if places is None else {place: here[place] for place in places if place in here}
    if not places:
        if owner != EVERYBODY and touched.creates is None:  # objects below unowned ones are unowned too
            return replace(call, state=replace(touched, learns=False, has_items=False))
        return call
    (provider, name), named = next(iter(places.items()))
    if len(places) > 1:
        message = f"several providers store a {named.kind} {named.id!r}; name one in the header x-pointsman-provider"
        return Failure(failures.INVALID_REQUEST, message, param=named.param)
    call = replace(call, pin=Pin(provider, name, f"the {named.kind} {named.id!r}"))
    return with_work(call, found, provider) if touched.creates == "batch" else call


def _is_owned(records: Iterable[Record], provider: str | None, snapshot: Snapshot) -> bool:
    """Return whether the object requested at `provider` has an owner. Two providers with the same origin may share
    an account."""
    endpoints = snapshot.endpoints
    requested = endpoints.get(provider) if provider is not None else None
    for one in records:
        endpoint = endpoints.get(one.provider)
        is_there = provider in (None, one.provider) or (
            requested is not None and endpoint is not None and requested.origin == endpoint.origin
        )
        if is_there and one.owner != EVERYBODY:
            return True
    return False


def with_work(call: Call, found: Mapping[str, Sequence[Record]], provider: str) -> Call | Failure:
    """Return the call for a batch with the work in its input file, if the gateway has read that file. Return a failure
    if the batch is requested for other requests than the file has."""
    name = text_in(call.fields, "input_file_id")
    work = next((decode_work(one.note) for one in found.get(name, ()) if one.provider == provider), None)
    if work is None:
        return call
    if work.endpoint != (requested := text_in(call.fields, "endpoint")):
        message = f"the lines of the file {name!r} are for {work.endpoint!r}, not for {requested[:100]!r}"
        return Failure(failures.INVALID_REQUEST, message, param="endpoint")
    return replace(call, batch=work)


def is_filtered(call: Call, snapshot: Snapshot) -> bool:
    """Return whether a call requests a list that may contain objects of other owners."""
    return call.state is not None and call.state.lists is not None and is_shared(snapshot)


def is_shared(snapshot: Snapshot) -> bool:
    """Return whether objects may have several owners."""
    return snapshot.require_key or bool(snapshot.virtual_keys)


def _new(touched: Touched, ids: Iterable[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """Return the ids in an answer, without those that the request named: naming an object does not create it."""
    named = {one.id for one in touched.names}
    return [(SEEN, kind, one) for kind, one in ids if one not in named]


def _owner(scope: ChargeScope) -> str:
    return owner_of(scope.virtual_key, scope.team)


def _not_found(named: Named) -> Failure:
    shown = named.id if len(named.id) <= SHOWN_CHARS else named.id[:SHOWN_CHARS] + "…"
    message = f"the {named.kind} {shown!r} does not exist"
    if named.kind in _IF_STORED:
        message += ", or its provider has not stored it; send the whole conversation in 'input' instead"
    return Failure(failures.STATE_NOT_FOUND, message, param=named.param or "id")


def _unable(why: LeaseUnavailable) -> Failure:
    message = f"the owners of the objects in this request cannot be looked up now: {why.reason}; retry the request"
    return Failure(failures.STATE_UNAVAILABLE, message, retry_after_s=1.0)
