"""What a worker knows of who owns what, and what it asks and tells."""

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
    """Unix seconds, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_800_000_000.0
        monkeypatch.setattr(module, "time", lambda: self.now)


def done(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of what need not wait."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    raise AssertionError("it waits")


class Control:
    """Answers at once, and keeps what it is told."""

    def __init__(self, *records: Record, unable: LeaseUnavailable | None = None) -> None:
        self.records, self.unable = list(records), unable
        self.asked: list[list[str]] = []
        self.told: list[Change] = []

    def look_up(self, ids: Sequence[str], answered: Callable[[Sequence[Record] | LeaseUnavailable], None]) -> None:
        self.asked.append(list(ids))
        answered(self.unable or [one for one in self.records if one.id in ids])

    def tell(self, changes: Sequence[Change]) -> None:
        self.told += changes
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


def placed(ownership: Ownership, asked: Call, key: VirtualKey | None = RED, **routing: Any) -> Call | Failure:
    found = replace(CONFIGURED, routing=replace(CONFIGURED.routing, **routing))
    return done(ownership.placed(asked, key, found))


def before(*records: Record, unable: LeaseUnavailable | None = None) -> tuple[Ownership, Control]:
    ownership, control = Ownership(), Control(*records, unable=unable)
    ownership.custodian = control
    return ownership, control


def code(found: Call | Failure) -> str | None:
    return found.kind.code if isinstance(found, Failure) else None


def test_what_is_owned_is_pinned_and_asked_for_once() -> None:
    ownership, control = before(owned())
    for _ in range(3):
        found = placed(ownership, naming("file-1"))
        assert isinstance(found, Call)
        assert found.pin is not None
        assert (found.pin.provider, found.pin.key) == ("a", "k1")
        assert code(placed(ownership, naming("file-1"), BLUE)) == "state_not_found"
        assert code(placed(ownership, naming("file-1"), None)) == "state_not_found"
    assert control.asked == [["file-1"]]


def test_what_nobody_knows_is_asked_for_each_time() -> None:
    ownership, control = before()
    for allowed in ("refuse", "refuse", "allow"):
        found = placed(ownership, naming("file-1"), unowned_state=allowed)
        assert code(found) == (None if allowed == "allow" else "state_not_found")
    assert len(control.asked) == 3


def test_others_things_are_theirs_whatever_is_allowed() -> None:
    ownership, _ = before(owned(owner="team:blue"), owned("file-2", EVERYBODY))
    assert code(placed(ownership, naming("file-1"), unowned_state="allow")) == "state_not_found"
    assert code(placed(ownership, naming("file-2"))) == "state_not_found"
    found = placed(ownership, naming("file-2"), unowned_state="allow")
    assert isinstance(found, Call)
    assert found.pin is not None


def test_an_id_that_two_providers_gave_is_each_ones_own() -> None:
    ownership, _ = before(
        owned(), owned(owner="team:blue", provider="b"), owned("file-2"), owned("file-2", provider="b")
    )
    for key, provider in ((RED, "a"), (BLUE, "b")):
        found = placed(ownership, naming("file-1"), key)
        assert isinstance(found, Call)
        assert found.pin is not None
        assert found.pin.provider == provider
    assert code(placed(ownership, naming("file-1", provider="b"), RED)) == "invalid_request"  # it is at a
    several = placed(ownership, naming("file-2"))
    assert isinstance(several, Failure)
    assert "x-pointsman-provider" in several.message
    assert isinstance(placed(ownership, naming("file-2", provider="b")), Call)
    assert isinstance(placed(ownership, naming("file-1", "file-2")), Call)  # the first says which


def test_nothing_passes_while_it_cannot_be_known() -> None:
    ownership, control = before(unable=LeaseUnavailable("control is away"))
    found = placed(ownership, naming("file-1"), unowned_state="allow")
    assert isinstance(found, Failure)
    assert (found.kind.code, found.retry_after_s) == ("state_unavailable", 1.0)
    assert "control is away" in found.message
    control.unable, control.records = None, [owned()]
    assert code(placed(ownership, naming("file-1"))) is None
    control.unable = LeaseUnavailable("control is away")
    assert code(placed(ownership, naming("file-1"))) is None


def test_what_was_learned_long_ago_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    ownership, control = before(owned(at=clock.now))
    assert code(placed(ownership, naming("file-1"))) is None
    clock.now += 29 * module.DAY_S
    control.records = [owned(at=clock.now - 5)]  # it was used elsewhere
    clock.now += 2 * module.DAY_S
    assert code(placed(ownership, naming("file-1"))) is None
    clock.now += 31 * module.DAY_S
    assert code(placed(ownership, naming("file-1"))) == "state_not_found"


def test_what_is_used_is_kept_in_mind_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    ownership, control = before(owned(at=clock.now))
    found = placed(ownership, naming("file-1"))
    assert isinstance(found, Call)
    for wait_s in (0, 10, module.DAY_S, 10):
        clock.now += wait_s
        ownership.sent(found, SCOPE, "r", "k1")
    assert [change.how for change in control.told] == [SEEN]
    assert control.told[0].record.at == clock.now - 10


def test_an_answer_is_learned_from_and_told_once() -> None:
    ownership, control = before()
    made = naming(creates="batch", learns=True)
    body = b'{"id":"batch_1","object":"batch","output_file_id":"file-2"}'
    for _ in range(2):
        ownership.answered(made, SCOPE, "r", "k1", body)
    told = [(change.how, change.record.kind, change.record.id, change.record.owner) for change in control.told]
    assert told == [(MADE, "batch", "batch_1", "team:red"), (SEEN, "file", "file-2", "team:red")]
    assert code(placed(ownership, naming("batch_1", "file-2"))) is None
    ownership.answered(naming("batch_1", deletes="batch_1"), SCOPE, "r", "k1", b'{"id":"batch_1","object":"batch"}')
    assert control.told[-1].how == GONE
    control.records = []
    assert code(placed(ownership, naming("batch_1"))) == "state_not_found"


def test_nothing_is_taken_over_from_another_by_an_answer() -> None:
    ownership, control = before(owned(owner="team:blue"))
    assert code(placed(ownership, naming("file-1"))) == "state_not_found"
    ownership.answered(naming(learns=True), SCOPE, "r", "k1", b'{"output_file_id":"file-1"}')
    assert not control.told
    assert code(placed(ownership, naming("file-1"))) == "state_not_found"


def test_what_is_not_stored_is_not_learned() -> None:
    ownership, control = before()
    body = b'{"id":"resp_1","object":"response","output":[{"id":"ci_1","container_id":"cntr_1"}]}'
    ownership.answered(naming(learns=True), SCOPE, "r", "k1", body)
    assert [change.record.id for change in control.told] == ["cntr_1"]


def test_a_stream_is_learned_from_as_it_passes() -> None:
    ownership, control = before()
    asked = replace(naming(creates="response", learns=True, has_items=True), head=RequestHead())
    watch = ownership.sent(asked, SCOPE, "r", "k1")
    assert watch is not None
    event = b'data: {"type":"response.created","response":{"id":"resp_1","object":"response"}}\n\n'
    for cut in range(len(event)):
        watch(event[cut : cut + 1])
    watch(b'event: response.output_item.added\ndata: {"type":"response.output_item.added","item":{"id":"rs_1"}}\n\n')
    told = [(change.how, change.record.kind, change.record.id) for change in control.told]
    assert told == [(MADE, "response", "resp_1"), (SEEN, "item", "rs_1")]


def test_lists_are_filtered_where_several_may_own_something() -> None:
    listing = naming(lists="file")
    assert is_filtered(listing, CONFIGURED)
    assert not is_filtered(naming("file-1"), CONFIGURED)
    assert not is_filtered(listing, replace(CONFIGURED, require_key=False))
    assert is_filtered(listing, replace(CONFIGURED, require_key=False, virtual_keys={b"r": RED}))
    head = placed(Ownership(), replace(listing, head=RequestHead(method="HEAD")))
    assert code(head) == "invalid_request"


def test_no_more_is_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KNOWN", 10)
    ownership, _ = before()
    for number in range(100):
        ownership.answered(naming(creates="file"), SCOPE, "r", "k1", b'{"id":"file-%d"}' % number)
    assert list(ownership._known) == [f"file-{number}" for number in range(90, 100)]


def test_what_an_answer_tells_of_another_worker_may_know_to_be_anothers() -> None:
    ownership, control = before(owned(owner="team:blue"))
    ownership.answered(naming(learns=True), SCOPE, "r", "k1", b'{"output_file_id":"file-1"}')  # not asked about yet
    assert [(change.how, change.record.owner) for change in control.told] == [(SEEN, "team:red")]
    assert code(placed(ownership, naming("file-1"))) == "state_not_found"
    assert code(placed(ownership, naming("file-1"), BLUE)) is None
    ownership, control = before(unable=LeaseUnavailable("control is away"))
    ownership.answered(naming(learns=True), SCOPE, "r", "k1", b'{"output_file_id":"file-1"}')
    assert code(placed(ownership, naming("file-1"))) == "state_unavailable"


def test_what_is_shared_stays_so_when_somebody_uses_it() -> None:
    ownership, control = before()
    body = b'{"id":"batch_1","object":"batch","output_file_id":"file-2"}'
    found = placed(ownership, naming("batch_1", learns=True), unowned_state="allow")
    assert isinstance(found, Call)
    ownership.answered(found, SCOPE, "r", "k1", body)
    made = naming("file-9", creates="batch", learns=True)
    ownership.answered(made, SCOPE, "r", "k1", b'{"id":"batch_2","output_file_id":"file-9"}')
    assert [change.record.id for change in control.told] == ["batch_2"]
    assert code(placed(ownership, naming("file-9"), BLUE, unowned_state="allow")) is None


def test_what_is_no_id_is_not_looked_up() -> None:
    ownership, control = before()
    for odd in ("x" * 5000, "file 1", "file-1\n", "f\u00efle"):
        found = placed(ownership, naming(odd), unowned_state="allow")
        assert isinstance(found, Failure)
        assert (found.kind.code, len(found.message) < 200) == ("state_not_found", True)
    assert not control.asked


def test_another_name_for_the_same_address_is_no_way_around() -> None:
    ownership, _ = before(owned())
    at = endpoint("a").origin
    same = replace(
        CONFIGURED,
        endpoints={name: replace(one, origin=at) for name, one in CONFIGURED.endpoints.items()},
        routing=replace(CONFIGURED.routing, unowned_state="allow"),
    )
    assert code(done(ownership.placed(naming("file-1", provider="b"), BLUE, same))) == "state_not_found"
