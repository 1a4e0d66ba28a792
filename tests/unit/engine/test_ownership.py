"""A worker's records of owners, its requests to control, and its reports."""

from collections.abc import Callable, Coroutine, Sequence
from time import time
from typing import Any, TypeVar, cast

import pytest
from msgspec.structs import replace

from fakes.routing import call, endpoint, snapshot
from pointsman.domain.calls import Call, RequestHead
from pointsman.domain.failures import Failure
from pointsman.domain.identity import VirtualKey
from pointsman.domain.leases import LeaseUnavailable
from pointsman.domain.state import EVERYBODY, GONE, MADE, SEEN, Change, Named, Record, Touched, after
from pointsman.engine import ownership as module
from pointsman.engine.ownership import Ownership, is_filtered
from pointsman.journal.records import ChargeScope

T = TypeVar("T")
RED, BLUE = VirtualKey(name="r", digest=b"r", team="red"), VirtualKey(name="b", digest=b"b", team="blue")
SCOPE = ChargeScope(
    number=1,
    virtual_key="r",
    team="red",
    customer=None,
    provider="a",
    model="m",
    variant=None,
    counters=(),
)
CONFIGURED = snapshot([endpoint("a"), endpoint("b")])


class Clock:
    """Unix seconds that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_800_000_000.0
        monkeypatch.setattr(module, "time", lambda: self.now)


def done(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that does not need to wait."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    raise AssertionError("it waits")


class Control:
    """Control that answers at once, and keeps the changes reported to it."""

    def __init__(self, *records: Record, unable: LeaseUnavailable | None = None) -> None:
        self.records, self.unable = list(records), unable
        self.looked_up: list[list[str]] = []
        self.reported: list[Change] = []

    def look_up(self, ids: Sequence[str], on_answer: Callable[[Sequence[Record] | LeaseUnavailable], None]) -> None:
        self.looked_up.append(list(ids))
        on_answer(self.unable or [one for one in self.records if one.id in ids])

    def report(self, changes: Sequence[Change]) -> None:
        self.reported += changes
        for change in changes:
            place = (change.record.id, change.record.provider)
            known = next((one for one in self.records if (one.id, one.provider) == place), None)
            left = after(known, change)
            self.records = [one for one in self.records if one is not known] + ([left] if left is not None else [])


def owned(name: str = "file-1", owner: str = "team:red", provider: str = "a", at: float = 0.0) -> Record:
    return Record(id=name, kind="file", provider=provider, key="k1", owner=owner, at=at or time())


def naming(*names: str, provider: str | None = None, **fields: Any) -> Call:
    touched = Touched(tuple(Named("file", name) for name in names), **fields)
    return replace(call("", "file", provider=provider), state=touched)


def pinned(ownership: Ownership, asked: Call, key: VirtualKey | None = RED, **routing: Any) -> Call | Failure:
    found = replace(CONFIGURED, routing=replace(CONFIGURED.routing, **routing))
    return done(ownership.pin_call(asked, key, found))


def before(*records: Record, unable: LeaseUnavailable | None = None) -> tuple[Ownership, Control]:
    ownership, control = Ownership(), Control(*records, unable=unable)
    ownership.state_client = control
    return ownership, control


def code(found: Call | Failure) -> str | None:
    return found.kind.code if isinstance(found, Failure) else None


def test_owned_object_is_pinned_and_looked_up_once() -> None:
    ownership, control = before(owned())
    for _ in range(3):
        found = pinned(ownership, naming("file-1"))
        assert isinstance(found, Call)
        assert found.pin is not None
        assert (found.pin.provider, found.pin.key) == ("a", "k1")
        assert code(pinned(ownership, naming("file-1"), BLUE)) == "state_not_found"
        assert code(pinned(ownership, naming("file-1"), None)) == "state_not_found"
    assert control.looked_up == [["file-1"]]


def test_unknown_object_is_looked_up_each_time() -> None:
    ownership, control = before()
    for allowed in ("refuse", "refuse", "allow"):
        found = pinned(ownership, naming("file-1"), unowned_state=allowed)
        assert code(found) == (None if allowed == "allow" else "state_not_found")
    assert len(control.looked_up) == 3


def test_objects_of_other_owners_are_hidden_even_if_unowned_ones_are_allowed() -> None:
    ownership, _ = before(owned(owner="team:blue"), owned("file-2", EVERYBODY))
    assert code(pinned(ownership, naming("file-1"), unowned_state="allow")) == "state_not_found"
    assert code(pinned(ownership, naming("file-2"))) == "state_not_found"
    found = pinned(ownership, naming("file-2"), unowned_state="allow")
    assert isinstance(found, Call)
    assert found.pin is not None


def test_same_id_at_two_providers_has_two_owners() -> None:
    ownership, _ = before(
        owned(), owned(owner="team:blue", provider="b"), owned("file-2"), owned("file-2", provider="b")
    )
    for key, provider in ((RED, "a"), (BLUE, "b")):
        found = pinned(ownership, naming("file-1"), key)
        assert isinstance(found, Call)
        assert found.pin is not None
        assert found.pin.provider == provider
    assert code(pinned(ownership, naming("file-1", provider="b"), RED)) == "invalid_request"  # it is stored at a
    several = pinned(ownership, naming("file-2"))
    assert isinstance(several, Failure)
    assert "x-pointsman-provider" in several.message
    assert isinstance(pinned(ownership, naming("file-2", provider="b")), Call)
    assert isinstance(pinned(ownership, naming("file-1", "file-2")), Call)  # the first determines the provider


def test_request_is_rejected_while_owners_cannot_be_looked_up() -> None:
    ownership, control = before(unable=LeaseUnavailable("control is away"))
    found = pinned(ownership, naming("file-1"), unowned_state="allow")
    assert isinstance(found, Failure)
    assert (found.kind.code, found.retry_after_s) == ("state_unavailable", 1.0)
    assert "control is away" in found.message
    control.unable, control.records = None, [owned()]
    assert code(pinned(ownership, naming("file-1"))) is None
    control.unable = LeaseUnavailable("control is away")
    assert code(pinned(ownership, naming("file-1"))) is None


def test_old_record_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    ownership, control = before(owned(at=clock.now))
    assert code(pinned(ownership, naming("file-1"))) is None
    clock.now += 29 * module.DAY_S
    control.records = [owned(at=clock.now - 5)]  # used at another worker
    clock.now += 2 * module.DAY_S
    assert code(pinned(ownership, naming("file-1"))) is None
    clock.now += 31 * module.DAY_S
    assert code(pinned(ownership, naming("file-1"))) == "state_not_found"


def test_record_of_an_object_in_use_is_renewed_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    ownership, control = before(owned(at=clock.now))
    found = pinned(ownership, naming("file-1"))
    assert isinstance(found, Call)
    for wait_s in (0, 10, module.DAY_S, 10):
        clock.now += wait_s
        ownership.note_use(found, SCOPE, "r", "k1")
    assert [change.how for change in control.reported] == [SEEN]
    assert control.reported[0].record.at == clock.now - 10


def test_ids_in_an_answer_are_learned_and_reported_once() -> None:
    ownership, control = before()
    made = naming(creates="batch", learns=True)
    body = b'{"id":"batch_1","object":"batch","output_file_id":"file-2"}'
    for _ in range(2):
        ownership.learn_from_answer(made, SCOPE, "r", "k1", body)
    reported = [(change.how, change.record.kind, change.record.id, change.record.owner) for change in control.reported]
    assert reported == [(MADE, "batch", "batch_1", "team:red"), (SEEN, "file", "file-2", "team:red")]
    assert code(pinned(ownership, naming("batch_1", "file-2"))) is None
    ownership.learn_from_answer(
        naming("batch_1", deletes="batch_1"), SCOPE, "r", "k1", b'{"id":"batch_1","object":"batch"}'
    )
    assert control.reported[-1].how == GONE
    control.records = []
    assert code(pinned(ownership, naming("batch_1"))) == "state_not_found"


def test_answer_does_not_change_the_owner_of_an_object() -> None:
    ownership, control = before(owned(owner="team:blue"))
    assert code(pinned(ownership, naming("file-1"))) == "state_not_found"
    ownership.learn_from_answer(naming(learns=True), SCOPE, "r", "k1", b'{"output_file_id":"file-1"}')
    assert not control.reported
    assert code(pinned(ownership, naming("file-1"))) == "state_not_found"


def test_ids_of_objects_that_are_not_stored_are_not_learned() -> None:
    ownership, control = before()
    body = b'{"id":"resp_1","object":"response","output":[{"id":"ci_1","container_id":"cntr_1"}]}'
    ownership.learn_from_answer(naming(learns=True), SCOPE, "r", "k1", body)
    assert [change.record.id for change in control.reported] == ["cntr_1"]


def test_ids_in_a_stream_are_learned_as_it_passes() -> None:
    ownership, control = before()
    asked = replace(naming(creates="response", learns=True, has_items=True), head=RequestHead())
    watch = ownership.note_use(asked, SCOPE, "r", "k1")
    assert watch is not None
    event = b'data: {"type":"response.created","response":{"id":"resp_1","object":"response"}}\n\n'
    for cut in range(len(event)):
        watch(event[cut : cut + 1])
    watch(b'event: response.output_item.added\ndata: {"type":"response.output_item.added","item":{"id":"rs_1"}}\n\n')
    reported = [(change.how, change.record.kind, change.record.id) for change in control.reported]
    assert reported == [(MADE, "response", "resp_1"), (SEEN, "item", "rs_1")]


def test_lists_are_filtered_if_objects_may_have_several_owners() -> None:
    listing = naming(lists="file")
    assert is_filtered(listing, CONFIGURED)
    assert not is_filtered(naming("file-1"), CONFIGURED)
    assert not is_filtered(listing, replace(CONFIGURED, require_key=False))
    assert is_filtered(listing, replace(CONFIGURED, require_key=False, virtual_keys={b"r": RED}))
    head = pinned(Ownership(), replace(listing, head=RequestHead(method="HEAD")))
    assert code(head) == "invalid_request"


def test_number_of_known_records_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KNOWN", 10)
    ownership, _ = before()
    for number in range(100):
        ownership.learn_from_answer(naming(creates="file"), SCOPE, "r", "k1", b'{"id":"file-%d"}' % number)
    assert list(ownership._known) == [f"file-{number}" for number in range(90, 100)]


def test_id_learned_from_an_answer_is_checked_with_control() -> None:
    ownership, control = before(owned(owner="team:blue"))
    ownership.learn_from_answer(
        naming(learns=True), SCOPE, "r", "k1", b'{"output_file_id":"file-1"}'
    )  # not looked up yet
    assert [(change.how, change.record.owner) for change in control.reported] == [(SEEN, "team:red")]
    assert code(pinned(ownership, naming("file-1"))) == "state_not_found"
    assert code(pinned(ownership, naming("file-1"), BLUE)) is None
    ownership, control = before(unable=LeaseUnavailable("control is away"))
    ownership.learn_from_answer(naming(learns=True), SCOPE, "r", "k1", b'{"output_file_id":"file-1"}')
    assert code(pinned(ownership, naming("file-1"))) == "state_unavailable"


def test_use_of_an_unowned_object_does_not_change_its_owner() -> None:
    ownership, control = before()
    body = b'{"id":"batch_1","object":"batch","output_file_id":"file-2"}'
    found = pinned(ownership, naming("batch_1", learns=True), unowned_state="allow")
    assert isinstance(found, Call)
    ownership.learn_from_answer(found, SCOPE, "r", "k1", body)
    made = naming("file-9", creates="batch", learns=True)
    ownership.learn_from_answer(made, SCOPE, "r", "k1", b'{"id":"batch_2","output_file_id":"file-9"}')
    assert [change.record.id for change in control.reported] == ["batch_2"]
    assert code(pinned(ownership, naming("file-9"), BLUE, unowned_state="allow")) is None


def test_invalid_id_is_not_looked_up() -> None:
    ownership, control = before()
    for odd in ("x" * 5000, "file 1", "file-1\n", "f\u00efle"):
        found = pinned(ownership, naming(odd), unowned_state="allow")
        assert isinstance(found, Failure)
        assert (found.kind.code, len(found.message) < 200) == ("state_not_found", True)
    assert not control.looked_up


def test_second_provider_with_the_same_origin_shares_ownership() -> None:
    ownership, _ = before(owned())
    at = endpoint("a").origin
    same = replace(
        CONFIGURED,
        endpoints={name: replace(one, origin=at) for name, one in CONFIGURED.endpoints.items()},
        routing=replace(CONFIGURED.routing, unowned_state="allow"),
    )
    assert code(done(ownership.pin_call(naming("file-1", provider="b"), BLUE, same))) == "state_not_found"
