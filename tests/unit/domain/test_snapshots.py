"""The limits of a configuration."""

from msgspec.structs import replace

from fakes.money import limit
from fakes.routing import endpoint
from pointsman.domain.identity import ProviderEntry, VirtualKey
from pointsman.domain.snapshots import Snapshot, counters_of, limits_of

TEAM, PROVIDER = limit(level="team", name="t"), limit(level="provider", name="alpha")
FIRST, ENTRY = limit(name="first"), limit(level="entry", name="second/alpha")
KEYS = {
    b"1": VirtualKey(name="first", digest=b"1", team="t", limits=(FIRST, TEAM)),
    b"2": VirtualKey(
        name="second", digest=b"2", team="t", entries={"alpha": ProviderEntry("alpha", limits=(ENTRY,))}, limits=(TEAM,)
    ),
}
SNAPSHOT = Snapshot(
    digest="", endpoints={"alpha": replace(endpoint("alpha"), limits=(PROVIDER,))}, models={}, virtual_keys=KEYS
)


def test_every_limit_is_found() -> None:
    assert list(limits_of(SNAPSHOT)) == [PROVIDER, FIRST, TEAM, TEAM, ENTRY]


def test_limits_are_found_by_their_counters() -> None:
    assert counters_of(SNAPSHOT) == {one.counter: one for one in (PROVIDER, FIRST, TEAM, ENTRY)}
